"""
One side of an RFC 6455 connection, without its socket.

A session is fed what was received and says what it means; it makes the frames that are
sent. Whole messages without compression, which nearly all are, come from the native
reader as they are handed to the application. `react` sees the rest.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from eventlet_asyncio._core import WebSocketReader, websocket_frame

from . import deflate
from .errors import FailedConnectionError, ProtocolError
from .messages import Message, UTF8Decoder

__all__ = [
    "DEFAULT_MAX_FRAME_LENGTH",
    "VALID_CLOSE_STATUS",
    "Reaction",
    "Session",
]

#: Bytes of one frame, and of a message, however it is cut and compressed.
DEFAULT_MAX_FRAME_LENGTH = 8 << 20

#: Codes that a close frame may carry: the registered ones, and those of applications.
VALID_CLOSE_STATUS = frozenset(
    {1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)}
)

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_FAULT = 0
_MAX_CONTROL = 125
_urandom = os.urandom

Close = tuple[int, "str | bytes"]


class Reaction(NamedTuple):
    """
    What an event of the reader means for the connection.
    """

    #: A message for the application.
    message: str | bytes | None = None
    #: A frame to be sent.
    frame: bytes = b""
    #: With what the close frame of the peer is answered: code and reason.
    close: Close | None = None


class Session:
    """
    One side of a connection.

    Args:
        client: Whether this is the client's side, which masks what it sends.
        extensions: What was agreed on in the handshake: parameters by name.
        max_frame_length: How long a frame may be.
        max_message_length: How long a message may be, in however many frames it comes
            and decompressed; `max_frame_length` if None, and never less than that.
        message_class: What puts compressed messages together.
        decoder_class: What decodes compressed text.
    """

    def __init__(
        self,
        *,
        client: bool = False,
        extensions: dict[str, Any] | None = None,
        max_frame_length: int = DEFAULT_MAX_FRAME_LENGTH,
        max_message_length: int | None = None,
        message_class: type[Message] = Message,
        decoder_class: type[UTF8Decoder] = UTF8Decoder,
    ) -> None:
        self.client = client
        # The reader takes the larger of the two.
        self.reader = WebSocketReader(client, max_frame_length, max_message_length or 0)
        self.remote_close_data: bytes | None = None
        self._message_class = message_class
        self._decoder_class = decoder_class
        self.extensions = extensions or {}

    @property
    def max_message_length(self) -> int:
        """
        How many bytes a message may have.
        """
        return max(self.reader.max_frame_length, self.reader.max_message_length)

    @property
    def extensions(self) -> dict[str, Any]:
        """
        Parameters of the extensions in use, by name.
        """
        return self._extensions

    @extensions.setter
    def extensions(self, extensions: dict[str, Any]) -> None:
        self._extensions = extensions
        agreed = extensions.get(deflate.NAME)
        self.reader.compression = agreed is not None
        self.deflater: deflate.Deflater | None = None
        self.inflater: deflate.Inflater | None = None
        if agreed is not None:
            ours, theirs = "server", "client"
            if self.client:
                ours, theirs = theirs, ours
            self.deflater = deflate.Deflater(
                agreed.get(f"{ours}_max_window_bits", 15),
                keep=not agreed.get(f"{ours}_no_context_takeover"),
            )
            self.inflater = deflate.Inflater(
                agreed.get(f"{theirs}_max_window_bits", 15),
                keep=not agreed.get(f"{theirs}_no_context_takeover"),
            )

    # Bytes in

    def react(self, event: tuple[int, Any, int]) -> Reaction:
        """
        Say what an event of the reader means that is no finished message.

        Raises:
            FailedConnectionError: If the peer broke the protocol or exceeded a limit.
        """
        kind, content, number = event
        if kind == _PING:
            return Reaction(frame=self.control_frame(_PONG, content))
        if kind == _PONG:
            return Reaction()
        if kind == _CLOSE:
            self.remote_close_data = content
            return Reaction(close=self._judge_close(content))
        if kind == _FAULT:
            raise FailedConnectionError(number, content)
        return Reaction(message=self.compressed(event).getvalue())

    def compressed(self, event: tuple[int, bytes, int]) -> Message:
        """
        Return a message that the reader has found to be compressed.
        """
        opcode, payload, _ = event
        limit = self.max_message_length
        decoder = self._decoder_class() if opcode == _TEXT else None
        message = self._message_class(opcode, limit, decoder, self.inflater)
        message.push(payload, final=True)
        return message

    @staticmethod
    def _judge_close(payload: bytes) -> Close:
        """Return the answer to a close frame: its own code, 1000 if it names none."""
        if not payload:
            return 1000, ""
        if len(payload) == 1:
            raise FailedConnectionError(1002, "A close frame has half a status code.")
        code = int.from_bytes(payload[:2], "big")
        if code not in VALID_CLOSE_STATUS:
            raise FailedConnectionError(1002, "Unexpected close status code.")
        try:
            payload[2:].decode()
        except UnicodeDecodeError:
            reason = "The reason of a close frame is not valid UTF-8."
            raise FailedConnectionError(1007, reason) from None
        return code, ""

    # Bytes out

    def message_frame(
        self,
        message: Any,
        *,
        masked: bool,
        continuation: bool = False,
        final: bool = True,
        control_code: int | None = None,
    ) -> bytes:
        """
        Return the frame of a message, or of a part of one.

        Args:
            message: str for text, bytes or the like for binary data.
            masked: Whether to mask it, as clients do.
            continuation: Whether it continues a message.
            final: Whether it is the end of its message.
            control_code: The opcode of a control frame to send instead of a message.

        Raises:
            ProtocolError: For a control frame that is too long or in parts.
            TypeError: If it is neither text nor data.
            UnicodeEncodeError: If the text has surrogates.
        """
        kind = type(message)
        if kind is not str and kind is not bytes:
            message = _plain(message)
        if control_code is not None:
            if not final or continuation:
                raise ProtocolError("a control frame cannot be sent in parts")
            return self.control_frame(control_code, message, masked=masked)
        opcode = _TEXT if isinstance(message, str) else _BINARY
        if continuation:
            opcode = _CONTINUATION
        key = _urandom(4) if masked else None
        deflater = self.deflater
        if deflater is None:
            return websocket_frame(opcode, message, final, False, key)
        if isinstance(message, str):
            message = message.encode()
        data = deflater.compress(message, final=final)
        # The bit stands on the first frame of a message alone.
        return websocket_frame(opcode, data, final, not continuation, key)

    def control_frame(
        self, opcode: int, payload: str | bytes, *, masked: bool | None = None
    ) -> bytes:
        """
        Return a control frame, which is never compressed.

        Raises:
            ProtocolError: If the payload is too long.
        """
        if isinstance(payload, str):
            payload = payload.encode()
        if len(payload) > _MAX_CONTROL:
            raise ProtocolError(
                f"a control frame carries {_MAX_CONTROL} bytes at most, not"
                f" {len(payload)}: shorten it"
            )
        if masked is None:
            masked = self.client
        key = _urandom(4) if masked else None
        return websocket_frame(opcode, payload, True, False, key)

    def close_frame(self, close_data: Close | None = None) -> bytes:
        """
        Return a close frame with a code and a reason, or with neither.

        Raises:
            ProtocolError: If the code may not be sent, or the reason is too long.
        """
        payload = b""
        if close_data is not None:
            code, reason = close_data
            if code not in VALID_CLOSE_STATUS:
                raise ProtocolError(
                    f"{code!r} is no code for a close frame: use 1000 for a normal end,"
                    " or one of your own from 3000 to 4999"
                )
            if isinstance(reason, str):
                reason = reason.encode()
            payload = code.to_bytes(2, "big") + reason
        return self.control_frame(_CLOSE, payload)


def _plain(message: Any) -> str | bytes:
    """Return a message as str or bytes themselves."""
    if isinstance(message, str):
        return str(message)
    if isinstance(message, bytes | bytearray | memoryview):
        return bytes(message)
    try:
        return bytes(memoryview(message))
    except TypeError:
        raise TypeError(
            f"a message is str or bytes, not {type(message).__name__}: convert it first"
        ) from None
