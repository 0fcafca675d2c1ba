"""The frames of a greenlet can be walked to their end after its OS thread ended."""

import gc
import threading

import greenlet

suspended = []


def inner():
    greenlet.getcurrent().parent.switch()


def outer():
    inner()


def thread():
    suspended.append(greenlet.greenlet(outer))
    suspended[0].switch()


for _ in range(5):
    other = threading.Thread(target=thread)
    other.start()
    other.join()
    frame = suspended[0].gr_frame
    names = []
    while frame is not None:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    assert names in (["inner", "outer"], []), names
    suspended.clear()
    gc.collect()
print("pass")
