# Written by tools/stubs.py.
from smtplib import *
