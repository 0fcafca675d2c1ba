"""asyncio's subprocesses and threads work in a patched process."""

# loops: uvloop

# ruff: noqa: E402 (classes are props; when what is imported is the subject)

import eventlet

eventlet.monkey_patch()
import asyncio
import sys
import threading

from eventlet.asyncio import spawn_for_awaitable


async def child():
    program = "import sys; sys.stdout.write(sys.stdin.read().upper())"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _errors = await process.communicate(b"hello")
    return output, process.returncode


async def thread():
    return await asyncio.to_thread(eventlet.patcher.original("threading").get_native_id)


main = eventlet.patcher.original("threading").get_native_id()
assert spawn_for_awaitable(child()).wait() == (b"HELLO", 0)
assert spawn_for_awaitable(thread()).wait() != main
assert threading.active_count() == 1
print("pass")
