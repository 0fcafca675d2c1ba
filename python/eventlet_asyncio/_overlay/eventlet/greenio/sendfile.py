"""
Files sent by the system itself, without a copy through this process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventlet.greenio.real import RealSocket, os_module, socket_module

_SENDFILE_BLOCK = 1 << 23


class Sendfile:
    """The part of a green socket that sends files."""

    if TYPE_CHECKING:
        act_non_blocking: bool
        fileno: Any
        _until_ready: Any

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """
        Send a file until its end, or `count` bytes of it. Switch point.

        The system copies regular files itself; others are read and sent.

        Returns:
            The number of bytes sent.

        Raises:
            ValueError: If the socket never waits, or the arguments make no sense.
        """
        try:
            return self._sendfile_use_sendfile(file, offset, count)
        except socket_module._GiveupOnSendfile:
            return self._sendfile_use_send(file, offset, count)

    def _sendfile_use_sendfile(
        self, file: Any, offset: int = 0, count: int | None = None
    ) -> int:
        self._check_sendfile_params(file, offset, count)
        if self.act_non_blocking:
            message = "non-blocking sockets are not supported"
            raise ValueError(message)
        try:
            source = file.fileno()
            size = os_module.fstat(source).st_size
        except (AttributeError, OSError, ValueError) as error:
            raise socket_module._GiveupOnSendfile(error) from error
        if not size:
            return 0  # an empty file, or one that the system cannot tell the size of
        total = 0
        try:
            while count is None or total < count:
                left = _SENDFILE_BLOCK if count is None else count - total
                block = min(left, _SENDFILE_BLOCK)
                try:
                    sent = self._until_ready(
                        self._sendfile_block, source, offset + total, block, write=True
                    )
                except TimeoutError:
                    raise
                except OSError as error:
                    if total:
                        raise
                    # The system cannot copy from this kind of file.
                    raise socket_module._GiveupOnSendfile(error) from error
                if not sent:
                    break
                total += sent
        finally:
            if total and hasattr(file, "seek"):
                file.seek(offset + total)
        return total

    def _sendfile_block(self, source: int, offset: int, count: int) -> int:
        return os_module.sendfile(self.fileno(), source, offset, count)

    # Plain functions of the standard class, which call nothing but methods of `self`.
    _check_sendfile_params = RealSocket._check_sendfile_params
    _sendfile_use_send = RealSocket._sendfile_use_send
