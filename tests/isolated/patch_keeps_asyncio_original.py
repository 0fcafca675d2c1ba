"""asyncio and concurrent.futures use original modules, whenever they are imported."""

# ruff: noqa: E402 (classes are props; when what is imported is the subject)

import sys

early = "concurrent.futures" not in sys.modules
assert early
import concurrent.futures.thread as before

import eventlet

eventlet.monkey_patch()
import asyncio
import concurrent.futures.process as after
from asyncio import base_events, selector_events, subprocess, unix_events

from eventlet import patcher
from eventlet.greenio import GreenSocket

NAMES = ("os", "queue", "select", "selectors", "socket", "subprocess", "threading")
for module in (base_events, selector_events, subprocess, unix_events, before, after):
    for name in NAMES:
        found = vars(module).get(name)
        assert found is None or found is not sys.modules[name], (module, name)

assert selector_events.socket is patcher.original("socket")
assert selector_events.socket.socket is not GreenSocket
assert selector_events.selectors.DefaultSelector.__name__ != "SelectSelector"
assert before.threading.Thread is not sys.modules["threading"].Thread
# asyncio knows contexts of either kind.
assert asyncio.sslproto.ssl is sys.modules["ssl"]
print("pass")
