"""Promises of one side of an RFC 6455 connection, without a socket."""

from __future__ import annotations

import random
import tracemalloc
import zlib

import pytest

from eventlet._websocket.errors import FailedConnectionError, ProtocolError
from eventlet._websocket.session import VALID_CLOSE_STATUS, Reaction, Session
from eventlet_asyncio._core import websocket_frame

DEFLATE = {"permessage-deflate": {}}


def pair(**options):
    """Return a client and a server."""
    return Session(client=True, **options), Session(**options)


def heard(session, data):
    """Return the messages and reactions that some bytes lead to."""
    session.reader.feed(data)
    found = []
    while (event := session.reader.next()) is not None:
        found.append(session.react(event) if isinstance(event, tuple) else event)
    return found


def sent(session, message, **options):
    """Return the frame of a message."""
    return session.message_frame(message, masked=session.client, **options)


def failure(session, data):
    """Return the status with which some bytes end the connection."""
    with pytest.raises(FailedConnectionError) as caught:
        heard(session, data)
    return caught.value.status


@pytest.mark.parametrize(
    "message",
    ["", "text", "\u20ac \U0001f600", b"", b"data", b"\xff" * 200, b"x" * 70_000],
    ids=lambda m: f"{type(m).__name__}{len(m)}",
)
@pytest.mark.parametrize("extensions", [None, DEFLATE], ids=["plain", "deflate"])
def test_message_arrives_as_it_was_sent(message, extensions):
    """Both sides get what the other one sends, text as str and data as bytes."""
    client, server = pair(extensions=extensions)
    assert heard(server, sent(client, message)) in (
        [message],
        [Reaction(message=message)],
    )
    assert heard(client, sent(server, message)) in (
        [message],
        [Reaction(message=message)],
    )


def test_messages_are_the_same_however_bytes_are_cut():
    """Nothing depends on how much arrives at once."""
    client, _ = pair()
    data = sent(client, "h\u00e9llo", final=False) + client.control_frame(9, b"?")
    data += sent(client, "!", continuation=True) + sent(client, b"x" * 300)
    expected = heard(Session(), data)
    assert expected[1:] == ["h\u00e9llo!", b"x" * 300]
    for size in range(1, 12):
        server = Session()
        found = []
        for start in range(0, len(data), size):
            found += heard(server, data[start : start + size])
        assert found == expected


def test_random_fragments_give_the_message():
    """However a sender divides a message, it arrives whole, compressed or not."""
    choose = random.Random(7)
    for extensions in (None, DEFLATE):
        client, server = pair(extensions=extensions)
        for _ in range(200):
            parts = [
                choose.randbytes(choose.randrange(400))
                for _ in range(choose.randrange(1, 6))
            ]
            data = b"".join(
                sent(client, part, continuation=n > 0, final=n == len(parts) - 1)
                for n, part in enumerate(parts)
            )
            (message,) = heard(server, data)
            whole = b"".join(parts)
            assert message in (whole, Reaction(message=whole))


def test_ping_is_answered_with_its_payload():
    """A ping leads to a pong of the same bytes, also between fragments."""
    client, server = pair()
    (reaction,) = heard(server, client.control_frame(9, b"abc"))
    assert reaction == Reaction(frame=b"\x8a\x03abc")
    assert heard(server, client.control_frame(10, b"abc")) == [Reaction()]


def test_close_is_answered_with_its_code():
    """A close frame is answered with its own code; one without a code with 1000."""
    for code in (1000, 1001, 1014, 3000, 4999):
        assert code in VALID_CLOSE_STATUS
        client, server = pair()
        (reaction,) = heard(server, client.close_frame((code, "reason")))
        assert reaction == Reaction(close=(code, ""))
        assert server.remote_close_data == code.to_bytes(2, "big") + b"reason"
    client, server = pair()
    assert heard(server, client.close_frame()) == [Reaction(close=(1000, ""))]


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000])
def test_close_with_a_forbidden_code_breaks_the_protocol(code):
    """Codes that may not be sent are neither taken nor sent."""
    client, server = pair()
    frame = client.control_frame(8, code.to_bytes(2, "big"))
    assert failure(server, frame) == 1002
    with pytest.raises(ProtocolError, match="use 1000"):
        server.close_frame((code, ""))


