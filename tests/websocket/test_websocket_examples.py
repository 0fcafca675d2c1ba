"""The program of the tutorial does what its page says."""

from __future__ import annotations

import re
from pathlib import Path

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial"


def test_chat_prints_what_its_page_shows(run_isolated):
    """Two guests talk to each other, and the page has their lines."""
    done = run_isolated(TUTORIAL / "websocket_chat.py", {"EVENTLET_HUB": "asyncio"})
    page = (TUTORIAL / "websocket-chat.md").read_text()
    (shown,) = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    assert done.stdout == shown
