"""What the tests of coverage measure: lines marked "never" do not run, all others do."""

import asyncio
import time

import eventlet
import greenlet
from eventlet import event, greenpool, queue, semaphore, timeout, tpool
from eventlet.asyncio import await_, spawn_for_awaitable


def first(steps):
    total = 0
    for step in range(steps):
        eventlet.sleep(0)
        total += step
        if total > 100:
            total = 0  # never
    return total


def second():
    eventlet.sleep(0)
    third()
    eventlet.sleep(0.01)
    value = 1
    return value


def third():
    for _ in range(3):
        eventlet.sleep(0)
        fourth = 4
    return fourth


def unused():
    one = 1  # never
    two = 2  # never
    return one + two  # never


def stopped():
    try:
        eventlet.sleep(60)
        wrong = 1  # never
    except greenlet.GreenletExit:
        caught = 2
        raise
    finally:
        eventlet.sleep(0)
        cleaned = 3
    return wrong, caught, cleaned  # never


def late():
    with timeout.Timeout(0.01, False):
        eventlet.sleep(60)
        wrong = 1  # never
    eventlet.sleep(0)
    right = 2
    return right


def produce(items):
    for item in range(4):
        items.put(item)
        sent = item
    items.put(None)
    return sent


def consume(items):
    taken = []
    while True:
        item = items.get()
        if item is None:
            break
        taken.append(item)
    return taken


def wait_for(done):
    value = done.wait()
    value += 1
    return value


def numbers():
    for number in range(3):
        eventlet.sleep(0)
        yield number
    eventlet.sleep(0)
    last = 3
    yield last


def loop_over():
    total = 0
    for number in numbers():
        total += number
    return total


def guarded(lock):
    with lock:
        eventlet.sleep(0)
        held = 1
    eventlet.sleep(0)
    released = held
    return released


def ping(other):
    answer = other.switch(1)
    answer += 1
    answer = other.switch(answer)
    return answer


def pong(value):
    value = greenlet.getcurrent().parent.switch(value + 1)
    value += 1
    return value


async def plain(count):
    total = 0
    for number in range(count):
        await asyncio.sleep(0)
        total += number
    if total > 100:
        total = 0  # never
    return total


async def blocking(count):
    total = 0
    for number in range(count):
        eventlet.sleep(0)
        total += number
        await asyncio.sleep(0)
        third()
        total += 1
    return total


async def unawaited():
    return 1  # never


async def deep():
    inner = await blocking(2)
    inner += await plain(2)
    eventlet.sleep(0)
    return inner


async def cancelled():
    try:
        await asyncio.sleep(60)
        wrong = 1  # never
    except asyncio.CancelledError:
        eventlet.sleep(0)
        raise
    return wrong  # never


async def stream():
    for number in range(2):
        eventlet.sleep(0)
        yield number
    await asyncio.sleep(0)
    yield 2


async def tasks():
    jobs = [asyncio.ensure_future(job) for job in (plain(3), blocking(3), deep())]
    victim = asyncio.ensure_future(cancelled())
    results = await asyncio.gather(*jobs)
    victim.cancel()
    await asyncio.gather(victim, return_exceptions=True)
    async for number in stream():
        results.append(number)
    results.append(await eventlet.spawn(second))
    return results


def in_worker(count):
    total = 0
    for number in range(count):
        time.sleep(0.001)
        total += number
    if total > 100:
        total = 0  # never
    return total


def offload():
    eventlet.sleep(0)
    result = tpool.execute(in_worker, 3)
    result += 1
    return result


def main():
    items, done, lock = queue.Queue(1), event.Event(), semaphore.Semaphore()
    pool = greenpool.GreenPool(4)
    threads = [
        pool.spawn(first, 3),
        pool.spawn(second),
        pool.spawn(late),
        pool.spawn(produce, items),
        eventlet.spawn(consume, items),
        eventlet.spawn(wait_for, done),
        eventlet.spawn(loop_over),
        eventlet.spawn(guarded, lock),
        eventlet.spawn(guarded, lock),
        eventlet.spawn(offload),
        spawn_for_awaitable(deep()),
    ]
    victim = eventlet.spawn(stopped)
    eventlet.sleep(0)
    done.send(1)
    results = [thread.wait() for thread in threads]
    victim.kill()
    other = greenlet.greenlet(pong)
    results.append(ping(other))
    results += pool.imap(first, [2, 3])
    results.append(await_(blocking(2)))
    results.append(eventlet.spawn(asyncio.run, tasks()).wait())
    results.append(asyncio.run(tasks()))
    return results


main()
