"""
Whoever receives the end of a greenlet may change while it is looked for: parents that
move to another OS thread, that are given up, or that switch when they are about to start.
"""

import threading

import eventlet
import greenlet
from eventlet.greenthread import GreenThread

main = greenlet.getcurrent()


def parent_in_another_thread():
    parent = greenlet.greenlet(lambda *_: None)
    child = greenlet.greenlet(lambda: main.switch(1), parent=parent)
    child.switch()
    moved, over = threading.Event(), threading.Event()

    def adopt():
        parent.parent = greenlet.getcurrent()
        moved.set()
        over.wait()

    thread = threading.Thread(target=adopt)
    thread.start()
    moved.wait()
    try:
        child.switch("end")
    except greenlet.error as error:
        assert "different thread" in str(error)
    else:
        raise AssertionError
    assert greenlet.getcurrent() is main
    over.set()
    thread.join()


def dead_parent_of_another_thread():
    parent = greenlet.greenlet(lambda *_: None)
    child = greenlet.greenlet(lambda: None)
    child.switch()
    child.parent = parent
    moved, over = threading.Event(), threading.Event()

    def run():
        parent.parent = greenlet.getcurrent()
        parent.switch()
        moved.set()
        over.wait()

    thread = threading.Thread(target=run)
    thread.start()
    moved.wait()
    assert parent.dead
    try:
        child.switch()
    except greenlet.error as error:
        assert "different thread" in str(error)
    else:
        raise AssertionError
    assert greenlet.getcurrent() is main
    over.set()
    thread.join()


def parent_given_up_while_it_starts():
    class Parent(greenlet.greenlet):
        @property
        def run(self):
            child.parent = main
            return lambda *args: args

    child = greenlet.greenlet(lambda: None)
    child.switch()
    child.parent = Parent()
    child.switch()
    child.parent = Parent()
    try:
        child.throw(ValueError)
    except ValueError:
        pass
    child = greenlet.greenlet(lambda: "value")
    child.parent = Parent()
    child.switch()


def parent_that_switches_when_it_starts():
    class Parent(greenlet.greenlet):
        @property
        def run(self):
            eventlet.sleep(0.001)
            return lambda *args: log.append("started")

    log = []
    green = GreenThread(Parent())
    eventlet.spawn_n(green.switch, int, (), None)
    eventlet.sleep(0.02)
    assert green.dead
    assert green.wait() == 0
    assert log == ["started"], log


def what_was_sent_enters_the_target():
    class Sent:
        def __del__(self):
            green.switch()

    ran = []
    eventlet.spawn_n(lambda: green.switch("other"))
    green = eventlet.spawn_n(lambda *args: ran.append(len(args)), Sent())
    eventlet.sleep(0.01)
    assert green.dead
    assert ran == [0], ran


parent_in_another_thread()
dead_parent_of_another_thread()
parent_given_up_while_it_starts()
parent_that_switches_when_it_starts()
what_was_sent_enters_the_target()
print("pass")
