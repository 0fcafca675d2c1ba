"""monkey_patch changes what it is asked to change, and the rest later if asked."""

import os
import select
import selectors
import socket
import socketserver
import ssl
import subprocess
import threading
import time

import eventlet
from eventlet import patcher

real_socket, real_sleep, real_popen = socket.socket, time.sleep, subprocess.Popen
early_context = ssl.create_default_context()

eventlet.monkey_patch(select=True)
assert list(patcher.already_patched) == ["select"]
assert patcher.is_monkey_patched("selectors")
assert patcher.is_monkey_patched(select)
assert socket.socket is real_socket
assert select.epoll.__module__ == "eventlet.green.select"
assert selectors.DefaultSelector is selectors.SelectSelector
# It had taken a selector that is no more.
assert socketserver._ServerSelector is selectors.SelectSelector
assert hasattr(patcher.original("select"), "poll")

eventlet.monkey_patch(socket=True, time=True)
assert socket.socket is not real_socket
assert time.sleep is not real_sleep
assert subprocess.Popen is real_popen
assert isinstance(socket.socket(), socket.socket)

eventlet.monkey_patch()
eventlet.monkey_patch()
assert subprocess.Popen is not real_popen
assert issubclass(subprocess.Popen, object)
assert subprocess.run(["true"], check=False).returncode == 0
assert not patcher.is_monkey_patched("builtins")
assert patcher.is_monkey_patched(threading)
assert os.read.__module__ == "eventlet.green.os"

# A context from before makes green sockets, and its properties still work.
early_context.minimum_version = ssl.TLSVersion.TLSv1_2
early_context.options |= ssl.OP_NO_TICKET
sock = early_context.wrap_socket(socket.socket(), server_hostname="localhost")
assert type(sock) is ssl.SSLSocket
assert type(sock).__module__ == "eventlet.green.ssl"
sock.close()
print("pass")
