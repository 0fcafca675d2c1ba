"""
Compression of messages: permessage-deflate (RFC 7692).

Memory is bounded: nothing is decompressed beyond the limit that the caller names, however
small the compressed message is.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Any

from eventlet_asyncio._core import pay_operation

from .errors import FailedConnectionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["NAME", "Deflater", "Inflater", "format_header", "negotiate"]

#: The extension's name.
NAME = "permessage-deflate"

# What ends each message, and is not sent (section 7.2.1).
_TAIL = b"\x00\x00\xff\xff"
_EMPTY = b"\x00"
_MAX_BITS = 15
# Bytes that are decompressed before others may have a turn: half a millisecond.
_PIECE = 256 << 10
_FLAGS = ("server_no_context_takeover", "client_no_context_takeover")
_WINDOWS = ("server_max_window_bits", "client_max_window_bits")

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 - of the grammar
_VALUE = rf'{_TOKEN}|"(?:[^"\\]|\\.)*"'
_PARAMETER = re.compile(rf"[ \t]*({_TOKEN})[ \t]*(?:=[ \t]*({_VALUE})[ \t]*)?\Z")
# Items are separated by commas, their parameters by semicolons, outside of quotes.
_COMMA = re.compile(r'((?:[^,"]|"(?:[^"\\]|\\.)*")*),?')
_SEMICOLON = re.compile(r'((?:[^;"]|"(?:[^"\\]|\\.)*")*);?')


def negotiate(header: str) -> dict[str, Any] | None:
    """
    Choose the first offer of compression that we can accept.

    Args:
        header: The value of Sec-WebSocket-Extensions.

    Returns:
        The agreed parameters, or None where there is no such offer. Flags are always
        there, sizes of windows only where the client named them.
    """
    for name, parameters in _offers(header):
        if name == NAME and parameters is not None:
            agreed = _accept(parameters)
            if agreed is not None:
                return agreed
    return None


def format_header(agreed: Mapping[str, Any]) -> str:
    """
    Write the parameters as the answer to the offer.
    """
    parts = [NAME, *(flag for flag in _FLAGS if agreed.get(flag))]
    parts += [f"{name}={agreed[name]}" for name in _WINDOWS if name in agreed]
    return "; ".join(parts)


def _offers(header: str) -> Iterator[tuple[str, list[tuple[str, str | None]] | None]]:
    """List the extensions of a header; parameters are None where they cannot be read."""
    for item in _pieces(_COMMA, header):
        name, *rest = _pieces(_SEMICOLON, item) or [""]
        parameters = []
        for part in rest:
            if not part.strip():
                continue
            match = _PARAMETER.match(part)
            if match is None:
                yield name.strip().lower(), None
                break
            key, value = match.groups()
            if value is not None and value.startswith('"'):
                value = re.sub(r"\\(.)", r"\1", value[1:-1])
            parameters.append((key.lower(), value))
        else:
            yield name.strip().lower(), parameters


def _pieces(pattern: re.Pattern[str], text: str) -> list[str]:
    """Split at separators outside of quotes; none where a quote is not closed."""
    found = []
    position = 0
    while position < len(text):
        match = pattern.match(text, position)
        if match is None or match.end() == position:
            return []
        found.append(match[1])
        position = match.end()
    return found


def _accept(parameters: list[tuple[str, str | None]]) -> dict[str, Any] | None:
    """Return what we agree to, or None if an offer is to be declined (section 7.1)."""
    agreed: dict[str, Any] = dict.fromkeys(_FLAGS, False)
    seen = set()
    for name, value in parameters:
        if name in seen:
            return None
        seen.add(name)
        if name in _FLAGS and value is None:
            agreed[name] = True
        elif name in _WINDOWS:
            # Our compressor has no window of 2^8 bytes, the decompressor has.
            least = 9 if name == "server_max_window_bits" else 8
            if value is None and name == "client_max_window_bits":
                # The client says that it knows the parameter; the other one has a value
                # always (sections 7.1.2.1 and 7.1.2.2).
                agreed[name] = _MAX_BITS
            elif value is None:
                return None
            elif re.fullmatch("[1-9][0-9]?", value) and int(value) in range(
                least, _MAX_BITS + 1
            ):
                agreed[name] = int(value)
            else:
                return None
        else:
            return None
    return agreed


class Deflater:
    """
    Compresses the messages of one direction.

    Args:
        bits: Size of the window, as a power of two.
        keep: Whether messages refer to what came before them.

    Raises:
        ValueError: If zlib has no window of that size.
    """

    def __init__(self, bits: int = _MAX_BITS, *, keep: bool = True) -> None:
        if not 9 <= bits <= _MAX_BITS:
            raise ValueError(f"a window has 9 to {_MAX_BITS} bits, not {bits}")
        self._bits = bits
        self._keep = keep
        self._stream: Any = None

    def compress(self, data: bytes, *, final: bool = True) -> bytes:
        """
        Return a message, or a part of one that has more to come.
        """
        stream = self._stream
        if stream is None:
            stream = self._stream = zlib.compressobj(wbits=-self._bits)
        out: bytes = stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)
        if final:
            # After another flush zlib has nothing to say.
            out = out[: -len(_TAIL)] if out.endswith(_TAIL) else out + _EMPTY
            if not self._keep:
                self._stream = None
        return out


def _inflate(stream: Any, data: bytes, most: int) -> bytes:
    """
    Return what `data` decompresses to, `most` bytes at most. Switch point now and then.
    """
    out: bytes = stream.decompress(data, min(most, _PIECE))
    if len(out) < _PIECE:
        return out
    parts = [out]
    most -= len(out)
    while most > 0 and len(out) == _PIECE:
        pay_operation()
        out = stream.decompress(stream.unconsumed_tail, min(most, _PIECE))
        parts.append(out)
        most -= len(out)
    return b"".join(parts)


class Inflater:
    """
    Decompresses the messages of one direction; the counterpart of `Deflater`.
    """

    def __init__(self, bits: int = _MAX_BITS, *, keep: bool = True) -> None:
        self._bits = bits
        self._keep = keep
        self._stream: Any = None

    def decompress(self, data: bytes, limit: int) -> bytes:
        """
        Return a message.

        Raises:
            FailedConnectionError: If it has more than `limit` bytes, or is damaged.
        """
        stream = self._stream or zlib.decompressobj(-self._bits)
        try:
            out = _inflate(stream, data + _TAIL, limit + 1)
            ended = stream.eof
            # A sender may end the stream with a message (section 7.2.3.4), not go on
            # behind that end: the bytes after it would be copied once for each end.
            if ended and stream.unused_data not in {_EMPTY + _TAIL, _TAIL}:
                raise zlib.error("data after the last block")  # noqa: TRY301 - one answer
        except zlib.error as error:
            reason = "Incoming compressed frame is damaged."
            raise FailedConnectionError(1007, reason) from error
        if len(out) > limit:
            reason = "Incoming compressed frame is above length limit."
            raise FailedConnectionError(1009, reason)
        self._stream = stream if self._keep and not ended else None
        return out
