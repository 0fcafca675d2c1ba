# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.backdoor import (
    FileProxy as FileProxy,
    InteractiveConsole as InteractiveConsole,
    SocketConsole as SocketConsole,
    backdoor as backdoor,
    backdoor_server as backdoor_server,
    get_errno as get_errno,
)
