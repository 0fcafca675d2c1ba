"""
Three ends of a server under load lose none of 5,000 requests: what has arrived is
answered, and who comes later is refused at once and asks the next server.
"""

import subprocess
import sys
import textwrap

import eventlet
from eventlet import wsgi
from eventlet.greenio import GreenPipe

REQUESTS = 5000
STOPS = (1000, 2500, 4000)

# Threads that ask in a row: on new connections, or on one as long as the server keeps it.
CLIENTS = """
    import select, socket, sys, threading, time
    port, each = int(sys.argv[1]), int(sys.argv[2])
    lost, refused, done = [], [], []
    end = time.monotonic() + 45

    def connect():
        while time.monotonic() < end:
            try:
                return socket.create_connection(("127.0.0.1", port), 30)
            except ConnectionRefusedError:
                refused.append(1)
                time.sleep(0.002)

    def response(sock):
        data = b""
        while not data.endswith(b"hello"):
            more = sock.recv(65536)
            if not more:
                raise OSError("no response")
            data += more
        return b"connection: close" not in data.lower()

    def ask(keep):
        sock = None
        for _ in range(each):
            # As HTTP clients do: a connection that has ended is not used again.
            if sock and select.select([sock], [], [], 0)[0]:
                sock.close()
                sock = None
            sock = sock or connect()
            try:
                sock.sendall(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
                kept = response(sock)
            except OSError as error:
                lost.append(repr(error))
                kept = False
            if not (keep and kept):
                sock.close()
                sock = None
            done.append(1)

    threads = [
        threading.Thread(target=ask, args=(n % 2,), daemon=True) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(len(done), len(lost), lost[:3], len(refused), flush=True)
"""

served = 0


def application(environ, start_response):
    """Answer, late now and then: some requests are in progress at any time."""
    global served
    served += 1
    if served % 7 == 0:
        eventlet.sleep(0.005)
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


with eventlet.Timeout(50):
    listener = eventlet.listen(("127.0.0.1", 0))
    address = listener.getsockname()
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CLIENTS), str(address[1]),
         str(REQUESTS // 8)],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    for stop in STOPS:
        server = eventlet.spawn(wsgi.server, listener, application, log_output=False)
        while served < stop:
            eventlet.sleep(0.001)
        server.kill()
        # It is over: the address is free, nobody is left.
        listener = eventlet.listen(address)
    server = eventlet.spawn(wsgi.server, listener, application, log_output=False)
    result = GreenPipe(child.stdout, "rb").readline().decode()
    child.wait()
    server.kill()

assert result.split()[:2] == [str(REQUESTS), "0"], result
assert served == REQUESTS, (served, result)
print("pass")
