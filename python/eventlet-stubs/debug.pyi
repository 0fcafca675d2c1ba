# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.debug import (
    Spew as Spew,
    format_asyncio_info as format_asyncio_info,
    format_hub_listeners as format_hub_listeners,
    format_hub_timers as format_hub_timers,
    format_threads_info as format_threads_info,
    hub_blocking_detection as hub_blocking_detection,
    hub_exceptions as hub_exceptions,
    hub_listener_stacks as hub_listener_stacks,
    hub_prevent_multiple_readers as hub_prevent_multiple_readers,
    hub_timer_stacks as hub_timer_stacks,
    spew as spew,
    tpool_exceptions as tpool_exceptions,
    unspew as unspew,
)
