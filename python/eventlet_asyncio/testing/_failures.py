"""Errors that nobody took: printed in a service, and a failure of the test that caused them."""

from __future__ import annotations

import asyncio
import sys
import traceback
from typing import Any

from eventlet_asyncio.testing._engine import is_ours


class Failures:
    """Collects the errors that are printed or logged because nobody has taken them."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []

    def start(self) -> None:
        """Begin to collect."""
        self.errors.clear()
        if is_ours():
            from eventlet_asyncio import _core

            _core._set_report_hook(self._reported)
        if "asyncio" in sys.modules:
            self._handler = asyncio.BaseEventLoop.default_exception_handler
            handler = self._handler
            errors = self.errors

            def handle(loop: Any, context: dict[str, Any]) -> None:
                error = context.get("exception")
                if error is not None:
                    errors.append(error)
                handler(loop, context)

            _handle_with(handle)

    _handler: Any = None

    def stop(self) -> list[str]:
        """End it; return the errors as text, each with its traceback."""
        if is_ours():
            from eventlet_asyncio import _core

            _core._set_report_hook(None)
        if self._handler is not None:
            _handle_with(self._handler)
            self._handler = None
        texts = [
            "".join(traceback.format_exception(type(e), e, e.__traceback__)).strip()
            for e in self.errors
        ]
        self.errors.clear()
        return texts

    def _reported(self, error: BaseException) -> None:
        self.errors.append(error)


def _handle_with(handler: Any) -> None:
    setattr(asyncio.BaseEventLoop, "default_exception_handler", handler)  # noqa: B010 - of every loop
