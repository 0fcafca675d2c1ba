"""
The answer to a request that wants to become a WebSocket connection.

A handshake reads the WSGI environment and returns what is to be sent, or raises
`BadRequest` with the response that refuses it. It reads nothing but the environment:
the eight bytes behind the head of a hixie-76 request are an argument.
"""

from __future__ import annotations

import base64
import binascii
import struct
from hashlib import md5, sha1
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from . import deflate
from .errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = [
    "KEY3_LENGTH",
    "PROTOCOL_GUID",
    "Accepted",
    "Terms",
    "accept_key",
    "answer",
    "answer_legacy",
    "legacy_version",
]

#: What RFC 6455 joins to the client's key.
PROTOCOL_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#: Bytes that follow the head of a hixie-76 request.
KEY3_LENGTH = 8

_VERSIONS = (8, 13)
_KEY_LENGTH = 16
# What a URL's path may hold as it is; everything else is escaped, line ends above all.
_PATH_SAFE = "/~!$&'()*+,;=:@"


class Terms(NamedTuple):
    """
    What a server agrees to.
    """

    #: Subprotocols that the application speaks.
    supported_protocols: Iterable[str] = ()
    #: Called with the host and the origin of a request, says whether to accept it.
    origin_checker: Callable[[str | None, str], Any] | None = None
    #: Whether drafts from before RFC 6455 are answered.
    support_legacy_versions: bool = True
    #: Whether messages may be compressed.
    compression: bool = True


class Accepted(NamedTuple):
    """
    A handshake that succeeded.
    """

    #: The response's head, and what may follow it.
    response: bytes
    version: int
    #: The subprotocol that was agreed on.
    protocol: str | None = None
    #: Parameters of the extensions that were agreed on, by name.
    extensions: dict[str, Any] = {}  # noqa: RUF012 - given by keyword, never changed


def _refusal(status: str = "400 Bad Request", *, reason: str) -> BadRequest:
    """
    Make the response that refuses a request.

    The reason goes into the exception for whoever logs it, not to the client.
    """
    error = BadRequest(status, headers=[("Connection", "close")])
    error.args = (reason,)
    return error


def _tokens(value: str | None) -> list[str]:
    return [token.strip() for token in (value or "").split(",") if token.strip()]


def legacy_version(environ: Mapping[str, Any], terms: Terms) -> int | None:
    """
    Say which draft a request follows: 75 or 76; None if it follows RFC 6455.

    Raises:
        BadRequest: If it asks for no WebSocket connection, or for a draft although
            those are not supported.
    """
    if "upgrade" not in map(str.lower, _tokens(environ.get("HTTP_CONNECTION"))):
        raise _refusal(reason="the Connection header does not say Upgrade")
    if "websocket" not in map(str.lower, _tokens(environ.get("HTTP_UPGRADE"))):
        raise _refusal(reason="the Upgrade header does not say websocket")
    if environ.get("SERVER_PROTOCOL") in {"HTTP/0.9", "HTTP/1.0"}:
        raise _refusal(reason="a handshake needs HTTP/1.1")
    if not environ.get("HTTP_HOST"):
        raise _refusal(reason="a handshake needs a Host header")
    if environ.get("REQUEST_METHOD", "GET") != "GET":
        raise _refusal(reason="the method of a handshake is GET")
    if environ.get("CONTENT_LENGTH") not in {None, "", "0"} or (
        "HTTP_TRANSFER_ENCODING" in environ
    ):
        # Who forwards it and sees no end of it would take frames for its body.
        raise _refusal(reason="a handshake has no body")
    if "HTTP_SEC_WEBSOCKET_VERSION" in environ:
        return None
    if not terms.support_legacy_versions:
        raise _refusal(reason="there is no Sec-WebSocket-Version header")
    if not environ.get("HTTP_ORIGIN"):
        raise _refusal(reason="drafts need the header Origin")
    keys = [f"HTTP_SEC_WEBSOCKET_KEY{number}" in environ for number in (1, 2)]
    if keys[0] != keys[1]:
        raise _refusal(reason="only one of two Sec-WebSocket-Key headers is there")
    return 76 if keys[0] else 75


# RFC 6455


def accept_key(key: str) -> str:
    """
    Return what proves that a server has understood the client's key.
    """
    digest = sha1(key.encode("latin-1") + PROTOCOL_GUID, usedforsecurity=False)
    return base64.b64encode(digest.digest()).decode()


