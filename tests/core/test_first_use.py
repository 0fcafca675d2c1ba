"""
Eight OS threads use each thing that is made on first use at the same time, first of all.

Each thing has a process of its own, in which the interpreter lets another thread run after
every few instructions. What is made later by whatever means belongs into the table.
"""

import pkgutil

import pytest

import eventlet

THINGS = {
    "hub": "eventlet.hubs.get_hub()",
    "sleep": "eventlet.sleep(0)",
    "spawn": "assert eventlet.spawn(abs, -1).wait() == 1",
    "poll hub": "from eventlet.hubs import poll; poll.Hub()",
    "loop": "assert eventlet.hubs.get_hub().loop is not None",
    "asyncio.run": "import asyncio; asyncio.run(asyncio.sleep(0))",
    "spawn_for_awaitable": """
from eventlet.asyncio import spawn_for_awaitable
import asyncio
async def waits():
    await asyncio.sleep(0)
    eventlet.sleep(0)
    return await eventlet.spawn(abs, -1)
assert spawn_for_awaitable(waits()).wait() == 1
""",
    "adapters": """
import eventlet.asyncio
async def waits(): return await eventlet.asyncio.sync_to_async(abs)(-1)
assert eventlet.asyncio.run(waits()) == 1
assert eventlet.asyncio.async_to_sync(waits)() == 1
""",
    "pipes": "assert subprocess.check_output(['echo', 'x']) == b'x\\n'",
    "green subprocess": """
from eventlet.green import subprocess
assert subprocess.check_output(['echo', 'x']) == b'x\\n'
""",
    "GreenPipe": """
from eventlet.greenio import GreenPipe
ends = os.pipe()
with GreenPipe(ends[1], 'w') as writes: writes.write('x')
with GreenPipe(ends[0]) as reads: assert reads.read() == 'x'
""",
    "builtin open": "from eventlet.green import builtin; builtin.open(os.devnull).read()",
    "tpool": "from eventlet import tpool; assert tpool.execute(abs, -1) == 1",
    "proxy": "from eventlet import tpool; assert tpool.Proxy([1]).count(1) == 1",
    "executor": """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(1) as pool: assert pool.submit(abs, -1).result() == 1
""",
    "original": """
from eventlet import patcher
names = 'os queue select selectors socket subprocess threading time _thread ssl http.client'
found = [patcher.original(name) for name in names.split()]
found[0].getpid, found[1].Queue(), found[3].DefaultSelector().close(), found[10].HTTPConnection
assert found == [patcher.original(name) for name in names.split()]
""",
    "import_patched": """
from eventlet import patcher
assert patcher.import_patched('http.client').HTTPConnection
""",
    "resolver": """
from eventlet.green import socket
assert socket.getaddrinfo('127.0.0.1', 80) and socket.gethostbyname('localhost')
""",
    "awaited resolver": """
import asyncio
from eventlet.support import greendns
from eventlet_asyncio import _core
asyncio.run(_await(_core))
""",
    "dns": """
from eventlet.support import greendns
greendns.is_ip_addr('::1'), greendns.resolve
try: greendns.resolver
except ImportError: pass
""",
    "sockets": """
from eventlet.green import socket
one, other = socket.socketpair()
eventlet.spawn(one.sendall, b'x')
assert other.recv(1) == b'x' and other.makefile('rwb')
""",
    "select": """
from eventlet.green import select, selectors, os
ends = os.pipe(); os.write(ends[1], b'x')
assert select.select([ends[0]], [], [], 1)[0] == [ends[0]]
selectors.DefaultSelector().close()
""",
    "TLS": """
from eventlet.green import ssl
ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT); ssl.GreenSSLSocket
""",
    "locks": """
from eventlet.green import threading, thread, Queue
with threading.RLock(), threading.Condition(), thread.allocate_lock(): pass
q = Queue.Queue(); q.put(1); assert q.get() == 1
t = threading.Thread(target=abs, args=(1,)); t.start(); t.join()
threading.local().x = threading.current_thread()
""",
    "queues": """
q = eventlet.queue.LightQueue(1); q.put(1); assert q.get() == 1
q = eventlet.queue.PriorityQueue(); q.put(1); assert q.get() == 1
""",
    "timeouts": """
with eventlet.Timeout(0.001, False): eventlet.sleep(1)
""",
    "pools": """
assert list(eventlet.GreenPool().imap(abs, [-1])) == [1]
from eventlet import dagpool, db_pool, pools
""",
    "server": """
from eventlet import wsgi
from eventlet.green import socket
def answer(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'x']
listener = eventlet.listen(('127.0.0.1', 0))
server = eventlet.spawn(wsgi.server, listener, answer, log_output=False)
client = eventlet.connect(listener.getsockname())
client.sendall(b'GET / HTTP/1.0\\r\\nHost: h\\r\\n\\r\\n')
assert client.makefile('rb').read().endswith(b'x')
server.kill()
""",
    "websocket": "from eventlet import websocket; websocket.WebSocketWSGI(abs)",
    "local": "from eventlet import corolocal; corolocal.local().x = 1",
    "debug": "from eventlet import debug; debug.format_hub_listeners()",
    "logging": "import logging; logging.getLogger(str(number)).warning; eventlet.sleep(0)",
    "MySQLdb and zmq": """
for name in ('MySQLdb', 'zmq', 'OpenSSL', 'http', 'urllib'):
    try: __import__(f'eventlet.green.{name}')
    except ImportError: pass
""",
    "greenlet": "import greenlet; assert greenlet.greenlet(abs).switch(-1) == 1",
    "names": "[getattr(eventlet, name) for name in dir(eventlet)]",
    "modules": "[importlib.import_module(name) for name in MODULES]",
}
PROGRAM = """
import importlib, os, subprocess, sys
import eventlet
if {patched}: eventlet.monkey_patch()
from eventlet import patcher
import _thread
MODULES = {modules!r}
real = sys.modules.get('__original_module__thread') or _thread
start = patcher.original('_thread').start_new_thread
allocate = patcher.original('_thread').allocate_lock
pause = patcher.original('time').sleep
N = 8
ready, done, bad, gate = [], [], [], allocate()
gate.acquire()

async def _await(core):
    answer = await core.await_getaddrinfo('127.0.0.1', 80, 0, 0, 0, 0)
    assert answer

def use(number, ends):
    ready.append(1)
    gate.acquire(); gate.release()
    try:
        exec(CODE, dict(globals(), number=number))
    except BaseException as error:
        import traceback
        bad.append(traceback.format_exc())
    done.append(number)
    eventlet.hubs.get_hub()
    ends.release()

CODE = compile({code!r}, 'thing', 'exec')
ends = []
for number in range(N):
    end = allocate(); end.acquire(); ends.append(end)
    start(use, (number, end))
while len(ready) < N: pause(0.001)
sys.setswitchinterval(1e-5)
gate.release()
for end in ends: assert end.acquire(True, 30), (len(done), 'of', N)
sys.setswitchinterval(0.005)
assert not bad, bad[0]
"""


def modules():
    """Name the public modules, which are imported when they are first asked for."""
    names = pkgutil.walk_packages(eventlet.__path__, "eventlet.", onerror=str)
    # Those need what may be missing here, or say that they are deprecated.
    left_out = ("MySQLdb", "zmq", "OpenSSL", "psycopg2", "greendns")
    left_out += ("asyncore", "asynchat", "CGIHTTP")
    return [m.name for m in names if not any(word in m.name for word in left_out)]


@pytest.mark.parametrize("patched", [False, True], ids=["unpatched", "patched"])
@pytest.mark.parametrize("thing", THINGS)
def test_eight_threads_use_it_first(thing, patched, run_isolated):
    """All eight succeed, and nothing is printed."""
    program = PROGRAM.format(
        code=THINGS[thing],
        patched=patched,
        modules=modules() if thing == "modules" else [],
    )
    done = run_isolated(program, {"EVENTLET_HUB": "asyncio"})
    assert done.stderr == ""
