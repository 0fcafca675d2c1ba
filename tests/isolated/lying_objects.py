"""
Objects whose methods take away, from within, what they are part of crash nothing: neither
subclasses whose methods return what no caller expects, nor numbers at their limits.
"""

import sys

import eventlet
import greenlet
from eventlet.event import Event
from eventlet.greenthread import GreenThread
from eventlet.queue import LightQueue, Queue
from eventlet.semaphore import Semaphore

clutter = []


def reuse_memory():
    """Write over memory that was given up too early."""
    clutter.extend(tuple(range(size)) for size in range(1, 9) for _ in range(50))
    clutter.extend(bytearray(size) for size in range(16, 2048, 16))


def timeouts_of_a_subclass():
    class Lying(eventlet.Timeout):
        answer = None

        def _expire(self):
            return self.answer

    here = greenlet.getcurrent()
    never_run = greenlet.greenlet()
    answers = [(), (1,), (here,), (here, 5), (here, ValueError), 7, (1, 2, 3)]
    for answer in [*answers, (never_run, ValueError("has nothing to run"))]:
        with Lying(0.001) as timeout:
            timeout.answer = answer
            eventlet.sleep(0.003)


def text_of_a_timeout():
    class Seconds:
        __hash__ = None

        def __eq__(self, other):
            timeout.seconds = None
            reuse_memory()
            return False

        def __str__(self):
            timeout.seconds = timeout.exception = None
            reuse_memory()
            return "some"

    class Shown(Exception):
        def __str__(self):
            timeout.exception = None
            reuse_memory()
            return "shown"

    for show in (str, repr, str):
        timeout = eventlet.Timeout()
        timeout.seconds, timeout.exception = Seconds(), Shown()
        assert "some" in show(timeout)


def start_of_a_timeout():
    class Seconds:
        def __float__(self):
            timeout.seconds = 0.001
            timeout.start()
            reuse_memory()
            return 0.002

    timeout = eventlet.Timeout()
    timeout.seconds = Seconds()
    timeout.start()
    try:
        eventlet.sleep(0.01)
    except eventlet.Timeout as error:
        assert error is timeout
    else:
        raise AssertionError
    assert not timeout.pending
    eventlet.sleep(0.005)


def main_called_by_the_function():
    class Compared:
        def __gt__(self, other):
            eventlet.getcurrent().main(int, (), {})
            reuse_memory()
            return False

    green = eventlet.spawn(max, *[Compared() for _ in range(6)])
    assert green.wait() == 0


def arguments_that_are_none():
    green = GreenThread(greenlet.getcurrent())
    green.switch(print, (), 5)
    try:
        green.wait()
    except TypeError as error:
        assert "named arguments" in str(error)
    else:
        raise AssertionError
    assert GreenThread(None).main(int, ("7",), None) is None


def function_deleted_before_the_start():
    hub = eventlet.hubs.get_hub()
    hub.debug_exceptions = False
    green = eventlet.spawn_n(print, "never")
    del green.run
    eventlet.sleep(0)
    assert green.dead
    hub.debug_exceptions = True


def storage_that_goes_away():
    class Storage(list):
        asked = 0

        def __len__(self):
            Storage.asked += 1
            if Storage.asked == 2:
                del queue.queue
                reuse_memory()
            return 1

    queue = LightQueue()
    queue.queue = Storage()
    try:
        queue.get_nowait()
    except IndexError:
        pass
    else:
        raise AssertionError
    queue.put(1)
    assert queue.get() == 1


def numbers_at_their_limits():
    largest = sys.maxsize
    semaphore = Semaphore(largest)
    semaphore.release()
    assert semaphore.counter == largest
    semaphore.counter = -largest - 1
    green = eventlet.spawn(semaphore.acquire)
    eventlet.sleep(0)
    assert semaphore.balance < 0
    green.kill()
    queue = Queue(largest)
    queue.unfinished_tasks = largest
    queue.put(1)
    assert queue.unfinished_tasks == largest
    for seconds in (1e308, float("inf"), 2**62):
        green = eventlet.spawn_after(seconds, print)
        assert Event().wait(0) is None
        green.cancel()
        eventlet.Timeout(seconds).cancel()


timeouts_of_a_subclass()
text_of_a_timeout()
start_of_a_timeout()
main_called_by_the_function()
arguments_that_are_none()
function_deleted_before_the_start()
storage_that_goes_away()
numbers_at_their_limits()
print("pass")
