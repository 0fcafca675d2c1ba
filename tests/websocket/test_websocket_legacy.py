"""Promises of the drafts' messages, without a socket."""

from __future__ import annotations

from collections import deque

import pytest

from eventlet._websocket import legacy


def parsed(data, version=76, limit=100):
    """Return the messages and what is left."""
    messages = deque()
    rest = legacy.parse(data, messages, version, limit)
    return list(messages), rest


def test_messages_stand_between_two_bytes():
    """Complete ones are taken, the beginning of one is left."""
    assert parsed(b"\x00a\xff\x00\xff\x00b") == (["a", ""], b"\x00b")
    assert parsed(b"") == ([], b"")
    assert parsed("\x00\u20ac".encode() + b"\xff") == (["\u20ac"], b"")


def test_text_that_is_not_utf8_is_replaced():
    """The drafts have no status to refuse it with."""
    assert parsed(b"\x00a\xc3\xff") == (["a\ufffd"], b"")


def test_closing_frame_ends_a_76_connection():
    """What follows it is not read; half of it is waited for."""
    assert parsed(b"\x00a\xff\xff\x00\x00b\xff") == (["a", None], b"")
    assert parsed(b"\xff") == ([], b"\xff")


@pytest.mark.parametrize(
    ("data", "version"), [(b"\xff\x01", 76), (b"\xff\x00", 75), (b"\x80", 76)]
)
def test_other_frames_are_errors(data, version):
    """Nothing else is part of the drafts as browsers spoke them."""
    with pytest.raises(ValueError, match="frame"):
        parsed(data, version)


def test_message_of_the_limit_passes():
    """One more byte does not, whether its end has come or not."""
    assert parsed(b"\x00" + b"x" * 100 + b"\xff") == (["x" * 100], b"")
    for data in (b"\x00" + b"x" * 101, b"\x00" + b"x" * 101 + b"\xff"):
        with pytest.raises(ValueError, match="max_frame_length, 100 bytes"):
            parsed(data)
