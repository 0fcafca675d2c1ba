"""Executors run OS threads under monkey_patch, and green code waits cooperatively."""

# loops: uvloop

# ruff: noqa: E402 (classes are props; when what is imported is the subject)

import eventlet

eventlet.monkey_patch()
from concurrent import futures

native_id = eventlet.patcher.original("threading").get_native_id
block = eventlet.patcher.original("threading").Event()
ticks = []


def tick():
    while len(ticks) < 5:
        ticks.append(1)
        eventlet.sleep(0)
    block.set()


def work(number):
    assert native_id() != main
    assert block.wait(30)
    return number * 2


main = native_id()
with futures.ThreadPoolExecutor(3) as pool:
    eventlet.spawn(tick)
    # Each of these waits ends only because green threads run meanwhile.
    assert list(pool.map(work, range(9))) == [0, 2, 4, 6, 8, 10, 12, 14, 16]
    assert len(ticks) == 5
    done, pending = futures.wait([pool.submit(work, n) for n in range(3)])
    assert (len(done), len(pending)) == (3, 0)
    assert sorted(f.result() for f in futures.as_completed(done)) == [0, 2, 4]

    block.clear()
    late = pool.submit(work, 1)
    try:
        late.result(timeout=0.01)
    except futures.TimeoutError:
        block.set()
    assert late.result() == 2
    try:
        pool.submit(lambda: 1 // 0).result()
    except ZeroDivisionError:
        pass
    else:
        raise AssertionError
    block.clear()
    last = pool.submit(work, 4)
    eventlet.spawn(block.set)
# Leaving the block has waited for the last one.
assert last.done()
print("pass")
