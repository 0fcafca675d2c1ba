"""What the documentation shows is run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# With the number of blocks at least, so that none goes missing. Others have tests of their
# own: check-types.md in tests/test_types.py, serve-wsgi.md in tests/wsgi/test_examples.py,
# test-a-service.md in tests/testing, rules.md in tests/kit.
PAGES = {
    "docs/howto/activate.md": 1,
    "docs/howto/guard.md": 1,
    "docs/reference/evidence.md": 1,
    "docs/howto/loops-threads-forks.md": 1,
    "docs/howto/measure-a-migration.md": 1,
    "docs/howto/mix-asyncio.md": 4,
    "docs/howto/run-and-doctor.md": 1,
}
ELSEWHERE = {
    "docs/howto/check-types.md",
    "docs/howto/serve-wsgi.md",
    "docs/howto/test-a-service.md",
    "docs/reference/rules.md",
}


@pytest.mark.parametrize("page", PAGES)
def test_examples_of_a_page_run_one_after_the_other(page, run_isolated):
    """The Python blocks of a page are one program."""
    text = (ROOT / page).read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= PAGES[page]
    done = run_isolated("\n".join(blocks), {"EVENTLET_HUB": "asyncio"})
    assert done.stderr == ""


def test_no_page_with_examples_is_left_out():
    """A new page is run, or says where it is."""
    pages = {
        path.relative_to(ROOT).as_posix()
        for folder in ("howto", "tutorial", "reference", "explanation")
        for path in (ROOT / "docs" / folder).glob("*.md")
        if "```python\n" in path.read_text()
    }
    assert pages == {*PAGES, *ELSEWHERE}
