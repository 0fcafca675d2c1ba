# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.hubs import (
    HubError as HubError,
    IOClosed as IOClosed,
    _in_green_coroutine as _in_green_coroutine,
    builtin_hub_names as builtin_hub_names,
    get_default_hub as get_default_hub,
    get_hub as get_hub,
    notify_close as notify_close,
    notify_opened as notify_opened,
    trampoline as trampoline,
    use_hub as use_hub,
)
