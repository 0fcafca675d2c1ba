"""
A sub-interpreter is refused with a message, also one that shares the GIL, and the main
one goes on; a module imported a second time is the same engine.
"""

import importlib
import sys

import eventlet
from eventlet_asyncio import _core

ATTEMPT = """
try:
    import eventlet_asyncio._core
except ImportError as error:
    assert "interpreter" in str(error), error
else:
    raise AssertionError("not refused")
"""


def attempts():
    """Run the attempt in each kind of sub-interpreter that this Python has."""
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters

        kinds = [{}, {"isolated": False}]
    else:
        kinds = [{}, {"config": "legacy"}]
    for kind in kinds:
        args = [kind["config"]] if "config" in kind else []
        options = {} if args else kind
        number = interpreters.create(*args, **options)
        failed = interpreters.run_string(number, ATTEMPT)
        assert failed is None, failed
        interpreters.destroy(number)


def imported_again():
    for forget in (True, False):
        if forget:
            former = sys.modules.pop("eventlet_asyncio._core")
            again = importlib.import_module("eventlet_asyncio._core")
        else:
            former = sys.modules["eventlet_asyncio._core"]
            again = importlib.reload(former)
        assert again.greenlet is former.greenlet
        assert again.Timeout is former.Timeout
        assert again.spawn(int).wait() == 0
        assert isinstance(again.getcurrent(), _core.greenlet)
    with eventlet.Timeout(1):
        assert eventlet.spawn(eventlet.sleep, 0.001).wait() is None


attempts()
attempts()
imported_again()
print("pass")
