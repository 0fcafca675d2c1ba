"""Runs of pytest in processes of their own, with the plugin of this distribution."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture
def run(pytester, monkeypatch):
    """Run pytest on a module's text; give its result."""
    for name in ("EVENTLET_HUB", "EVENTLET_ASYNCIO_LOOP", "EVENTLET_ASYNCIO_DISABLE"):
        monkeypatch.delenv(name, raising=False)

    def run(text, *options, ini=""):
        pytester.makeini(
            f"[pytest]\naddopts = -p no:asyncio -p no:cacheprovider\n{ini}"
        )
        pytester.makepyfile(test_it=text)
        return pytester.runpytest_subprocess(*options)

    return run
