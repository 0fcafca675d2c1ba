"""Each of our own error messages has a code, and each code has its paragraph."""

from __future__ import annotations

import re
from pathlib import Path

from eventlet_asyncio import _activate

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"\bEA\d{3}\b")


def used():
    """Collect the codes that the sources raise."""
    sources = [*(ROOT / "python").rglob("*.py"), *(ROOT / "src").rglob("*.rs")]
    return {code for path in sources for code in CODE.findall(path.read_text())}


def explained():
    """Collect the codes that have a heading on the page."""
    page = (ROOT / _activate.ERRORS_PAGE).read_text()
    return re.findall(r"^\((ea\d{3})\)=\n### (EA\d{3}): \S", page, re.MULTILINE)


def test_every_code_is_explained_once_and_in_order():
    """The page has the codes that the sources have, each under its own target."""
    found = explained()
    assert [target.upper() for target, _ in found] == [code for _, code in found]
    codes = [code for _, code in found]
    assert codes == sorted(used())


def test_address_leads_to_the_paragraph():
    """What a message names exists."""
    message = _activate.coded("EA202", "text")
    page, _, target = message.removeprefix("text [EA202: ").rstrip("]").partition("#")
    assert f"({target})=" in (ROOT / page).read_text()
