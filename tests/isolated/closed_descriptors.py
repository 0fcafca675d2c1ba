"""
A program that closes every descriptor, as one does to become a daemon, goes on with its hub:
on each driver, in green code, in coroutines, and with other files behind the numbers.
"""

import asyncio
import os
import select
import signal
import socket
import tempfile
import threading
import traceback

import eventlet
from eventlet import hubs, tpool
from eventlet.asyncio import spawn_for_awaitable
from eventlet.event import Event
from eventlet.green import socket as green

FILES = 40


def files():
    """Open files to write to: nothing may come there but what is written."""
    return [tempfile.TemporaryFile() for _ in range(FILES)]


def pollers():
    return [select.epoll() for _ in range(FILES)]


def sockets():
    return [end for _ in range(FILES) for end in socket.socketpair()]


def pipes():
    return [os.pipe() for _ in range(FILES)]


def talk():
    """Use whatever needs the hub's own descriptors."""
    eventlet.sleep(0.001)
    a, b = green.socketpair()
    reader = eventlet.spawn(a.recv, 10)
    eventlet.sleep(0)
    b.sendall(b"text")
    assert reader.wait() == b"text"
    told = Event()
    threading.Timer(0.06, told.send, ("told",)).start()
    with eventlet.Timeout(5):
        assert told.wait() == "told"
    assert tpool.execute(int, "3") == 3
    a.close()
    b.close()


def untouched(opened):
    """Check that the files are open, and that nothing was written to them."""
    for file in opened:
        for end in file if isinstance(file, tuple) else (file,):
            status = os.fstat(end if isinstance(end, int) else end.fileno())
            assert status.st_size == 0
        if isinstance(file, socket.socket):
            file.setblocking(False)
            try:
                assert not file.recv(1)
            except BlockingIOError:
                pass


def in_green_code(reopen):
    talk()
    ends = socket.socketpair()
    listener = green.socket(fileno=ends[0].detach())

    def read():
        try:
            return listener.recv(1)
        except OSError:
            return "closed"

    waits = eventlet.spawn(read)
    eventlet.sleep(0)
    os.closerange(3, 1000)
    opened = reopen() if reopen else []
    talk()
    if not opened:
        with eventlet.Timeout(5):
            assert waits.wait() == "closed"
    untouched(opened)
    hubs.use_hub(os.environ["EVENTLET_HUB"])
    talk()
    untouched(opened)
    os.fork()
    talk()
    untouched(opened)


def only_the_poller(reopen):
    a, b = green.socketpair()
    talk()
    reader = eventlet.spawn(a.recv, 10)
    eventlet.sleep(0)
    for number in map(int, os.listdir("/proc/self/fd")):
        if number > 2:
            try:
                kind = os.readlink(f"/proc/self/fd/{number}")
            except OSError:
                continue
            if "anon_inode" in kind:
                os.close(number)
    opened = reopen() if reopen else []
    talk()
    b.sendall(b"still")
    with eventlet.Timeout(5):
        assert reader.wait() == b"still"
    untouched(opened)


async def await_all():
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0.001)
    assert await loop.run_in_executor(None, int, "3") == 3
    assert await eventlet.spawn(lambda: (eventlet.sleep(0.001), 4)[1]) == 4
    talk()
    done = asyncio.Event()
    threading.Timer(0.06, loop.call_soon_threadsafe, (done.set,)).start()
    await asyncio.wait_for(done.wait(), 5)


async def work(reopen):
    loop = asyncio.get_running_loop()
    heard = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, heard.set)
    await await_all()
    os.closerange(3, 1000)
    opened = reopen() if reopen else []
    await await_all()
    os.kill(os.getpid(), signal.SIGUSR1)
    await asyncio.wait_for(heard.wait(), 5)
    untouched(opened)


def in_a_coroutine(reopen):
    spawn_for_awaitable(work(reopen)).wait()
    talk()


def under_asyncio_run(reopen):
    asyncio.run(work(reopen))
    talk()
    asyncio.run(await_all())


def in_the_loop_of_green_code(reopen):
    talk()
    eventlet.spawn(asyncio.run, work(reopen)).wait()
    talk()
    eventlet.spawn(asyncio.run, await_all()).wait()


def between_runs(reopen):
    asyncio.run(await_all())
    talk()
    os.closerange(3, 1000)
    opened = reopen() if reopen else []
    asyncio.run(await_all())
    talk()
    untouched(opened)


def as_a_daemon(reopen):
    talk()
    ready, tell = socket.socketpair()
    if os.fork():
        ready.settimeout(20)
        tell.close()
        assert ready.recv(10) == b"done"
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    kept = os.dup2(tell.fileno(), 900)
    os.closerange(0, 900)
    for number in range(3):
        assert os.open("/dev/null", os.O_RDWR) == number
    opened = reopen() if reopen else []
    talk()
    untouched(opened)
    os.write(kept, b"done")
    os._exit(0)


GREEN = in_green_code, only_the_poller, as_a_daemon
ASYNCIO = in_a_coroutine, under_asyncio_run, in_the_loop_of_green_code, between_runs


def attempt(name, scenario, reopen):
    """Run a scenario in a process of its own."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.environ["EVENTLET_HUB"] = name
            signal.alarm(20)
            scenario(reopen)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1]


runs = [
    (name, scenario, reopen)
    for name in ("asyncio", "epolls", "poll")
    for scenario in GREEN + (ASYNCIO if name == "asyncio" else ())
    for reopen in (None, files, pollers, sockets, pipes)
    if name == "asyncio" or reopen in (None, pollers)
]
failed = [run for run in runs if attempt(*run)]
assert not failed, failed
print("pass")
