"""Processes, their queues, locks and pools work in a patched process."""

# loops: uvloop

# ruff: noqa: E402 (when what is imported is the subject)

import eventlet

eventlet.monkey_patch()
import multiprocessing
from concurrent.futures import ProcessPoolExecutor


def double(number):
    return number * 2


def answer(queue, number):
    queue.put(double(number))


def hold(lock, held, release):
    with lock:
        held.set()
        release.wait(30)


def main():
    ticks = []

    def tick():
        while True:
            ticks.append(1)
            eventlet.sleep(0.001)

    ticker = eventlet.spawn(tick)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=answer, args=(queue, 4))
    child.start()
    assert queue.get() == 8
    child.join()
    assert child.exitcode == 0

    # Waiting for a lock that another process holds stops nobody.
    lock, held, release = context.Lock(), context.Event(), context.Event()
    child = context.Process(target=hold, args=(lock, held, release))
    child.start()
    held.wait(30)
    assert not lock.acquire(timeout=0.01)
    eventlet.spawn(release.set)
    assert lock.acquire()
    lock.release()
    child.join()

    with context.Pool(2) as pool:
        assert pool.map(double, range(5)) == [0, 2, 4, 6, 8]
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        assert list(executor.map(double, range(5))) == [0, 2, 4, 6, 8]
    ticker.kill()
    assert len(ticks) > 10


if __name__ == "__main__":
    main()
    print("pass")
