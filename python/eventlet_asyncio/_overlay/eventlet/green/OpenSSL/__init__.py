"""The package `OpenSSL` (pyOpenSSL) on green sockets."""

from eventlet.green.OpenSSL import SSL, crypto, version

__all__ = ["SSL", "crypto", "version"]
