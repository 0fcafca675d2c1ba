"""
Eventlet on asyncio, with a native engine.

Installing the distribution changes nothing by itself.
With ``EVENTLET_HUB=asyncio`` in the environment when Python starts,
``import eventlet`` and ``import greenlet`` give this implementation;
:func:`activate` does the same from code.

Importing this package loads no native code and costs little: names that need
``eventlet`` are looked up on first use.
"""

from eventlet_asyncio._activate import activate, coded, is_active

TYPE_CHECKING = False
if TYPE_CHECKING:
    from eventlet.asyncio import (
        async_to_sync,
        await_,
        context,
        future_to_greenlet,
        greenlet_to_future,
        iterate,
        run,
        spawn_for_awaitable,
        sync_to_async,
    )

    __version__: str

__all__ = [
    "__version__",
    "activate",
    "async_to_sync",
    "await_",
    "context",
    "future_to_greenlet",
    "greenlet_to_future",
    "is_active",
    "iterate",
    "run",
    "spawn_for_awaitable",
    "sync_to_async",
]

_OWN = ("__version__", "activate", "is_active")


def __getattr__(name: str) -> object:
    """
    Look up the version, or one of the names that live in ``eventlet.asyncio``.

    Raises:
        AttributeError: If there is no such public name.
        ImportError: If ``eventlet`` is not this implementation.
    """
    if name == "__version__":
        from importlib.metadata import version

        value: object = version("eventlet-asyncio")
    elif name in __all__ and name not in _OWN:
        from importlib import import_module

        if not is_active():
            message = (
                f"eventlet_asyncio.{name} needs this implementation of eventlet: "
                "set EVENTLET_HUB=asyncio before Python starts, "
                "or call eventlet_asyncio.activate() before eventlet is imported"
            )
            raise ImportError(coded("EA101", message), name="eventlet")
        value = getattr(import_module("eventlet.asyncio"), name)
    elif name in ("gunicorn:Worker", "gunicorn:NativeWorker"):
        # gunicorn takes what follows the last dot of its option for an attribute.
        from eventlet_asyncio import gunicorn

        value = getattr(gunicorn, name.partition(":")[2])
    else:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, including those not looked up yet."""
    return sorted({*globals(), *__all__})
