"""requests, urllib3 and httpx wait in their own green thread, trio installed or not."""

# needs: requests urllib3 httpx trio
# upstream: trio cannot be imported after monkey_patch

import eventlet

eventlet.monkey_patch()

import http.server
import json
import socketserver
import ssl
import threading
import time
from pathlib import Path

import httpx
import requests
import urllib3

DATA = Path(__file__).parents[2] / "data"
CERTIFICATE, KEY = DATA / "localhost.crt", DATA / "localhost.key"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with what it was asked, late if the path says so."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.startswith("/late"):
            time.sleep(0.5)
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", "/here")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        size = int(self.headers.get("Content-Length", 0))
        body = {"path": self.path, "body": len(self.rfile.read(size))}
        self.answer(json.dumps(body).encode())

    def answer(self, body):
        self.send_response(200)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for part in (body[:5], body[5:], b""):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_arguments):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """A server whose threads are green."""

    daemon_threads = True
    request_queue_size = 128


def serve(secure=False):
    server = Server(("127.0.0.1", 0), Handler)
    if secure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE, KEY)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    scheme = "https" if secure else "http"
    return f"{scheme}://localhost:{server.server_address[1]}"


def exercise(get, post):
    """Overlapping, redirected, chunked and large requests."""
    begin = time.monotonic()
    pool = eventlet.GreenPool()
    answers = list(pool.imap(get, [f"/late{number}" for number in range(24)]))
    assert [answer["path"] for answer in answers] == [f"/late{n}" for n in range(24)]
    assert time.monotonic() - begin < 9
    assert get("/redirect")["path"] == "/here"
    assert get("/chunked")["path"] == "/chunked"
    assert post("/post", b"x" * 3_000_000)["body"] == 3_000_000


for secure in (False, True):
    root = serve(secure)
    trust = str(CERTIFICATE)
    context = ssl.create_default_context(cafile=trust)

    with requests.Session() as session:
        session.verify = trust
        session.trust_env = False
        session.mount(root, requests.adapters.HTTPAdapter(pool_maxsize=5))
        exercise(
            lambda path: session.get(root + path, timeout=30).json(),
            lambda path, body: session.post(root + path, data=body).json(),
        )
        try:
            session.get(root + "/late", timeout=0.05)
        except requests.Timeout:
            pass
        else:
            raise AssertionError

    with urllib3.PoolManager(maxsize=3, block=True, ca_certs=trust) as manager:
        exercise(
            lambda path: manager.request("GET", root + path).json(),
            lambda path, body: manager.request("POST", root + path, body=body).json(),
        )

    with httpx.Client(verify=context, timeout=30, trust_env=False) as client:
        exercise(
            lambda path: client.get(root + path, follow_redirects=True).json(),
            lambda path, body: client.post(root + path, content=body).json(),
        )
        try:
            client.get(root + "/late", timeout=0.05)
        except httpx.ReadTimeout:
            pass
        else:
            raise AssertionError
        with eventlet.Timeout(0.05, False):
            client.get(root + "/late")
            raise AssertionError
        assert client.get(root + "/again").json()["path"] == "/again"
print("pass")
