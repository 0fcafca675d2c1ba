"""
Calls of grpcio's in patched programs.

grpcio waits in C for the answer to a call that blocks, and would hold up every green
thread. A call made in the background is completed by an OS thread of grpcio's own, and
waited for by a condition that parks green threads (`eventlet._patch.isolate` sees to
both): so calls that block become such ones.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from eventlet._patch.hybrid import can_park

if TYPE_CHECKING:
    from collections.abc import Callable


def install(module: Any) -> None:
    """Have the calls of the module `grpc._channel` wait as green threads do."""
    for kind in ("_UnaryUnaryMultiCallable", "_StreamUnaryMultiCallable"):
        callable_class = getattr(module, kind, None)
        if callable_class is None:
            continue
        for name, with_call in (("__call__", False), ("with_call", True)):
            method = getattr(callable_class, name)
            green = _green(method, with_call, module.grpc.FutureCancelledError)
            setattr(callable_class, name, green)


def _green(
    blocking: Callable[..., Any], with_call: bool, cancelled: type[Exception]
) -> Callable[..., Any]:
    @functools.wraps(blocking)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not can_park():
            return blocking(self, *args, **kwargs)
        future = self.future(*args, **kwargs)
        try:
            answer = future.result()
        except cancelled:
            # A call that blocks tells of its cancellation like of any other end.
            raise future from None
        except BaseException:
            future.cancel()
            raise
        return (answer, future) if with_call else answer

    return call
