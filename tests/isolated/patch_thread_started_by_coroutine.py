"""A coroutine and a callback start green threads under asyncio.run: the thread is alive."""

# ruff: noqa: E402 (patched before anything is imported)

import eventlet

eventlet.monkey_patch()
import asyncio
import threading
import time


async def main(in_callback):
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    seen = []

    def work():
        seen.append(threading.current_thread().name)
        time.sleep(0.01)
        seen.append(threading.get_ident())
        loop.call_soon_threadsafe(done.set_result, "done")

    thread = threading.Thread(target=work, name="worker")
    assert not thread.is_alive()
    if in_callback:
        # Which cannot wait: nor does start().
        started = loop.create_future()
        loop.call_soon(lambda: started.set_result(thread.start()))
        await started
    else:
        thread.start()
    assert thread.is_alive()
    assert thread.ident
    assert thread in threading.enumerate()
    try:
        thread.start()
    except RuntimeError:
        pass
    else:
        raise AssertionError
    assert await done == "done"
    assert seen == ["worker", thread.ident]
    while thread.is_alive():  # noqa: ASYNC110 - it ends when it next has its turn
        await asyncio.sleep(0)
    thread.join()
    assert thread not in threading.enumerate()


for in_callback in (False, True, False):
    asyncio.run(main(in_callback))
    eventlet.spawn(asyncio.run, main(in_callback)).wait()
print("pass")
