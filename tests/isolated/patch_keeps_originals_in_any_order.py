"""
Whichever of asyncio, executors and Eventlet comes first, and whenever it is patched: asyncio
and concurrent.futures are bound to original modules, and work.
"""

import itertools
import subprocess
import sys

STEPS = {
    "asyncio": "import asyncio",
    "executors": "import concurrent.futures.thread, concurrent.futures.process",
    "patch": "import eventlet; eventlet.monkey_patch()",
    "bridge": "import eventlet.asyncio; eventlet.hubs.get_hub()",
    "green": "import eventlet.green.subprocess, eventlet.green.threading",
}
CHECK = """
import asyncio, sys, eventlet, concurrent.futures
from asyncio import base_events, selector_events, subprocess, unix_events
from concurrent.futures import process, thread
from eventlet import patcher

NAMES = "os queue select selectors socket subprocess threading".split()
for module in (base_events, selector_events, subprocess, unix_events):
    for name in NAMES:
        found = vars(module).get(name)
        assert found in (None, patcher.original(name)), (module, name)
for module in (base_events, selector_events, subprocess, unix_events, process, thread):
    for name in NAMES:
        assert vars(module).get(name, "none") is not sys.modules[name], (module, name)

async def main():
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read() == b""
    writer.close()
    server.close()
    return await asyncio.to_thread(patcher.original("threading").get_native_id)

native = patcher.original("threading").get_native_id()
assert asyncio.run(main()) != native
assert eventlet.spawn(asyncio.run, main()).wait() != native
print("fine")
"""

failures = []
for order in itertools.permutations(STEPS):
    # What comes before the patch makes the difference, and in which order.
    before = order[: order.index("patch")]
    after = order[len(before) + 1 :]
    if len(before) > 2 or list(after) != sorted(after):
        continue
    program = "\n".join(STEPS[step] for step in order) + CHECK
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    if (done.returncode, done.stdout, done.stderr) != (0, "fine\n", ""):
        failures.append((order, done.returncode, done.stdout, done.stderr))
for failure in failures:
    print(*failure, sep="\n")
assert not failures
print("pass")
