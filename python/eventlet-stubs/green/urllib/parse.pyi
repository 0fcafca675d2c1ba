# Written by tools/stubs.py.
from urllib.parse import *
