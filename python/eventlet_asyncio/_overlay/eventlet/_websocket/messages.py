"""Messages that were compressed or are taken apart: upstream's `Message` and its decoder."""

from __future__ import annotations

import codecs
from typing import Any

from .errors import FailedConnectionError

__all__ = ["Message", "UTF8Decoder"]

_new_decoder = codecs.getincrementaldecoder("utf-8")


class UTF8Decoder:
    """
    Decodes text that comes in pieces.
    """

    def __init__(self) -> None:
        self._decoder = _new_decoder("strict")

    def reset(self) -> None:
        """
        Forget what has been decoded.
        """
        self._decoder.reset()

    def decode(self, data: bytes, final: bool = False) -> str:
        """
        Return the text that is complete.

        Raises:
            UnicodeDecodeError: If it is not valid.
        """
        return self._decoder.decode(data, final)


class Message:
    """
    A message that is put together from the payload of its frames.

    Args:
        opcode: What kind of message it is.
        max_frame_length: How long it may become when it is decompressed.
        decoder: A `UTF8Decoder` for text.
        decompressor: An `Inflater` for a compressed message.
    """

    def __init__(
        self,
        opcode: int,
        max_frame_length: int,
        decoder: Any = None,
        decompressor: Any = None,
    ) -> None:
        self.decoder = decoder
        self.data: list[bytes] = []
        self.finished = False
        self.opcode = opcode
        self.decompressor = decompressor
        self.max_frame_length = max_frame_length

    def push(self, data: bytes, final: bool = False) -> None:
        """
        Add the payload of a frame; `final` says that it is the last one.
        """
        self.finished = final
        self.data.append(data)

    def getvalue(self) -> str | bytes:
        """
        Return the message: str for text, bytes for anything else.

        Raises:
            FailedConnectionError: If it is too long, damaged, or not valid UTF-8.
        """
        data = b"".join(self.data)
        if self.decompressor is not None:
            data = self.decompressor.decompress(data, self.max_frame_length)
        if self.decoder is None:
            return data
        try:
            text: str = self.decoder.decode(data, self.finished)
        except UnicodeDecodeError as error:
            reason = "A text message is not valid UTF-8."
            raise FailedConnectionError(1007, reason) from error
        return text
