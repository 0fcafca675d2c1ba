# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.green.select import (
    epoll as epoll,
    error as error,
    get_fileno as get_fileno,
    get_hub as get_hub,
    poll as poll,
    select as select,
)
