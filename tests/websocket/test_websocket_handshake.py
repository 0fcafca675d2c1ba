"""Promises of the handshake, without a server."""

from __future__ import annotations

import pytest

from eventlet._websocket import deflate
from eventlet._websocket.errors import BadRequest
from eventlet._websocket.handshake import (
    Terms,
    accept_key,
    answer,
    answer_legacy,
    legacy_version,
)

REQUEST = {
    "REQUEST_METHOD": "GET",
    "PATH_INFO": "/chat",
    "SCRIPT_NAME": "",
    "HTTP_HOST": "example.org",
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "keep-alive, Upgrade",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
}
DRAFT = {
    "REQUEST_METHOD": "GET",
    "PATH_INFO": "/chat",
    "SCRIPT_NAME": "",
    "HTTP_HOST": "example.org",
    "HTTP_UPGRADE": "WebSocket",
    "HTTP_CONNECTION": "Upgrade",
    "HTTP_ORIGIN": "http://example.org",
}
# The example of hixie-76.
KEYS = {
    "HTTP_SEC_WEBSOCKET_KEY1": "18x 6]8vM;54 *(5:  {   U1]8  z [  8",
    "HTTP_SEC_WEBSOCKET_KEY2": "1_ tx7X d  <  nw  334J702) 7]o}` 0",
}


def request(base=REQUEST, /, **changes):
    """Return an environment; None takes a header away."""
    changed = base | changes
    return {name: value for name, value in changed.items() if value is not None}


def refused(environ, terms=Terms()):  # noqa: B008 - it never changes
    """Return the status with which a request is refused."""
    with pytest.raises(BadRequest) as caught:
        version = legacy_version(environ, terms)
        if version is None:
            answer(environ, terms)
        else:
            answer_legacy(environ, terms, version, b"Tm[K T2u")
    assert ("Connection", "close") in caught.value.headers
    return caught.value.status


def test_key_is_answered_as_the_standard_says():
    """The example of RFC 6455, section 1.3."""
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_handshake_is_accepted():
    """A request that follows the standard is answered with the three headers."""
    assert legacy_version(REQUEST, Terms()) is None
    accepted = answer(REQUEST, Terms())
    assert accepted.response == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )
    assert (accepted.version, accepted.protocol, accepted.extensions) == (13, None, {})


@pytest.mark.parametrize(
    "changes",
    [
        {"HTTP_UPGRADE": None},
        {"HTTP_UPGRADE": "h2c"},
        {"HTTP_CONNECTION": None},
        {"HTTP_CONNECTION": "keep-alive"},
        {"REQUEST_METHOD": "POST"},
        {"SERVER_PROTOCOL": "HTTP/1.0"},
        {"SERVER_PROTOCOL": "HTTP/0.9"},
        {"HTTP_HOST": None},
        {"HTTP_HOST": ""},
        {"CONTENT_LENGTH": "5"},
        {"HTTP_TRANSFER_ENCODING": "chunked"},
        {"HTTP_SEC_WEBSOCKET_KEY": None},
        {"HTTP_SEC_WEBSOCKET_KEY": ""},
        {"HTTP_SEC_WEBSOCKET_KEY": "c2hvcnQ="},
        {"HTTP_SEC_WEBSOCKET_KEY": "no base64 at all!"},
        {"HTTP_SEC_WEBSOCKET_KEY": "\u00e9\u00e9\u00e9\u00e9"},
    ],
    ids=str,
)
def test_request_that_is_no_handshake_is_refused(changes):
    """What the standard demands of a request is demanded."""
    assert refused(request(**changes)) == "400 Bad Request"


@pytest.mark.parametrize(
    "version", ["7", "12", "14", "0", "-1", "x", "13, 8", "1_3", "+13", ""]
)
def test_unknown_version_is_told_the_known_ones(version):
    """A client can try again with a version that is spoken here."""
    with pytest.raises(BadRequest) as caught:
        answer(request(HTTP_SEC_WEBSOCKET_VERSION=version), Terms())
    assert caught.value.status == "426 Upgrade Required"
    assert caught.value.headers == [
        ("Connection", "Upgrade, close"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "8, 13"),
    ]


def test_first_subprotocol_that_both_speak_is_chosen():
    """The client's order decides, and nothing is chosen that it did not ask for."""
    terms = Terms(supported_protocols=["a", "b"])
    for offered, chosen in [("c, b, a", "b"), ("b,a", "b"), ("c", None), (None, None)]:
        accepted = answer(request(HTTP_SEC_WEBSOCKET_PROTOCOL=offered), terms)
        assert accepted.protocol == chosen
        header = f"Sec-WebSocket-Protocol: {chosen}\r\n".encode()
        assert (header in accepted.response) == (chosen is not None)


def test_origin_is_checked():
    """The checker sees host and origin, and what it refuses gets status 403."""
    seen = []

    def check(host, origin):
        seen.append((host, origin))
        return origin == "http://good"

    terms = Terms(origin_checker=check)
    answer(request(HTTP_ORIGIN="http://good"), terms)
    answer(request(HTTP_SEC_WEBSOCKET_ORIGIN="http://good"), terms)
    assert refused(request(HTTP_ORIGIN="http://bad"), terms) == "403 Forbidden"
    assert refused(REQUEST, terms) == "403 Forbidden"
    assert refused(request(DRAFT), terms) == "403 Forbidden"
    assert seen[0] == ("example.org", "http://good")
    assert seen[3] == ("example.org", "")


