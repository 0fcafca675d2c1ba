"""
A pytest plugin: has a library's own tests run beside Eventlet, as ``LIBRARIES_MODE`` says.

``plain`` does nothing, ``imported`` makes a hub, ``active`` has run it, and ``patched`` has
patched the process as well.
"""

from __future__ import annotations

import os


def _enter(mode: str) -> None:
    if mode == "plain":
        return
    import eventlet
    from eventlet import hubs

    if mode == "patched":
        eventlet.monkey_patch()
    hubs.get_hub()
    if mode != "imported":
        eventlet.sleep(0)


_enter(os.environ["LIBRARIES_MODE"])
