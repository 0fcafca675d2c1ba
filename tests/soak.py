"""
Do everything at once, for minutes, with kills and closes at random.

    python tests/soak.py [SECONDS]

Ten minutes unless told otherwise, spent in rounds. In each, workers of every kind (plain
and TLS connections, datagrams and name lookups, subprocesses, locks, queues, tpool,
coroutines) run and are killed at random, and started again, and connections are closed
under them; then all are ended, and the process must hold no more descriptors, greenlets,
stacks and OS threads than after the first rounds, and about as much memory. An OS thread
watches that every kind gets on. Leaves with status 1, and says why, if something is wrong.
"""
# ruff: noqa: E402 (nothing may be imported before the standard library is patched)

from __future__ import annotations

import eventlet

eventlet.monkey_patch()

import asyncio
import collections
import faulthandler
import gc
import os
import random
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path

import dns.message
import dns.rrset

import eventlet.asyncio as bridge
import greenlet
from eventlet import debug, patcher, tpool
from eventlet.support import _resolver, greendns
from eventlet_asyncio import _core

ROUND = 8.0
# Rounds after which the process has loaded and pooled what it is going to.
WARM_UP = 3
# Seconds without progress of one kind that count as standing still.
STILL = 30.0
# What memory may grow by after the warm-up, in bytes: pools of stacks and of the
# allocator go on to settle for a while.
GROWTH = 24 << 20
# As many OS threads may be started after it: pools make one more whenever it happens that
# all they have are busy, up to a limit.
POOLED = 8

DATA = Path(__file__).parent / "data"
real_threading, real_time = patcher.original("threading"), patcher.original("time")
progress: collections.Counter[str] = collections.Counter()
errors: list[str] = []


class Round:
    """What the workers of one round share."""

    def __init__(self, chance: random.Random) -> None:
        self.random = chance
        self.over = False
        self.workers: dict[str, list[eventlet.greenthread.GreenThread]] = {}
        self.plain = eventlet.listen(("127.0.0.1", 0))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(DATA / "localhost.crt", DATA / "localhost.key")
        self.secure = context.wrap_socket(
            eventlet.listen(("127.0.0.1", 0)), server_side=True
        )
        self.trust = ssl.create_default_context(cafile=DATA / "localhost.crt")
        self.queue: eventlet.Queue = eventlet.Queue(5)
        self.lock, self.rlock = threading.Lock(), threading.RLock()
        self.inside: list[int] = []
        self.connections: list[socket.socket] = []
        self.names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.names.bind(("127.0.0.1", 0))


# The kinds of work: each does one piece of it, again and again.


def serve(work: Round, listener: socket.socket) -> None:
    connection, _address = listener.accept()
    eventlet.spawn_n(echo, connection)


def echo(connection: socket.socket) -> None:
    try:
        with connection:
            while data := connection.recv(8192):
                connection.sendall(data)
    except OSError:
        pass  # clients leave as they like


def plain_server(work: Round) -> None:
    serve(work, work.plain)


def tls_server(work: Round) -> None:
    with suppress(OSError):
        serve(work, work.secure)


def exchange(work: Round, sock: socket.socket) -> None:
    data = work.random.randbytes(work.random.choice((1, 100, 5000, 200_000)))
    sending = eventlet.spawn(send_quietly, sock, data)
    try:
        got = 0
        while got < len(data):
            chunk = sock.recv(65536)
            if not chunk:
                return
            assert chunk == data[got : got + len(chunk)], "echo is not what was sent"
            got += len(chunk)
    finally:
        sending.kill()


def send_quietly(sock: socket.socket, data: bytes) -> None:
    with suppress(OSError):
        sock.sendall(data)


def plain_client(work: Round) -> None:
    # The breaker may be faster.
    with (
        suppress(OSError),
        socket.create_connection(work.plain.getsockname(), 20) as sock,
    ):
        work.connections.append(sock)
        exchange(work, sock)


def tls_client(work: Round) -> None:
    with suppress(OSError, ValueError):
        raw = socket.create_connection(work.secure.getsockname(), 20)
        with work.trust.wrap_socket(raw, server_hostname="localhost") as sock:
            work.connections.append(sock)
            exchange(work, sock)


def breaker(work: Round) -> None:
    """End a connection at random while others read and write it."""
    if not work.connections:
        return
    place = work.random.randrange(len(work.connections))
    sock = work.connections.pop(place)
    del work.connections[:-20]
    # After a shutdown a TLS socket gives what comes undecrypted, as the standard one.
    plain = not isinstance(sock, ssl.SSLSocket)
    with suppress(OSError):
        if plain and work.random.random() < 0.5:
            sock.shutdown(socket.SHUT_RDWR)
        else:
            sock.close()


