"""The frames of a greenlet can be walked to their end after its OS thread ended."""

import gc
import threading

import greenlet

# What was freed is filled, so that looking at it is a crash and not luck:
# env: PYTHONMALLOC=debug

suspended = []
frames = []


def inner():
    greenlet.getcurrent().parent.switch()


def outer():
    inner()


def thread():
    suspended.append(greenlet.greenlet(outer))
    suspended[0].switch()
    frames.append(suspended[0].gr_frame)


def names_of(frame):
    while frame is not None:
        yield frame.f_code.co_name
        frame = frame.f_back


# Once with a frame that is known outside, once with none.
for keep in (True, False):
    other = threading.Thread(target=thread)
    other.start()
    other.join()
    if keep:
        assert list(names_of(frames[0])) == ["inner", "outer"]
    else:
        frames.clear()
    suspended.clear()
    gc.collect()
    if keep:
        assert list(names_of(frames.pop())) == ["inner", "outer"]
print("pass")
