# Written by tools/stubs.py.
from ftplib import *
