# Written by tools/stubs.py.
from socketserver import *
