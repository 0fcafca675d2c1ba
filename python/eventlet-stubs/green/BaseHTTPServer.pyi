# Written by tools/stubs.py.
from http.server import *
