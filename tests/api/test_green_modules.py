"""Promises of the green modules of protocols, and of those that are small."""

# ruff: noqa: D102 - the methods of handlers are those of the standard library

from __future__ import annotations

import importlib
import queue
import sys
import warnings

import pytest

import eventlet
from eventlet import import_patched, tpool
from eventlet.green import Queue, SocketServer, builtin, selectors, socket
from eventlet.green import time as green_time
from eventlet.green.http import client as http_client
from eventlet.green.http import server as http_server
from eventlet.green.urllib import request
from eventlet.patcher import original


class Meeting:
    """Two that come together: each waits for the other, so both must run."""

    def __init__(self):
        self.here = [eventlet.Event(), eventlet.Event()]

    def attend(self, number):
        self.here[number].send()
        with eventlet.Timeout(20):
            self.here[1 - number].wait()


class Handler(http_server.BaseHTTPRequestHandler):
    """Answers when all who were asked for are there."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.meeting.attend(int(self.path[1:]))
        self.answer(b"met")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(body.upper())

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class ThreadingServer(SocketServer.ThreadingMixIn, http_server.HTTPServer):
    """Handles each connection in a green thread."""

    daemon_threads = True


@pytest.fixture
def server():
    """Run a server of green modules alone."""
    made = ThreadingServer(("127.0.0.1", 0), Handler)
    made.meeting = Meeting()
    running = eventlet.spawn(made.serve_forever, poll_interval=0.01)
    yield made
    # It waits for the loop to take notice: nobody may be blocked by that.
    with eventlet.Timeout(20):
        made.shutdown()
        running.wait()
    made.server_close()


def address(server, path):
    return f"http://127.0.0.1:{server.server_address[1]}{path}"


def test_http_servers_and_clients_run_at_the_same_time(server):
    opener = request.build_opener(request.ProxyHandler({}))

    def ask(path):
        with opener.open(address(server, path), timeout=20) as answer:
            return answer.read()

    asking = [eventlet.spawn(ask, path) for path in ("/0", "/1")]
    assert [thread.wait() for thread in asking] == [b"met", b"met"]


def test_http_client_keeps_its_connection(server):
    connection = http_client.HTTPConnection(*server.server_address, timeout=20)
    answers, sockets = [], set()
    for body in (b"one", b"two" * 100_000):
        connection.request("POST", "/", body)
        sockets.add(connection.sock)
        answers.append(connection.getresponse().read())
    assert answers == [b"ONE", b"TWO" * 100_000]
    assert len(sockets) == 1
    assert type(sockets.pop()).__module__ == "eventlet.greenio.base"
    connection.close()


def test_http_client_times_out():
    listener = eventlet.listen(("127.0.0.1", 0))
    connection = http_client.HTTPConnection(*listener.getsockname(), timeout=0.02)
    with pytest.raises(TimeoutError):
        connection.request("GET", "/") or connection.getresponse()
    connection.close()
    listener.close()


def test_socket_servers_handle_connections_at_the_same_time():
    meeting = Meeting()

    class Visit(SocketServer.StreamRequestHandler):
        def handle(self):
            meeting.attend(int(self.rfile.readline()))
            self.wfile.write(b"met\n")

    with SocketServer.ThreadingTCPServer(("127.0.0.1", 0), Visit) as server:
        running = eventlet.spawn(server.serve_forever, poll_interval=0.01)
        clients = [eventlet.connect(server.server_address) for _ in range(2)]
        for number, client in enumerate(clients):
            client.sendall(b"%d\n" % number)
        assert [client.recv(10) for client in clients] == [b"met\n"] * 2
        server.shutdown()
        running.wait()
    for client in clients:
        client.close()


def script(listener, *exchanges):
    """Play a server: send, expect a line, and so on."""
    connection, _address = listener.accept()
    with connection, connection.makefile("rwb") as file:
        for say, expect in exchanges:
            file.write(say)
            file.flush()
            if expect is not None:
                line = file.readline()
                # Python versions differ in the case of commands.
                assert line.lower().startswith(expect.lower()), (line, expect)


def test_smtp_client_talks_to_a_server_in_another_green_thread():
    smtplib = importlib.import_module("eventlet.green.smtplib")
    listener = eventlet.listen(("127.0.0.1", 0))
    playing = eventlet.spawn(
        script,
        listener,
        (b"220 here\r\n", b"ehlo"),
        (b"250 here\r\n", b"mail FROM:<a@b>"),
        (b"250 ok\r\n", b"rcpt TO:<c@d>"),
        (b"250 ok\r\n", b"data"),
        (b"354 go on\r\n", b"text"),
        (b"", b"."),
        (b"250 ok\r\n", b"QUIT"),
        (b"221 bye\r\n", None),
    )
    port = listener.getsockname()[1]
    with smtplib.SMTP("127.0.0.1", port, "localhost", timeout=20) as client:
        assert client.sendmail("a@b", ["c@d"], "text") == {}
    playing.wait()
    listener.close()


def test_ftp_client_talks_to_a_server_in_another_green_thread():
    ftplib = importlib.import_module("eventlet.green.ftplib")
    listener = eventlet.listen(("127.0.0.1", 0))
    playing = eventlet.spawn(
        script,
        listener,
        (b"220 here\r\n", b"USER me"),
        (b"331 and\r\n", b"PASS secret"),
        (b"230 in\r\n", b"PWD"),
        (b'257 "/home"\r\n', b"QUIT"),
        (b"221 bye\r\n", None),
    )
    client = ftplib.FTP(timeout=20)
    client.connect("127.0.0.1", listener.getsockname()[1])
    client.login("me", "secret")
    assert client.pwd() == "/home"
    client.quit()
    playing.wait()
    listener.close()


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="gone from Python 3.12 on")
def test_asyncore_loop_lets_other_green_threads_run():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        asyncore = importlib.import_module("eventlet.green.asyncore")
    one, two = socket.socketpair()
    got = []

    class Reader(asyncore.dispatcher):
        def handle_read(self):
            got.append(self.recv(10))
            self.close()

        def writable(self):
            return False

    channels = {}
    Reader(two, channels)
    eventlet.spawn(one.sendall, b"x")
    with eventlet.Timeout(20):
        asyncore.loop(timeout=10, map=channels)
    assert got == [b"x"]
    one.close()


# select and selectors


def test_selector_waits_and_tells_what_is_ready(pair, in_order):
    one, two = pair

    def wait():
        with selectors.DefaultSelector() as selector:
            selector.register(one, selectors.EVENT_READ, "mine")
            ((key, events),) = selector.select(20)
            return key.fileobj is one, key.data, events

    log = in_order(wait, lambda: two.send(b"x"))
    assert log[-1] == (0, (True, "mine", selectors.EVENT_READ))


def test_selector_times_out_and_follows_changes(pair):
    one, two = pair
    selector = selectors.DefaultSelector()
    selector.register(one, selectors.EVENT_READ)
    assert selector.select(0.01) == []
    selector.modify(one, selectors.EVENT_READ | selectors.EVENT_WRITE)
    assert [events for _, events in selector.select(10)] == [selectors.EVENT_WRITE]
    two.send(b"x")
    assert [events for _, events in selector.select(10)] == [
        selectors.EVENT_READ | selectors.EVENT_WRITE
    ]
    selector.unregister(one)
    assert selector.select(0.01) == []
    selector.close()


@pytest.mark.parametrize("name", ["SelectSelector", "PollSelector", "EpollSelector"])
def test_every_selector_lets_others_run(pair, in_order, name):
    one, two = pair

    def wait():
        with getattr(selectors, name)() as selector:
            selector.register(one, selectors.EVENT_READ, "mine")
            ((key, events),) = selector.select(20)
            return key.data, events

    log = in_order(wait, lambda: two.send(b"x"))
    assert log[-1] == (0, ("mine", selectors.EVENT_READ))


def test_default_selector_is_upstreams():
    assert selectors.DefaultSelector is selectors.SelectSelector


# Small ones


def test_sleep_of_time_lets_others_run(in_order):
    log = in_order(lambda: green_time.sleep(0.01), lambda: None)
    assert log == [(0, "starts"), (1, "starts"), (1, None), (0, None)]
    with pytest.raises((ValueError, TypeError)):
        green_time.sleep("x")


def test_open_tells_the_hub_of_a_number_that_is_used_again(pair, tmp_path):
    """Whoever waits for what had the number before gets an error, and the file is a plain one."""
    one, _two = pair
    number = one.fileno()
    reading = eventlet.spawn(one.recv, 1)
    eventlet.sleep(0)
    # Behind the hub's back.
    original("os").close(number)
    with builtin.open(tmp_path / "text", "w", encoding="utf-8") as file:
        assert file.fileno() == number
        file.write("grün\n")
        with pytest.raises(OSError, match="descriptor"):
            reading.wait()
    assert (tmp_path / "text").read_text(encoding="utf-8") == "grün\n"
    one.detach()
    with pytest.raises(FileNotFoundError):
        builtin.open(tmp_path / "missing")


@pytest.mark.parametrize("kind", ["Queue", "LifoQueue", "PriorityQueue"])
def test_queues_have_the_size_they_were_given(kind):
    """As the standard ones, which libraries compare it with: watchdog for one."""
    made = getattr(Queue, kind)
    for size in (0, -1, 3):
        assert made(size).maxsize == made(maxsize=size).maxsize == size
    assert made().maxsize == 0
    changed = made(1)
    changed.put(1)
    changed.maxsize = 2
    changed.put_nowait(2)
    assert changed.full()
    changed.maxsize = 0
    assert changed.maxsize == 0
    assert not changed.full()


@pytest.mark.parametrize("kind", ["Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"])
def test_queues_are_waited_for_and_raise_the_standard_errors(kind, in_order):
    made = getattr(Queue, kind)()
    log = in_order(made.get, lambda: made.put(1))
    assert log[-1] == (0, 1)
    with pytest.raises(queue.Empty):
        made.get(timeout=0.001)
    with pytest.raises(queue.Empty):
        made.get_nowait()
    if kind != "SimpleQueue":
        small = getattr(Queue, kind)(1)
        small.put(1)
        with pytest.raises(queue.Full):
            small.put(2, timeout=0.001)
        # As in the standard module: no limit.
        assert not getattr(Queue, kind)(0).full()


needs_shutdown = pytest.mark.skipif(
    sys.version_info < (3, 13), reason="queues can be shut down since Python 3.13"
)
KINDS = ["Queue", "LifoQueue", "PriorityQueue"]


@needs_shutdown
@pytest.mark.parametrize("kind", KINDS)
def test_queue_that_is_shut_down_gives_out_what_is_left(kind):
    made = getattr(Queue, kind)()
    made.put(1)
    assert not made.is_shutdown
    made.shutdown()
    assert made.is_shutdown
    assert type(made).__name__ == kind
    for put in (made.put, made.put_nowait):
        with pytest.raises(queue.ShutDown):
            put(2)
    assert made.get(timeout=1) == 1
    for get in (made.get, made.get_nowait):
        with pytest.raises(queue.ShutDown):
            get()
    made.shutdown()
    made.task_done()
    made.join()


@needs_shutdown
@pytest.mark.parametrize("kind", KINDS)
def test_shutdown_wakes_all_who_wait(kind):
    """Those in other OS threads too."""
    empty, full = getattr(Queue, kind)(), getattr(Queue, kind)(1)
    full.put(1)
    waiting = [eventlet.spawn(empty.get) for _ in range(2)]
    waiting += [eventlet.spawn(full.put, 2) for _ in range(2)]
    elsewhere = eventlet.spawn(tpool.execute, empty.get)
    with eventlet.Timeout(20):
        while empty.getting() < 3:
            eventlet.sleep(0.001)
        empty.shutdown()
        full.shutdown()
        for thread in (*waiting, elsewhere):
            with pytest.raises(queue.ShutDown):
                thread.wait()
    assert (empty.getting(), full.putting()) == (0, 0)
    assert full.get() == 1
    tpool.killall()


@needs_shutdown
def test_immediate_shutdown_drops_what_is_left_and_ends_joins():
    made = Queue.Queue(2)
    made.put(1)
    made.put(2)
    putting = eventlet.spawn(made.put, 3)
    joining = eventlet.spawn(made.join)
    eventlet.sleep(0)
    made.shutdown(immediate=True)
    with eventlet.Timeout(20):
        assert joining.wait() is None
        with pytest.raises(queue.ShutDown):
            putting.wait()
    assert made.qsize() == 0
    with pytest.raises(queue.ShutDown):
        made.get()


def test_profile_counts_the_time_of_each_green_thread():
    """Calls are attributed to who made them, although others ran in between."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        profile = importlib.import_module("eventlet.green.profile")

    def inner():
        eventlet.sleep(0)

    def outer():
        inner()
        eventlet.sleep(0)

    def both():
        for thread in [eventlet.spawn(outer) for _ in range(2)]:
            thread.wait()

    profiler = profile.Profile()
    profiler.runcall(both)
    profiler.create_stats()
    calls = {key[2]: value for key, value in profiler.stats.items()}
    assert calls["inner"][1] == calls["outer"][1] == 2
    callers = {key[2] for key in calls["inner"][4]}
    assert callers == {"outer"}


def test_library_is_green_when_it_is_imported_patched():
    """Whatever it imports in turn: client and server run beside each other."""
    client = import_patched("xmlrpc.client")
    library = import_patched("xmlrpc.server")
    assert client.http.client is http_client
    with library.SimpleXMLRPCServer(("127.0.0.1", 0), logRequests=False) as made:
        made.register_function(pow)
        running = eventlet.spawn(made.serve_forever, poll_interval=0.01)
        proxy = client.ServerProxy(f"http://127.0.0.1:{made.server_address[1]}")
        with eventlet.Timeout(20), proxy:
            assert proxy.pow(2, 10) == 1024
        made.shutdown()
        running.wait()


def test_several_may_join_one_thread():
    """The lock that up to CPython 3.12 is released at its end is handed over to nobody."""
    patched = import_patched("threading")
    ended = eventlet.Event()

    def target():
        assert patched.current_thread().is_alive()
        ended.wait()

    thread = patched.Thread(target=target)
    thread.start()
    joining = [eventlet.spawn(thread.join, *timeout) for timeout in [(), (), (5,)]]
    eventlet.sleep(0)
    thread.join(0)
    assert thread.is_alive()
    ended.send()
    for green in joining:
        assert green.wait() is None
    assert not thread.is_alive()
