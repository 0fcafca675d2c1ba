# Written by tools/stubs.py.
from threading import *
