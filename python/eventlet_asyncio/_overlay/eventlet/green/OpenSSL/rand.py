"""
The module `OpenSSL.rand`, which has nothing that waits.

pyOpenSSL has it up to 23.2.
"""

from OpenSSL.rand import *
