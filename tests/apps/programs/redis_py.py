"""redis-py waits in its own green thread: pipelines, blocking pops, subscriptions."""

# server: redis
# needs: redis

import eventlet

eventlet.monkey_patch()

import asyncio
import os
import time

import redis
import redis.asyncio

URL = os.environ["APPS_REDIS"]


def blocking_pops():
    """Fifty green threads wait in BRPOP, on connections of one pool."""
    client = redis.Redis.from_url(URL, max_connections=100)
    waiting = [
        eventlet.spawn(client.brpop, f"job:{number}", 20) for number in range(50)
    ]
    begin = time.monotonic()
    eventlet.sleep(0)
    with client.pipeline() as pipe:
        for number in range(50):
            pipe.lpush(f"job:{number}", number)
        assert len(pipe.execute()) == 50
    for number, thread in enumerate(waiting):
        assert thread.wait()[1] == str(number).encode()
    assert time.monotonic() - begin < 10


def subscriptions():
    """A subscriber gets every message in order while the publisher goes on."""
    client = redis.Redis.from_url(URL)
    subscriber = client.pubsub()
    subscriber.subscribe("news")
    assert subscriber.get_message(timeout=10)["type"] == "subscribe"
    heard = []

    def listen():
        for message in subscriber.listen():
            heard.append(int(message["data"]))
            if len(heard) == 200:
                return

    listener = eventlet.spawn(listen)
    for number in range(200):
        assert client.publish("news", number) == 1
    listener.wait()
    assert heard == list(range(200))
    thread_heard = eventlet.event.Event()
    subscriber.subscribe(alone=lambda message: thread_heard.send(message["data"]))
    subscriber.unsubscribe("news")
    while subscriber.channels.keys() - {b"alone"}:
        subscriber.get_message(timeout=10)
    runner = subscriber.run_in_thread(sleep_time=0.01)
    client.publish("alone", "it")
    assert thread_heard.wait(10) == b"it"
    runner.stop()
    runner.join(10)
    subscriber.close()


def locks():
    """Redis' own lock excludes green threads from each other."""
    client = redis.Redis.from_url(URL)
    inside = []

    def work():
        with client.lock("mutex", timeout=30, sleep=0.005):
            inside.append(1)
            assert len(inside) == 1
            eventlet.sleep(0.002)
            inside.pop()

    pool = eventlet.GreenPool(10)
    for _ in range(10):
        pool.spawn(work)
    pool.waitall()


def a_bounded_pool():
    """A blocking pool makes callers wait for a connection instead of failing."""
    pool = redis.BlockingConnectionPool.from_url(URL, max_connections=2, timeout=20)
    client = redis.Redis(connection_pool=pool)
    client.set("count", 0)
    green = eventlet.GreenPool(20)
    for _ in range(100):
        green.spawn(client.incr, "count")
    green.waitall()
    assert client.get("count") == b"100"


def a_timeout():
    """A Timeout leaves a blocking call; the client works on."""
    client = redis.Redis.from_url(URL)
    with eventlet.Timeout(0.05, False):
        client.brpop("never", 20)
        raise AssertionError
    client.close()
    assert client.ping()


async def coroutines():
    """The asynchronous client works beside them."""
    async with redis.asyncio.from_url(URL) as client:
        waiting = asyncio.create_task(client.brpop("later", 20))
        await asyncio.sleep(0)
        await client.lpush("later", "now")
        assert (await waiting)[1] == b"now"


blocking_pops()
subscriptions()
locks()
a_bounded_pool()
a_timeout()
asyncio.run(coroutines())
eventlet.spawn(asyncio.run, coroutines()).wait()
print("pass")
