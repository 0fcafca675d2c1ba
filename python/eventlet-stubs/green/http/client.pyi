# Written by tools/stubs.py.
from http.client import *
