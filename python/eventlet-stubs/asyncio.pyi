# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.asyncio import (
    async_to_sync as async_to_sync,
    await_ as await_,
    context as context,
    future_to_greenlet as future_to_greenlet,
    getaddrinfo as getaddrinfo,
    getnameinfo as getnameinfo,
    greenlet_to_future as greenlet_to_future,
    iterate as iterate,
    run as run,
    spawn_for_awaitable as spawn_for_awaitable,
    sync_to_async as sync_to_async,
)
