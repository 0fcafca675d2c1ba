# Written by tools/stubs.py.
from http.cookiejar import *
