"""The programs of the documentation do what their pages say."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_wsgi_server_answers_and_ends(run_isolated):
    """It serves its clients, and stops in good order."""
    done = run_isolated(DOCS / "howto" / "wsgi_server.py", {"EVENTLET_HUB": "asyncio"})
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("GET ")] == [
        "GET /one", "GET /two", "GET /three",
    ]  # fmt: skip
    assert lines[-1].endswith("wsgi exited, is_accepting=True")


def test_security_page_names_tests_that_exist():
    """What the table promises is tested under the name it gives."""
    page = (DOCS / "reference" / "http-security.md").read_text()
    sources = "".join(
        path.read_text() for path in Path(__file__).parent.glob("test_*.py")
    )
    named = set(re.findall(r"`(test_\w+)`", page))
    assert len(named) > 20
    assert {name for name in named if f"def {name}(" not in sources} == set()
