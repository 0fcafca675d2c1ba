"""oslo.privsep under `monkey_patch()`: a daemon that is forked, and calls to it by green threads."""

# needs: oslo.privsep

import os

import eventlet

eventlet.monkey_patch()

from oslo_config import cfg
from oslo_privsep import priv_context

cfg.CONF([], project="privileged")
context = priv_context.PrivContext(
    "__main__", cfg_section="privsep", pypath=f"{__name__}.context", capabilities=[]
)


@context.entrypoint
def add(a, b):
    return a + b, os.getpid()


@context.entrypoint
def fail():
    message = "on the other side"
    raise ValueError(message)


context.start(priv_context.Method.FORK)
pool = eventlet.GreenPool()
with eventlet.Timeout(30):
    answers = list(pool.imap(add, range(50), range(50)))
    try:
        fail()
    except ValueError as error:
        assert "on the other side" in str(error)
    else:
        raise AssertionError
assert [answer for answer, _ in answers] == list(range(0, 100, 2))
processes = {process for _, process in answers}
assert len(processes) == 1
assert processes != {os.getpid()}
print("pass")
