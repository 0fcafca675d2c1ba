# Written by tools/stubs.py.
from http.cookies import *
