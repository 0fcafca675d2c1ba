"""
What overriding one thing alone comes to, compared with upstream: see `overriding`.

``tests/data/wsgi_overriding.json`` has upstream's answers. Where a folder with upstream is
at hand (DIFFERENTIAL_UPSTREAM) it is asked again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("overriding")
UPSTREAM = json.loads(Path("tests/data/wsgi_overriding.json").read_text())
FOLDER = os.environ.get("DIFFERENTIAL_UPSTREAM")

_LENIENT = "upstream fails where there is a sensible answer"
_SAFE = "the connection ends where nobody can tell what comes next"

# Row: our answer, or a part of it, and the reason.
DIFFERENT = {
    "address_string_in_own_lines": (
        "somebody - - [] he asked",
        "log_message writes to the server's log, and not to standard error",
    ),
    "attribute capitalize_response_headers False GET": (
        "x-PATH", "upstream overwrites what a class says with the server's argument",
    ),
    "attribute reject_bad_requests False PUT": ('"connection": "close"', _SAFE),
    "attribute reject_bad_requests True PUT": (
        '"body": ""', "the client is not told what was wrong; the log is",
    ),
    "attributes_of_a_server": ("null, true, 4096", "the size in use is told"),
    "body iter": ('["ab\\n", "cd\\n", "ef"]', "PEP 3333 wants lines"),
    "body read -1": ('"ab\\nc"', "upstream reads into the next request"),
    "body readlines": ('["ab\\n", "c"]', "upstream reads into the next request"),
    "duck plain": ("PUT hello", _LENIENT),
    "duck_listener": ("[null, [[", _LENIENT),
    "expectation_refused": ('"closed": true', _SAFE),
    "file_without_peek": ("PUT hello", _LENIENT),
    "hooks_run_in_order": ('"/path"', "a hook that fails keeps no other from running"),
    "length_is_none_or_text": ('["abcd", "", ""]', _LENIENT),
    "malformed_chunks": (
        "ChunkReadError: invalid literal for int() with base 16: b'-2",
        "a sign is no part of a number; IncompleteBody is an OSError",
    ),
    "plain _read_request_line": (
        '"calls": ["_read_request_line"]', "it is called when there is something to read",
    ),
    "request_refused_silently": ('"closed": true', _SAFE),
}  # fmt: skip


def ask(env):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(PROGRAM)],
        env={**os.environ, **env}, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def ours():
    return ask({"EVENTLET_HUB": "asyncio"})


def test_table_is_whole(ours):
    """Rows and answers belong together, and what is listed as different is."""
    assert ours.keys() == UPSTREAM.keys()
    assert DIFFERENT.keys() <= ours.keys()
    assert len(ours) > 140


@pytest.mark.parametrize("row", UPSTREAM)
def test_overriding_does_what_it_does_on_upstream(ours, row):
    if row not in DIFFERENT:
        assert ours[row] == UPSTREAM[row]
        return
    part, reason = DIFFERENT[row]
    assert part in json.dumps(ours[row]), reason
    assert ours[row] != UPSTREAM[row], "is listed as different"


@pytest.mark.skipif(not FOLDER, reason="DIFFERENTIAL_UPSTREAM names no folder")
def test_upstream_answers_as_is_written():
    env = {
        "EVENTLET_HUB": "epolls",
        "EVENTLET_ASYNCIO_DISABLE": "1",
        "PYTHONPATH": FOLDER,
    }
    assert ask(env) == UPSTREAM
