"""
Messages of the drafts hixie-75 and hixie-76: text between the bytes 00 and FF.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections import deque

__all__ = ["CLOSE", "pack", "parse"]

#: The frame that ends a hixie-76 connection.
CLOSE = b"\xff\x00"

_START, _END = b"\x00", b"\xff"


def pack(message: Any) -> bytes:
    """
    Return the frame of a message; what is neither text nor data is made text.

    Raises:
        ValueError: If data has the byte that ends a frame.
        UnicodeEncodeError: If the text has surrogates.
    """
    if isinstance(message, bytes | bytearray | memoryview):
        data = bytes(message)
    else:
        data = str(message).encode()
    if _END in data:
        raise ValueError(
            "this version of the protocol carries text alone: send str, or ask for"
            " RFC 6455"
        )
    return _START + data + _END


def parse(data: bytes, messages: deque[str | None], version: int, limit: int) -> bytes:
    """
    Add the messages that are complete to `messages`; None for the end.

    Returns:
        What is left of `data`: the beginning of a message.

    Raises:
        ValueError: If it is no frame of this version, or longer than `limit` bytes.
    """
    position = 0
    while position < len(data):
        kind = data[position]
        if kind == 0:
            end = data.find(_END, position)
            length = (len(data) if end < 0 else end) - position - 1
            if length > limit:
                raise ValueError(
                    f"a message is longer than max_frame_length, {limit} bytes"
                )
            if end < 0:
                break
            messages.append(data[position + 1 : end].decode("utf-8", "replace"))
            position = end + 1
        elif kind == CLOSE[0] and version == 76:
            if len(data) - position < len(CLOSE):
                break
            if data[position + 1] == CLOSE[1]:
                messages.append(None)
                return b""
            raise ValueError("a closing frame is expected to be FF 00")
        else:
            raise ValueError(f"no frame of this protocol begins with byte {kind:#04x}")
    return data[position:]
