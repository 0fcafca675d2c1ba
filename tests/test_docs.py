"""What the documentation shows is run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ["docs/howto/mix-asyncio.md"]


@pytest.mark.parametrize("page", PAGES)
def test_examples_of_a_page_run_one_after_the_other(page, run_isolated):
    """The Python blocks of a page are one program."""
    text = (ROOT / page).read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) > 3
    done = run_isolated("\n".join(blocks), {"EVENTLET_HUB": "asyncio"})
    assert done.stderr == ""
