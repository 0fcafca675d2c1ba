"""
What runs while an OS thread's state is cleared finds no greenlet there, and a state that the
same OS thread gets afterwards has greenlets of its own.
"""

import contextvars
import ctypes
import gc
import sys
import threading

import greenlet

log = []
variable = contextvars.ContextVar("variable")
libc = ctypes.CDLL(None)
key = ctypes.c_uint()


class Late:
    """Asks for the greenlet when its OS thread's context is cleared."""

    def __del__(self):
        try:
            greenlet.getcurrent()
        except greenlet.error:
            log.append("refused")
        else:
            log.append("late")


def use():
    greenlet.greenlet(lambda: None).switch()
    log.append(greenlet.getcurrent())
    variable.set(Late())


@ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
def run(_):
    use()
    libc.pthread_setspecific(key, ctypes.c_void_p(1))
    return 0


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def destroy(_):
    # By now the state of `run` is gone: this is another one.
    use()


assert libc.pthread_key_create(ctypes.byref(key), destroy) == 0
for _ in range(5):
    log.clear()
    number = ctypes.c_ulong()
    assert libc.pthread_create(ctypes.byref(number), None, run, None) == 0
    # The GIL is given up meanwhile, as ctypes does.
    assert libc.pthread_join(number, None) == 0
    assert log[1::2] == ["refused", "refused"], log
    assert log[0] is not log[2]
    log.clear()
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    if sys.version_info < (3, 14):
        assert log[1:] == ["refused"], log
    else:
        # The context is the Thread's, not its state's, and ends with that.
        del thread
        assert log[1:] == ["late"], log
    gc.collect()
assert greenlet.getcurrent().parent is None
print("pass")
