"""
``python -m asyncio ps`` and ``pstree`` show the frames of the tasks on the hub's loop.

Those in a green call, too, up to the coroutine that makes it; and who awaits whom.
"""
# since: 3.14

import eventlet

eventlet.monkey_patch()

import asyncio
import os
import subprocess
import sys
import time

import eventlet.asyncio


async def leaf():
    await asyncio.sleep(60)


async def middle():
    await leaf()


def blocks():
    time.sleep(60)


async def in_green_call():
    blocks()


async def parent():
    async with asyncio.TaskGroup() as group:
        group.create_task(middle(), name="waits")
        group.create_task(in_green_call(), name="blocks")


def ask(command):
    done = subprocess.run(
        [sys.executable, "-m", "asyncio", command, str(os.getpid())],
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode and "ermission" in done.stderr:
        print("skip: processes cannot be read here: " + done.stderr[-200:])
        sys.exit()
    assert done.returncode == 0, done
    return done.stdout


root = eventlet.asyncio.spawn_for_awaitable(parent())
eventlet.sleep(0.1)
rows = [line.split() for line in ask("ps").splitlines()]
(waits,) = (row for row in rows if "waits" in row)
assert " ".join(waits).count("sleep -> leaf -> middle") == 1, rows
(blocked,) = (row for row in rows if "blocks" in row)
assert "in_green_call" in blocked, rows
assert all("parent" in row for row in (waits, blocked)), rows

drawn = [line.strip(" │├└─") for line in ask("pstree").splitlines()]
drawn = [line.rsplit(" ", 1)[0] for line in drawn if line]
start = drawn.index("(T)")
shape = [
    line for line in drawn if line in {"parent", "middle", "leaf", "in_green_call"}
]
assert shape == ["parent", "middle", "leaf", "in_green_call"], drawn
(task,) = (
    t
    for t in asyncio.all_tasks(eventlet.hubs.get_hub().loop)
    if t.get_name() == "waits"
)
graph = asyncio.format_call_graph(task)
assert "async leaf()" in graph, graph
assert "async parent()" in graph, graph
root.kill()
print("pass")
