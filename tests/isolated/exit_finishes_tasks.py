"""
At exit tasks are cancelled and clean up, and asynchronous generators are closed; green
threads that nobody needs for that are abandoned. It takes bounded time.
"""

# loops: uvloop

import subprocess
import sys

COMMON = """
import asyncio
import sys
import eventlet
from eventlet.asyncio import spawn_for_awaitable
from eventlet.event import Event

awaited = []

async def waits(name):
    # Kept: a task and a future that know only each other are garbage.
    awaited.append(asyncio.get_running_loop().create_future())
    try:
        await awaited[-1]
    finally:
        print("told", name)
        await asyncio.sleep(0)
        print("cleaned up", name)

async def numbers():
    try:
        yield 1
    finally:
        await asyncio.sleep(0)
        print("closed")

def abandoned():
    try:
        Event().wait()
    finally:
        print("not abandoned")

others = [eventlet.spawn(abandoned)]
eventlet.sleep(0)
{more}
print("over")
{end}
"""
TASK = "green = spawn_for_awaitable(waits('task')); eventlet.sleep(0)"
FINISHED = ["over", "told task", "cleaned up task"]
# name: (what comes before "over", what after it, what is printed, status, error)
CASES = {
    "nothing": ("", "", ["over"], 0, None),
    "task": (TASK, "", FINISHED, 0, None),
    "several": (
        "for i in 'ab': spawn_for_awaitable(waits(i))\neventlet.sleep(0)",
        "",
        None,
        0,
        None,
    ),
    "task that never began": (
        "task = asyncio.ensure_future(waits('never'))",
        "",
        ["over"],
        0,
        None,
    ),
    "exit status": (TASK, "sys.exit(3)", FINISHED, 3, None),
    "exit in a green thread": (
        TASK,
        "eventlet.spawn(sys.exit, 4).wait()",
        FINISHED,
        4,
        None,
    ),
    "error of main": (TASK, "1 / 0", FINISHED, 1, "ZeroDivisionError"),
    "generator": (
        (
            "async def take():\n"
            "    kept.append(numbers())\n"
            "    await kept[0].__anext__()\n"
            "kept = []\n"
            "spawn_for_awaitable(take()).wait()"
        ),
        "",
        ["over", "closed"],
        0,
        None,
    ),
    "error in the cleanup": (
        (
            "async def fails():\n"
            "    try: await asyncio.sleep(100)\n"
            "    finally: raise KeyError('cleanup')\n"
            "green = spawn_for_awaitable(fails()); eventlet.sleep(0)"
        ),
        "",
        ["over"],
        0,
        "KeyError: 'cleanup'",
    ),
    "awaited green thread": (
        (
            "def blocked():\n"
            "    try: Event().wait()\n"
            "    finally: print('green')\n"
            "async def awaits(): await eventlet.spawn(blocked)\n"
            "green = spawn_for_awaitable(awaits()); eventlet.sleep(0); eventlet.sleep(0)"
        ),
        "",
        ["over", "green"],
        0,
        None,
    ),
    "OS threads in the cleanup": (
        (
            "async def works():\n"
            "    try: await asyncio.sleep(100)\n"
            "    finally: await asyncio.to_thread(print, 'worked')\n"
            "green = spawn_for_awaitable(works()); eventlet.sleep(0)\n"
            "spawn_for_awaitable(asyncio.to_thread(int)).wait()"
        ),
        "",
        ["over", "worked"],
        0,
        None,
    ),
    "task that does not end": (
        (
            "import eventlet.hubs._ending\n"
            "eventlet.hubs._ending.SECONDS = 0.05\n"
            "async def stays():\n"
            "    while True:\n"
            "        try: await asyncio.sleep(100)\n"
            "        except asyncio.CancelledError: print('stays')\n"
            "green = spawn_for_awaitable(stays()); eventlet.sleep(0)"
        ),
        "",
        ["over", "stays"],
        0,
        "did not end",
    ),
    "Ctrl-C in the cleanup": (
        (
            "import os, signal\n"
            "async def interrupts():\n"
            "    try: await asyncio.sleep(100)\n"
            "    finally:\n"
            "        os.kill(os.getpid(), signal.SIGINT)\n"
            "        await asyncio.sleep(100)\n"
            "green = spawn_for_awaitable(interrupts()); eventlet.sleep(0)"
        ),
        "",
        ["over"],
        0,
        None,
    ),
}

failures = []
for name, (more, end, expected, status, error) in CASES.items():
    done = subprocess.run(
        [
            *(sys.executable, "-X", "faulthandler", "-c"),
            COMMON.replace("{more}", more).replace("{end}", end),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    lines = done.stdout.splitlines()
    fine = done.returncode == status
    if expected is None:
        fine &= sorted(lines[1:3]) == ["told a", "told b"]
        fine &= sorted(lines[3:]) == ["cleaned up a", "cleaned up b"]
    else:
        fine &= lines == expected
    fine &= done.stderr == "" if error is None else done.stderr.count(error) == 1
    if not fine:
        failures.append((name, done.returncode, lines, done.stderr))
for failure in failures:
    print(*failure, sep="\n")
assert not failures
print("pass")