def test_malformed_close_breaks_the_protocol():
    """Half a code and a reason that is no text are refused."""
    client, server = pair()
    assert failure(server, client.control_frame(8, b"\x03")) == 1002
    client, server = pair()
    assert failure(server, client.control_frame(8, b"\x03\xe8\xff")) == 1007


def test_broken_protocol_names_a_status():
    """What a peer did wrong is told in the close frame it gets."""
    client, _ = pair()
    assert failure(Session(), b"\x81\x00") == 1002
    assert failure(Session(client=True), sent(client, "masked")) == 1002
    half = websocket_frame(1, b"\xc3", True, False, b"mask")
    assert failure(Session(), half) == 1007
    assert failure(Session(max_frame_length=3), sent(client, b"1234")) == 1009


def test_nothing_is_read_after_a_failure():
    """A peer that is out of step is not listened to any more."""
    client, server = pair()
    assert failure(server, b"\x83\x80") == 1002
    assert heard(server, sent(client, "later")) == []


def test_fragments_have_a_limit_of_their_own():
    """A message of many frames may be longer than a frame, and not endless."""
    client, server = pair(max_frame_length=10, max_message_length=25)
    parts = [sent(client, b"x" * 10, final=False)]
    parts += [sent(client, b"x" * 10, continuation=True, final=False)]
    assert heard(server, b"".join(parts)) == []
    last = sent(client, b"x" * 5, continuation=True)
    assert heard(server, last) == [b"x" * 25]
    assert failure(server, b"".join([*parts, parts[1]])) == 1009


def test_message_has_one_limit_however_it_comes():
    """In one frame or in many, compressed or not: the limit of a frame, unless one is set."""
    for extensions in (None, DEFLATE):
        for limits, most in (
            ({"max_frame_length": 100}, 100),
            ({"max_frame_length": 100, "max_message_length": 250}, 250),
            ({"max_frame_length": 100, "max_message_length": 50}, 100),
        ):
            for size in (most, most + 1):
                client, server = pair(extensions=extensions, **limits)
                parts = [
                    sent(
                        client,
                        b"x" * min(20, size - at),
                        continuation=at > 0,
                        final=False,
                    )
                    for at in range(0, size, 20)
                ]
                parts.append(sent(client, b"", continuation=True))
                if size > most:
                    assert failure(server, b"".join(parts)) == 1009
                else:
                    (message,) = heard(server, b"".join(parts))
                    assert message in (b"x" * size, Reaction(message=b"x" * size))


def test_empty_frames_are_limited():
    """No limit of length would ever end a message that has none."""
    client, server = pair()
    begin = sent(client, "", final=False)
    more = sent(client, "", continuation=True, final=False)
    assert heard(server, begin + more * 1024) == []
    assert failure(server, more) == 1008
    client, server = pair()
    full = sent(client, "x", continuation=True, final=False)
    assert heard(server, begin + full * 3000) == []
    assert heard(server, sent(client, "x", continuation=True)) == ["x" * 3001]


def test_control_frame_that_cannot_be_sent_is_refused():
    """Long and fragmented control frames do not leave, and no opcode out of range."""
    session = Session()
    with pytest.raises(ProtocolError, match="125 bytes at most, not 126"):
        session.message_frame(b"x" * 126, masked=False, control_code=9)
    with pytest.raises(ProtocolError, match="cannot be sent in parts"):
        session.message_frame(b"", masked=False, control_code=9, final=False)
    with pytest.raises(ProtocolError, match="shorten it"):
        session.close_frame((1000, "x" * 124))
    with pytest.raises(ValueError, match="from 0 to 15"):
        session.message_frame(b"", masked=False, control_code=16)


@pytest.mark.parametrize("message", [1, None, ["a"], object()])
def test_message_is_text_or_data(message):
    """What is neither is refused with a word on what to do."""
    with pytest.raises(TypeError, match=r"a message is str or bytes.*convert it"):
        Session().message_frame(message, masked=False)


def test_data_may_be_any_buffer():
    """bytearray, memoryview and arrays are sent as data, subclasses of str as text."""

    class Text(str):
        __slots__ = ()

    session = Session()
    for data in (bytearray(b"ab"), memoryview(b"ab"), memoryview(b"a-b")[::2]):
        assert session.message_frame(data, masked=False) == b"\x82\x02ab"
    assert session.message_frame(Text("ab"), masked=False) == b"\x81\x02ab"


