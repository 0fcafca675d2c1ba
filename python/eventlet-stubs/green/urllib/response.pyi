# Written by tools/stubs.py.
from urllib.response import *
