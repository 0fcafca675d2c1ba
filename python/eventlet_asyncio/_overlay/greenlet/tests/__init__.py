"""What greenlet's own test suite imports by the name ``greenlet.tests``."""

from __future__ import annotations

from unittest import TestCase

__all__ = ["TestCase"]
