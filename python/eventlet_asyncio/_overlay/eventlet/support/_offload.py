"""What green modules have done by OS threads of the native engine, besides lookups."""

from __future__ import annotations

from eventlet_asyncio._core import await_child, read_now

__all__ = ["await_child", "read_now"]
