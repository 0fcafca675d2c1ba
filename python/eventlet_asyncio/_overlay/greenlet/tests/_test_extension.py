"""The part of greenlet's compiled test helper that does not need its C API."""

from __future__ import annotations

from greenlet import getcurrent as getcurrent_api

__all__ = ["getcurrent_api"]