def closer(work: Round) -> None:
    """Close a socket that somebody waits for: the number is used again at once."""
    one, two = socket.socketpair()
    reader = eventlet.spawn(read_until_error, one)
    eventlet.sleep(0)
    one.close()
    three, four = socket.socketpair()
    with two, three, four:
        four.sendall(b"x")
        assert three.recv(1) == b"x"
        assert isinstance(reader.wait(), OSError), "a close woke nobody"


def read_until_error(sock: socket.socket) -> OSError | None:
    try:
        sock.recv(1)
    except OSError as error:
        return error
    return None


def child(work: Round) -> None:
    text = b"x" * work.random.choice((0, 10, 100_000))
    process = subprocess.Popen(
        ["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    try:
        assert process.communicate(text, timeout=20)[0] == text
    finally:
        if process.returncode is None:
            process.kill()
            process.stdin.close()
            process.stdout.close()
            process.wait()


def name(work: Round) -> None:
    """Ask dnspython on green sockets, and the system in an OS thread."""
    for module in (socket, _resolver):
        assert module.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)


def name_server(work: Round) -> None:
    data, address = work.names.recvfrom(4096)
    answer = dns.message.make_response(dns.message.from_wire(data))
    question = answer.question[0].name
    answer.answer.append(dns.rrset.from_text(question, 60, "IN", "A", "192.0.2.1"))
    work.names.sendto(answer.to_wire(), address)


def lookup(work: Round) -> None:
    """Ask a name server, which may be killed before it has answered."""
    query = dns.message.make_query("somewhere.test", "A")
    port = work.names.getsockname()[1]
    with suppress(dns.exception.Timeout):
        answer = greendns.udp(query, "127.0.0.1", timeout=0.5, port=port)
        assert answer.answer[0][0].address == "192.0.2.1"


def in_os_thread(work: Round) -> None:
    assert tpool.execute(pow, 3, 100, 7) == pow(3, 100, 7)
    with suppress(ZeroDivisionError):
        tpool.execute(divmod, 1, 0)


def from_os_thread(work: Round) -> None:
    """Wait for what an OS thread of its own puts, sends and releases."""
    event, items, lock = eventlet.Event(), eventlet.Queue(), threading.Lock()
    lock.acquire()

    def foreign() -> None:
        items.put(1)
        event.send(2)
        lock.release()

    thread = real_threading.Thread(target=foreign)
    thread.start()
    assert items.get() == 1
    assert event.wait() == 2
    assert lock.acquire(timeout=20)
    tpool.execute(thread.join)


def producer(work: Round) -> None:
    with eventlet.Timeout(work.random.random() / 50, False):
        work.queue.put(work.random.random())


def consumer(work: Round) -> None:
    with eventlet.Timeout(work.random.random() / 50, False):
        work.queue.get()


def critical(work: Round) -> None:
    with work.random.choice((work.lock, work.rlock)) as _taken:
        pass
    with work.lock:
        work.inside.append(1)
        try:
            assert len(work.inside) == 1, "two in one critical section"
            eventlet.sleep(0)
        finally:
            work.inside.pop()


def threads(work: Round) -> None:
    local = threading.local()
    done = threading.Event()

    def body() -> None:
        local.value = [local]
        done.set()

    thread = threading.Thread(target=body)
    thread.start()
    assert done.wait(20)
    thread.join()
    assert not hasattr(local, "value")


def coroutine(work: Round) -> None:
    async def nested() -> int:
        await asyncio.sleep(0)
        inner = bridge.spawn_for_awaitable(asyncio.sleep(0.001, 4))
        return await inner + sum(await asyncio.gather(one(), one()))

    async def one() -> int:
        return 1

    assert bridge.spawn_for_awaitable(nested()).wait() == 6


def green_coroutine(work: Round) -> None:
    """Wait by green calls and by `await` in one coroutine, beside a task of its own."""

    async def body() -> bytes:
        one, two = socket.socketpair()
        with one, two:
            task = asyncio.create_task(answer(two))
            data = one.recv(1)
            await task
            eventlet.sleep(0)
            return data

    async def answer(sock: socket.socket) -> None:
        await asyncio.to_thread(pow, 3, 100, 7)
        with suppress(OSError):  # closed by one who was killed
            sock.sendall(b"x")

    assert bridge.spawn_for_awaitable(body()).wait() == b"x"


def deep(work: Round) -> None:
    """Use much of the stack, which is given back later."""

    def down(depth: int) -> int:
        return 0 if depth == 0 else 1 + down(depth - 1)

    assert down(600) == 600
    eventlet.sleep(work.random.random() / 100)


KINDS = (
    *((plain_server, 2), (plain_client, 6), (tls_server, 2), (tls_client, 3)),
    *((closer, 3), (child, 2), (name, 2), (in_os_thread, 3), (from_os_thread, 1)),
    *((producer, 4), (consumer, 4), (critical, 6), (threads, 2), (coroutine, 4)),
    *((deep, 3), (name_server, 1), (lookup, 2), (green_coroutine, 2), (breaker, 1)),
)


def worker(kind, work: Round) -> None:
    while not work.over:
        try:
            kind(work)
        except Exception as error:
            traceback.print_exc()
            errors.append(f"{kind.__name__}: {error!r}")
            return
        progress[kind.__name__] += 1
        eventlet.sleep(work.random.random() / 500)


def killer(work: Round) -> None:
    """End a worker at random, wherever it is, and start another one in its place."""
    while not work.over:
        eventlet.sleep(work.random.random() / 50)
        kind, _count = work.random.choice(KINDS)
        workers = work.workers[kind.__name__]
        place = work.random.randrange(len(workers))
        workers[place].kill()
        workers[place] = eventlet.spawn(worker, kind, work)
        progress["killer"] += 1


def run_round(seconds: float, chance: random.Random) -> None:
    work = Round(chance)
    for kind, count in KINDS:
        started = [eventlet.spawn(worker, kind, work) for _ in range(count)]
        work.workers[kind.__name__] = started
    killing = eventlet.spawn(killer, work)
    eventlet.sleep(seconds)
    work.over = True
    killing.wait()
    for workers in work.workers.values():
        for green in workers:
            green.kill()
    for sock in (work.plain, work.secure, work.names):
        sock.close()


def sample() -> dict[str, int]:
    """Count what there is when nothing is left to do."""
    # Echoing green threads and threads of the pools see the end of what they served.
    for _ in range(50):
        eventlet.sleep(0.01)
    for _ in range(3):
        gc.collect()
        eventlet.sleep(0)
    status = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return {
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "greenlets": sum(isinstance(o, greenlet.greenlet) for o in gc.get_objects()),
        "stacks": _core._stack_statistics()["in_use"],
        "threads": len(list(Path("/proc/self/task").iterdir())),
        "memory": int(status[1]) * os.sysconf("SC_PAGE_SIZE"),
    }


def watch() -> None:
    """Run in an OS thread that nothing here can stop: end a process that stands still."""
    seen: dict[str, tuple[int, float]] = {}
    while True:
        real_time.sleep(1)
        now = real_time.monotonic()
        for kind in [kind.__name__ for kind, _count in KINDS] + ["killer"]:
            count, since = seen.get(kind, (-1, now))
            if progress[kind] != count:
                seen[kind] = (progress[kind], now)
            elif now - since > STILL:
                print(f"{kind} stands still", file=sys.stderr, flush=True)
                faulthandler.dump_traceback()
                os._exit(1)


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600.0
    seed = random.randrange(1 << 32)
    print("seed", seed, flush=True)
    chance = random.Random(seed)
    # Several servers accept from one listener.
    debug.hub_prevent_multiple_readers(False)
    real_threading.Thread(target=watch, daemon=True).start()
    end = time.monotonic() + seconds
    rounds: list[dict[str, int]] = []
    while len(rounds) <= WARM_UP or time.monotonic() < end:
        run_round(ROUND, chance)
        rounds.append(sample())
        print(len(rounds), rounds[-1], sum(progress.values()), flush=True)
        if errors:
            break
    settled = rounds[min(WARM_UP, len(rounds)) - 1 :]
    last = settled[-1]
    for what in ("descriptors", "greenlets", "stacks", "threads"):
        most = max(found[what] for found in settled[:2])
        if last[what] > most + (POOLED if what == "threads" else 0):
            errors.append(f"{what} grew from {most} to {last[what]}")
    if last["memory"] > settled[0]["memory"] + GROWTH:
        errors.append(f"memory grew from {settled[0]['memory']} to {last['memory']}")
    print(dict(progress))
    for when, found in (("start", settled[0]), ("end", last)):
        print(when, *(f"{what} {number}" for what, number in found.items()))
    print("\n".join(errors) or "pass")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
