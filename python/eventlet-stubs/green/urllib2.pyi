# Written by tools/stubs.py.
from urllib.request import *