def test_masked_frames_differ():
    """Each frame has a mask of its own, which nobody can foresee."""
    client, _ = pair()
    frames = {sent(client, "same") for _ in range(50)}
    assert len(frames) > 45


# Compression


def test_compression_keeps_its_context():
    """A message said twice is shorter the second time, unless that was agreed on."""
    client, server = pair(extensions=DEFLATE)
    first, second = (sent(server, b"Hello") for _ in range(2))
    # RFC 7692, section 7.2.3.2.
    assert first == b"\xc2\x07\xf2\x48\xcd\xc9\xc9\x07\x00"
    assert second == b"\xc2\x05\xf2\x00\x11\x00\x00"
    both = heard(client, first + second)
    assert both == [Reaction(message=b"Hello")] * 2
    _, server = pair(
        extensions={"permessage-deflate": {"server_no_context_takeover": True}}
    )
    assert sent(server, b"Hello") == sent(server, b"Hello") == first


def test_plain_messages_are_taken_beside_compressed_ones():
    """Where compression was agreed on each message may do without."""
    client, server = pair(extensions=DEFLATE)
    assert heard(server, sent(Session(client=True), "plain")) == ["plain"]
    assert heard(server, sent(client, "small")) == [Reaction(message="small")]


def test_compressed_examples_of_the_rfc_are_read():
    """Stored blocks, several blocks and an ended stream are decompressed."""
    client = Session(client=True, extensions=DEFLATE)
    for payload in (
        "f248cdc9c90700",  # one block
        "000500faff48656c6c6f00",  # not compressed
        "f348cdc9c9070000",  # the last block of its stream
        "f24805000000ffffcac9c90700",  # two blocks
    ):
        data = bytes.fromhex(payload)
        frame = bytes([0xC1, len(data)]) + data
        assert heard(client, frame) == [Reaction(message="Hello")]


def test_decompression_bomb_is_refused():
    """A small message that would become a large one is given up at the limit."""
    bomb = zlib.compressobj(wbits=-15)
    data = bomb.compress(bytes(100 << 20)) + bomb.flush(zlib.Z_SYNC_FLUSH)
    assert len(data) < 200_000
    server = Session(extensions=DEFLATE, max_frame_length=1 << 20)
    frame = Session(client=True).message_frame(data[:-4], masked=True)
    frame = bytes([frame[0] | 0x40]) + frame[1:]
    tracemalloc.start()
    try:
        assert failure(server, frame) == 1009
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_decompressed_length_is_limited_exactly():
    """A message of the limit passes, one more byte does not."""
    client, server = pair(extensions=DEFLATE, max_frame_length=1000)
    for _ in range(2):
        assert heard(server, sent(client, b"x" * 1000)) == [
            Reaction(message=b"x" * 1000)
        ]
    assert failure(server, sent(client, b"x" * 1001)) == 1009


@pytest.mark.parametrize(
    "payload", [b"\xff\xff\xff", b"\x01\x00\x00\xff\xff" * 50], ids=["noise", "ends"]
)
def test_damaged_compression_breaks_the_connection(payload):
    """What cannot be decompressed, or ends again and again, is refused."""
    client = Session(client=True, extensions=DEFLATE)
    frame = Session().message_frame(payload, masked=False)
    assert failure(client, bytes([frame[0] | 0x40]) + frame[1:]) == 1007


def test_compressed_text_must_be_utf8():
    """Text is checked after it was decompressed."""
    client, server = pair(extensions=DEFLATE)
    frame = sent(server, b"\xff")
    assert failure(client, bytes([0xC1]) + frame[1:]) == 1007


def test_windows_that_zlib_has_not_are_refused():
    """A window of 256 bytes can be read, and is not promised for writing."""
    with pytest.raises(ValueError, match="9 to 15 bits, not 8"):
        Session(extensions={"permessage-deflate": {"server_max_window_bits": 8}})
    server = Session(extensions={"permessage-deflate": {"client_max_window_bits": 8}})
    client = Session(
        client=True, extensions={"permessage-deflate": {"client_max_window_bits": 9}}
    )
    assert heard(server, sent(client, "x")) == [Reaction(message="x")]


def test_reader_takes_bytes_alone():
    """A wrong argument is named."""
    with pytest.raises(TypeError, match=r"takes bytes, not bytearray: convert"):
        Session().reader.feed(bytearray())
