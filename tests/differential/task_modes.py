"""The ways in which a program of tasks is run."""

from __future__ import annotations

import _thread
import asyncio
import threading

import task_machine

#: Modes in which green threads tick beside the program.
BESIDE = ("spawn", "green", "patched", "await")


def prepare(mode: str) -> None:
    """
    Make the process what the mode asks for.

    oracle
        Plain asyncio; Eventlet is never imported.
    run
        ``eventlet.asyncio.run(main())``.
    spawn
        ``spawn_for_awaitable(main()).wait()``.
    plain
        ``asyncio.run(main())`` in main, after the hub was used.
    green
        ``asyncio.run(main())`` in a green thread.
    await
        ``eventlet.asyncio.await_(main())`` in a green thread.
    patched
        As spawn, after ``monkey_patch()``.
    cross
        ``eventlet.asyncio.run`` of a coroutine that awaits a green thread for main.
    """
    start = threading.Thread
    begin = _thread.start_new_thread
    if mode == "patched":
        import eventlet

        eventlet.monkey_patch()
        task_machine.start_thread = lambda function: begin(function, ())
        return
    task_machine.start_thread = lambda it: start(target=it, daemon=True).start()
    if mode != "oracle":
        import eventlet

        eventlet.sleep(0)


def run(program, unit, mode: str, clock):
    """Run a program; return its trace, and what its loop reported."""
    machine = task_machine.Machine(program, unit, clock)
    try:
        result = (
            asyncio.run(machine.main()) if mode == "oracle" else ours(machine, mode)
        )
        machine.log("outcome", machine.val(result))
    except BaseException as error:
        machine.log("outcome", "raised", machine.fmt(error))
    machine.close()
    return machine.trace, machine.reports


def ours(machine, mode: str):
    """Run a program with the hub; return what its main coroutine does."""
    import eventlet
    from eventlet.asyncio import await_, spawn_for_awaitable
    from eventlet.asyncio import run as run_in_eventlet

    over = []

    def tick():
        while not over:
            eventlet.sleep(machine.unit / 3)

    def beat():
        while not over:
            eventlet.sleep(0)
            eventlet.sleep(machine.unit)

    async def across():
        return await spawn_for_awaitable(machine.main())

    beside = [eventlet.spawn(it) for it in (tick, beat)] if mode in BESIDE else []
    try:
        if mode == "run":
            return run_in_eventlet(machine.main())
        if mode in ("spawn", "patched"):
            return spawn_for_awaitable(machine.main()).wait()
        if mode == "plain":
            eventlet.sleep(0)
            return asyncio.run(machine.main())
        if mode == "green":
            return eventlet.spawn(asyncio.run, machine.main()).wait()
        if mode == "await":
            return eventlet.spawn(await_, machine.main()).wait()
        assert mode == "cross", mode
        return run_in_eventlet(across())
    finally:
        over.append(True)
        for green in beside:
            green.wait()