# Compression


@pytest.mark.parametrize(
    ("offer", "reply"),
    [
        ("permessage-deflate", "permessage-deflate"),
        ("PerMessage-Deflate", "permessage-deflate"),
        ("foo, permessage-deflate", "permessage-deflate"),
        (
            "permessage-deflate; Client_No_Context_Takeover;",
            "permessage-deflate; client_no_context_takeover",
        ),
        (
            "permessage-deflate; client_max_window_bits; server_no_context_takeover",
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=15",
        ),
        (
            'permessage-deflate; server_max_window_bits = "10"',
            "permessage-deflate; server_max_window_bits=10",
        ),
        (
            "permessage-deflate; client_max_window_bits=8",
            "permessage-deflate; client_max_window_bits=8",
        ),
        # Declined, and the next one taken.
        ("permessage-deflate; foo, permessage-deflate", "permessage-deflate"),
        ('x; y="a, permessage-deflate; z", permessage-deflate', "permessage-deflate"),
    ],
)
def test_offered_compression_is_accepted(offer, reply):
    """The first offer that can be kept is answered with what was agreed on."""
    accepted = answer(request(HTTP_SEC_WEBSOCKET_EXTENSIONS=offer), Terms())
    header = f"Sec-WebSocket-Extensions: {reply}\r\n".encode()
    assert header in accepted.response
    assert list(accepted.extensions) == ["permessage-deflate"]


@pytest.mark.parametrize(
    "offer",
    [
        "",
        "foo",
        "x-webkit-deflate-frame",
        "permessage-deflate; unknown",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_max_window_bits; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=09",
        "permessage-deflate; client_max_window_bits=a",
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; a b",
        'permessage-deflate; client_max_window_bits="10',
        "permessage-deflate" + '"' * 5000,
    ],
)
def test_offer_that_cannot_be_kept_is_declined(offer):
    """The connection is accepted without compression."""
    assert deflate.negotiate(offer) is None
    accepted = answer(request(HTTP_SEC_WEBSOCKET_EXTENSIONS=offer), Terms())
    assert b"Extensions" not in accepted.response


def test_compression_can_be_switched_off():
    """What the client offers is declined, whatever it is."""
    asked = request(HTTP_SEC_WEBSOCKET_EXTENSIONS="permessage-deflate")
    accepted = answer(asked, Terms(compression=False))
    assert accepted.extensions == {}
    assert b"Extensions" not in accepted.response


# Drafts


def test_drafts_are_told_by_their_headers():
    """Without a version it is hixie-76 with two keys, hixie-75 with none."""
    assert legacy_version(DRAFT, Terms()) == 75
    assert legacy_version(request(DRAFT, **KEYS), Terms()) == 76
    one = request(DRAFT, HTTP_SEC_WEBSOCKET_KEY1="1 2")
    assert refused(one) == "400 Bad Request"


def test_drafts_can_be_left_out():
    """A server that does not want them refuses them."""
    terms = Terms(support_legacy_versions=False)
    assert refused(DRAFT, terms) == "400 Bad Request"
    assert refused(request(DRAFT, **KEYS), terms) == "400 Bad Request"


def test_hixie_76_example_is_answered():
    """The example of the draft, with the protocol and the bytes that it names."""
    environ = request(DRAFT, **KEYS, HTTP_SEC_WEBSOCKET_PROTOCOL="sample")
    accepted = answer_legacy(environ, Terms(), 76, b"Tm[K T2u")
    assert accepted.response.endswith(b"\r\n\r\nfQJ,fN/4F4!~K~MH")
    assert b"Sec-WebSocket-Location: ws://example.org/chat\r\n" in accepted.response
    assert b"Sec-WebSocket-Origin: http://example.org\r\n" in accepted.response
    assert accepted.protocol == "sample"


@pytest.mark.parametrize(
    "key", ["123", "no digits", "1 2 3 5 ", "1" * 11 + " ", "9999999999 ", "7  "]
)
def test_hixie_76_with_a_wrong_key_is_refused(key):
    """Keys need digits, spaces, and a number that the spaces divide."""
    environ = request(DRAFT, **KEYS | {"HTTP_SEC_WEBSOCKET_KEY1": key})
    assert refused(environ) == "400 Bad Request"


def test_hixie_76_that_ends_early_is_refused():
    """The eight bytes behind the head belong to the handshake."""
    with pytest.raises(BadRequest, match="400"):
        answer_legacy(request(DRAFT, **KEYS), Terms(), 76, b"Tm[K")


def test_location_cannot_carry_headers():
    """A path with line ends, which arrives decoded, is encoded again."""
    environ = request(DRAFT, PATH_INFO="/a\r\nX: \u00e9", QUERY_STRING="b=%20\r\n")
    response = answer_legacy(environ, Terms(), 75).response
    assert b"ws://example.org/a%0D%0AX:%20%C3%A9?b=%20%0D%0A\r\n" not in response
    assert b"ws://example.org/a%0D%0AX:%20%E9?b=%20%0D%0A\r\n" in response


def test_location_keeps_the_query():
    """An empty query has its question mark, and a secure server its scheme."""
    for query, end in [(None, "/chat"), ("", "/chat?"), ("a=b", "/chat?a=b")]:
        environ = request(DRAFT, QUERY_STRING=query)
        environ["wsgi.url_scheme"] = "https"
        response = answer_legacy(environ, Terms(), 75).response
        assert f"Location: wss://example.org{end}\r\n".encode() in response
