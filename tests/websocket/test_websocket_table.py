"""
RFC 6455 and RFC 7692 as a table: what a raw client sends, and what it is answered.

An echo server answers; the numbers are those of Autobahn's test suite, where it has the
case. A close frame is the last thing that comes.
"""

from __future__ import annotations

import struct
import zlib

import pytest
from tests.websocket.talking import HEAD, echo

from eventlet import websocket

MIB = 1 << 20
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
CONTINUATION, TEXT, DATA, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
NAMES = {TEXT: "text", DATA: "data", PING: "ping", PONG: "pong"}
GREEK = "κόσμε".encode()


def frame(opcode, payload=b"", *, fin=True, reserved=0, mask=True, form=None):
    """Return a frame, in a longer form than needed if asked."""
    head = bytes([fin << 7 | reserved << 4 | opcode])
    bit, size = mask << 7, len(payload)
    if form == 64 or size > 0xFFFF:
        head += bytes([bit | 127]) + struct.pack(">Q", size)
    elif form == 16 or size > 125:
        head += bytes([bit | 126]) + struct.pack(">H", size)
    else:
        head += bytes([bit | size])
    if not mask:
        return head + payload
    if size > MIB:
        return head + bytes(4) + payload
    key = b"\x11\x22\x33\x44" * (size // 4 + 1)
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(key[:size], "big")
    return head + key[:4] + masked.to_bytes(size, "big")


def part(payload, **options):
    """Return a frame that is not the last of its message."""
    return frame(payload=payload, fin=False, **{"opcode": CONTINUATION, **options})


def code(number, reason=b""):
    """Return a close frame."""
    return frame(CLOSE, struct.pack(">H", number) + reason)


def deflated(data):
    """Return data as permessage-deflate has it."""
    stream = zlib.compressobj(9, wbits=-15)
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


def rows():
    """List the table: a name, what is sent, what is answered, and whether with deflate."""
    for size in (0, 125, 126, 127, 128, 65535, 65536):
        yield f"1.1 text of {size}", [frame(TEXT, b"*" * size)], ["text"]
        yield f"1.2 data of {size}", [frame(DATA, b"\xfe" * size)], ["data"]
    yield "2.1 empty ping", [frame(PING)], ["pong"]
    yield "2.2 ping", [frame(PING, b"Hello")], ["pong"]
    yield "2.4 ping of 125", [frame(PING, b"\xfe" * 125)], ["pong"]
    yield "2.5 ping of 126", [frame(PING, b"\xfe" * 126)], [1002]
    yield "2.7 unasked pong", [frame(PONG), frame(TEXT, b"a")], ["text"]
    pings = [frame(PING, b"%d" % n) for n in range(10)]
    yield "2.10 ten pings", pings, ["pong"] * 10
    for bits in range(1, 8):
        wrong = frame(TEXT, b"x", reserved=bits)
        yield f"3.{bits} reserved", [frame(TEXT, b"a"), wrong, pings[0]], ["text", 1002]
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        wrong = frame(opcode, b"x")
        yield f"4 opcode {opcode}", [frame(TEXT, b"a"), wrong, pings[0]], ["text", 1002]
    yield from fragments()
    yield from texts()
    yield from closes()
    yield from limits()
    yield "unmasked", [frame(TEXT, b"a", mask=False)], [1002]
    yield "16 bits for 1", [frame(TEXT, b"a", form=16)], [1002]
    yield "64 bits for 1", [frame(TEXT, b"a", form=64)], [1002]


def fragments():
    """List messages in parts."""
    begun, end = part(b"a", opcode=TEXT), frame(CONTINUATION, b"b")
    yield "5.1 ping in parts", [part(b"a", opcode=PING), end], [1002]
    yield "5.2 pong in parts", [part(b"a", opcode=PONG), end], [1002]
    yield "5.3 text in parts", [begun, end], ["text"]
    yield "5.6 ping between", [begun, frame(PING, b"p"), end], ["pong", "text"]
    yield "5.9 nothing to continue", [end], [1002]
    yield "5.11 nothing to go on with", [part(b"x")], [1002]
    yield "5.15 after the end", [begun, end, part(b"c")], ["text", 1002]
    yield "5.18 text in a text", [begun, frame(TEXT, b"b")], [1002]
    yield "5 data in a text", [begun, frame(DATA, b"b")], [1002]
    yield "5 close between", [begun, code(1000)], [1000]
    empty = [part(b"", opcode=TEXT), part(b""), frame(CONTINUATION)]
    yield "6.1 empty parts", empty, ["text"]
    yield "endless empty parts", [part(b"", opcode=TEXT), *[part(b"")] * 5000], [1008]


def texts():
    """List texts that are UTF-8, and others."""
    yield "6.2 text", [frame(TEXT, GREEK)], ["text"]
    begun = part(GREEK[:1], opcode=TEXT)
    bytewise = [part(GREEK[n : n + 1]) for n in range(1, len(GREEK))]
    yield "6.2.3 bytewise", [begun, *bytewise, frame(CONTINUATION)], ["text"]
    yield "6.3.1 invalid", [frame(TEXT, GREEK + b"\xed\xa0\x80edited")], [1007]
    wrong = [*bytewise, part(b"\xed"), part(b"\xa0"), part(b"\x80")]
    yield "6.3.2 invalid bytewise", [begun, *wrong], [1007]
    early = [part(GREEK + b"\xf4", opcode=TEXT), part(b"\x90")]
    yield "6.4.1 told early", early, [1007]
    cut = frame(TEXT, GREEK + b"\xf4\x90" + b"a" * 100)[: 6 + len(GREEK) + 2]
    yield "6.4.2 told within a frame", [cut], [1007]
    for text in (
        *("ed9fbf", "ee8080", "efbfbd", "f48fbfbf", "00", "efbfbe", "f09fbfbe"),
        "efbbbf",
    ):
        yield f"6 valid {text}", [frame(TEXT, bytes.fromhex(text))], ["text"]
    for text in (
        *("f4908080", "c080", "c1bf", "e08080", "f0808080", "f888808080"),
        *("fc8480808080", "eda080", "edbfbf", "80", "bf", "fe", "ff", "c2", "e180"),
        "f18080",
    ):
        yield f"6 invalid {text}", [frame(TEXT, bytes.fromhex(text))], [1007]


def closes():
    """List close frames."""
    yield "7.1.1", [frame(TEXT, b"a"), code(1000)], ["text", 1000]
    yield "7.1.3 data after it", [code(1000), frame(TEXT, b"x"), frame(PING)], [1000]
    yield "7.3.1 without a code", [frame(CLOSE)], [1000]
    yield "7.3.2 half a code", [frame(CLOSE, b"\x03")], [1002]
    yield "7.3.5 longest reason", [code(1000, b"*" * 123)], [1000]
    yield "7.3.6 too long a reason", [code(1000, b"*" * 124)], [1002]
    yield "7.5.1 invalid reason", [code(1000, GREEK + b"\xed\xa0\x80")], [1007]
    registered = (1000, 1001, 1002, 1003, *range(1007, 1015))
    for number in (*registered, 3000, 3999, 4000, 4999):
        yield f"7.7 code {number}", [code(number)], [number]
    for number in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        yield f"7.9 code {number}", [code(number)], [1002]


def limits():
    """List what is as long as it may be, and longer."""
    most = 8 * MIB
    yield "9 text of the limit", [frame(TEXT, b"*" * most)], ["text"]
    yield "9 above", [frame(TEXT, b"*" * (most + 1))[:2000]], [1009]
    largest = b"\x82\xff\x7f" + b"\xff" * 7 + bytes(4)
    yield "9 largest length", [largest], [1009]
    yield "9 no length", [b"\x82\xff\x80" + bytes(7) + bytes(4)], [1002]
    half = bytes(most // 2)
    begun = part(half, opcode=DATA)
    yield "9 parts of the limit", [begun, frame(CONTINUATION, half)], ["data"]
    yield "9 parts above", [begun, part(half), part(b"x")], [1009]


def compressed_rows():
    """List what is said where compression was agreed on; answers are compressed."""
    hello, many = deflated(b"hello hello hello"), deflated(b"hello" * 100)
    yield "12 text", [frame(TEXT, hello, reserved=4)], ["text"]
    yield "12 plain", [frame(TEXT, b"hello")], ["text"]
    begun = part(many[:5], opcode=TEXT, reserved=4)
    yield "12 parts", [begun, frame(CONTINUATION, many[5:])], ["text"]
    yield "12 marked twice", [begun, frame(CONTINUATION, reserved=4)], [1002]
    yield "12 marked ping", [frame(PING, reserved=4)], [1002]
    yield "12 damaged", [frame(TEXT, b"\xff\xff\xff\xff", reserved=4)], [1007]
    yield "12 empty", [frame(TEXT, b"\0", reserved=4)], ["text"]
    invalid = deflated(b"\xff\xfe")
    yield "12 invalid text", [frame(TEXT, invalid, reserved=4)], [1007]
    garbage = zlib.compress(b"a", 9)[2:-4] + b"garbage"
    yield "12 after the end", [frame(DATA, garbage, reserved=4)], [1007]
    limit, above = deflated(bytes(8 * MIB)), deflated(bytes(9 * MIB))
    yield "12 of the limit", [frame(DATA, limit, reserved=4)], ["data"]
    yield "12 above", [frame(DATA, above, reserved=4)], [1009]
    bomb = deflated(bytes(63 * MIB))
    parts = [part(bomb, opcode=DATA, reserved=4), frame(CONTINUATION)]
    yield "12 above, in parts", parts, [1009]


class Raw:
    """A client that reads frames as they come."""

    def __init__(self, server, more=""):
        self.sock, head, self.held = server.ask(
            HEAD.format(path="/", more=more).encode()
        )
        assert head.startswith(b"HTTP/1.1 101 ")
        assert (b"permessage-deflate" in head) == bool(more)

    def exactly(self, size):
        """Read so many bytes; fewer at the end."""
        pieces, have = [self.held], len(self.held)
        while have < size and (more := self.sock.recv(MIB)):
            pieces.append(more)
            have += len(more)
        data = b"".join(pieces)
        data, self.held = data[:size], data[size:]
        return data

    def answer(self):
        """Read a frame: the name of its kind, the code of a close frame, None for the end."""
        head = self.exactly(2)
        if not head:
            return None
        assert head[0] & 0x80
        assert not head[1] & 0x80
        size = head[1]
        if size > 125:
            size = int.from_bytes(self.exactly(2 if size == 126 else 8), "big")
        payload = self.exactly(size)
        opcode = head[0] & 15
        if opcode == CLOSE:
            return int.from_bytes(payload[:2], "big")
        return NAMES[opcode]


def check(serve, sent, answered, more=""):
    """Send all, and compare what comes."""
    client = Raw(serve(websocket.WebSocketWSGI(echo)), more)
    client.sock.sendall(b"".join(sent))
    assert [client.answer() for _ in answered] == answered
    if isinstance(answered[-1], int):
        assert client.answer() is None


@pytest.mark.parametrize(
    ("sent", "answered"), [pytest.param(*row[1:], id=row[0]) for row in rows()]
)
def test_what_is_sent_is_answered(serve, sent, answered):
    """Each row of the table, on a connection of its own."""
    check(serve, sent, answered)


@pytest.mark.parametrize(
    ("sent", "answered"),
    [pytest.param(*row[1:], id=row[0]) for row in compressed_rows()],
)
def test_what_is_sent_compressed_is_answered(serve, sent, answered):
    """Each row about compression."""
    check(serve, sent, answered, DEFLATE)


def test_compression_without_an_agreement_breaks_the_protocol(serve):
    """The bit is reserved then."""
    check(serve, [frame(TEXT, deflated(b"a"), reserved=4)], [1002])


def test_pieces_of_any_size_are_put_together(serve):
    """1.1.8: it does not matter where packets end."""
    client = Raw(serve(echo))
    data = frame(TEXT, b"*" * 65536)
    for at in range(0, len(data), 997):
        client.sock.sendall(data[at : at + 997])
    assert client.answer() == "text"
