"""A WSGI server killed in a patched process ends by the kill, whatever clients wait."""

import eventlet

eventlet.monkey_patch()

import socket  # noqa: E402

from eventlet import wsgi  # noqa: E402


def application(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


listener = eventlet.listen(("127.0.0.1", 0))
server = eventlet.spawn(wsgi.server, listener, application, log_output=False)
client = socket.create_connection(listener.getsockname())
client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
assert client.recv(4096).startswith(b"HTTP/1.1 200")
server.kill()
try:
    server.wait()
except eventlet.greenlet.GreenletExit:
    pass
print("pass")
