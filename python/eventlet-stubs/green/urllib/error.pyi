# Written by tools/stubs.py.
from urllib.error import *