def answer(environ: Mapping[str, Any], terms: Terms) -> Accepted:
    """
    Accept a request that follows RFC 6455.

    Raises:
        BadRequest: If it does not, or if its origin is refused.
    """
    version = _version(environ)
    key = environ.get("HTTP_SEC_WEBSOCKET_KEY", "").strip()
    try:
        key_length = len(base64.b64decode(key, validate=True))
    except (ValueError, binascii.Error):
        key_length = 0
    if key_length != _KEY_LENGTH:
        raise _refusal(reason="Sec-WebSocket-Key is not 16 bytes in base64")
    _check_origin(environ, terms)
    headers = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key(key)}",
    ]
    supported = set(terms.supported_protocols)
    offered = _tokens(environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL"))
    protocol = next((name for name in offered if name in supported), None)
    if protocol is not None:
        headers.append(f"Sec-WebSocket-Protocol: {protocol}")
    extensions = {}
    offers = environ.get("HTTP_SEC_WEBSOCKET_EXTENSIONS", "")
    agreed = deflate.negotiate(offers) if terms.compression else None
    if agreed is not None:
        extensions[deflate.NAME] = agreed
        headers.append(f"Sec-WebSocket-Extensions: {deflate.format_header(agreed)}")
    return Accepted(_head(headers), version, protocol, extensions)


def _version(environ: Mapping[str, Any]) -> int:
    # Not by int(), which takes "1_3" and "+13".
    asked = environ["HTTP_SEC_WEBSOCKET_VERSION"].strip()
    for version in _VERSIONS:
        if asked == str(version):
            return version
    # RFC 6455, 4.4, and RFC 9110, 15.5.22 with 7.8: what may be upgraded to, and the option
    # that goes with it.
    raise BadRequest(
        "426 Upgrade Required",
        headers=[
            ("Connection", "Upgrade, close"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", ", ".join(map(str, _VERSIONS))),
        ],
    )


def _check_origin(environ: Mapping[str, Any], terms: Terms) -> None:
    if terms.origin_checker is None:
        return
    # Drafts up to version 8 have a header of their own.
    origin = environ.get("HTTP_ORIGIN") or environ.get("HTTP_SEC_WEBSOCKET_ORIGIN", "")
    if not terms.origin_checker(environ.get("HTTP_HOST"), origin):
        raise _refusal("403 Forbidden", reason=f"the origin {origin!r} is refused")


def _head(lines: list[str]) -> bytes:
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


# Drafts


def answer_legacy(
    environ: Mapping[str, Any], terms: Terms, version: int, key3: bytes = b""
) -> Accepted:
    """
    Accept a request that follows the draft hixie-75 or hixie-76.

    Args:
        environ: Of the request.
        terms: What the server agrees to.
        version: What `legacy_version` has said.
        key3: The bytes behind the head of a hixie-76 request.

    Raises:
        BadRequest: If its keys are wrong, or if its origin is refused.
    """
    _check_origin(environ, terms)
    origin = environ["HTTP_ORIGIN"]
    if version == 75:
        head = [
            "HTTP/1.1 101 Web Socket Protocol Handshake",
            "Upgrade: WebSocket",
            "Connection: Upgrade",
            f"WebSocket-Origin: {origin}",
            f"WebSocket-Location: {_location(environ)}",
        ]
        return Accepted(_head(head), 75, environ.get("HTTP_WEBSOCKET_PROTOCOL"))
    if len(key3) != KEY3_LENGTH:
        raise _refusal(reason="the handshake ended before its last eight bytes")
    numbers = [_number(environ[f"HTTP_SEC_WEBSOCKET_KEY{which}"]) for which in (1, 2)]
    digest = md5(struct.pack(">II", *numbers) + key3, usedforsecurity=False)
    protocol = environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL")
    head = [
        "HTTP/1.1 101 WebSocket Protocol Handshake",
        "Upgrade: WebSocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Origin: {origin}",
        f"Sec-WebSocket-Protocol: {protocol or 'default'}",
        f"Sec-WebSocket-Location: {_location(environ)}",
    ]
    return Accepted(_head(head) + digest.digest(), 76, protocol)


def _number(key: str) -> int:
    """Return a key's digits as a number, divided by how many spaces it has."""
    digits = "".join(char for char in key if char in "0123456789")
    spaces = key.count(" ")
    # Ten digits are more than fit, so nobody converts a header full of them.
    if not digits or not spaces or len(digits) > 10:
        raise _refusal(reason="a key of the handshake has no digits or no spaces")
    number, rest = divmod(int(digits), spaces)
    if rest or number >> 32:
        raise _refusal(reason="a key of the handshake is not divisible by its spaces")
    return number


def _location(environ: Mapping[str, Any]) -> str:
    """Return the URL that was asked for, with whatever would end a header escaped."""
    scheme = "wss" if environ.get("wsgi.url_scheme") == "https" else "ws"
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    path = quote(path.encode("latin-1"), safe=_PATH_SAFE)
    query = environ.get("QUERY_STRING")
    # An empty query has its question mark, which servers tell by the raw path alone.
    if query or (query is not None and _ends_with_mark(environ)):
        path += "?" + quote(query.encode("latin-1"), safe=_PATH_SAFE + "?%")
    return f"{scheme}://{environ['HTTP_HOST']}{path}"


def _ends_with_mark(environ: Mapping[str, Any]) -> bool:
    for name in ("REQUEST_URI", "RAW_URI"):
        if name in environ:
            return bool(environ[name].endswith("?"))
    # Where QUERY_STRING is there only if the client sent one.
    return True
