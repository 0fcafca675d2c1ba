"""Timeouts: an exception raised in the running green thread after a while."""

from __future__ import annotations

from eventlet_asyncio._core import Timeout

__all__ = ["Timeout"]
