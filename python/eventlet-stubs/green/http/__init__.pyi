# Written by tools/stubs.py.
from http import *
