# Written by tools/stubs.py.
from urllib import *
