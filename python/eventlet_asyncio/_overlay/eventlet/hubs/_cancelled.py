"""
The moment at which a task has learnt that it is to end.

``Task.cancel`` asks; the coroutine sees ``CancelledError`` in the task's next step,
which asyncio takes when what the task waits for has been cancelled.
That takes one pass of the loop, and one more for each task in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventlet_asyncio import _core

if TYPE_CHECKING:
    import asyncio

# A task that waits for another one, which takes its time to end, learns of it late.
_PASSES = 64
# A loop that is stopped meanwhile, or held up, calls nothing.
_SECONDS = 1.0


def wait_until_seen(work: asyncio.Future[Any], waits_for: object) -> None:
    """
    Wait until a task that was asked to end has taken a step, or ended.

    Not for ever: see above. A switch point.

    Args:
        work: The task, or a future of which there is nothing to wait for.
        waits_for: What the task waited for when it was asked, or None.
    """
    seen = _core.Event()
    loop = work.get_loop()
    passes = _PASSES
    handle: asyncio.Handle

    def look() -> None:
        nonlocal passes, handle
        passes -= 1
        if (
            waits_for is None
            or passes == 0
            or work.done()
            or getattr(work, "_fut_waiter", None) is not waits_for
        ):
            seen.send()
        else:
            handle = loop.call_soon(look)

    handle = loop.call_soon(look)
    try:
        seen.wait(_SECONDS)
    finally:
        handle.cancel()
