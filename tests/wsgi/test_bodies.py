"""Request bodies, read from memory: no sockets, no green threads."""

from __future__ import annotations

import io
import random

import pytest

from eventlet import wsgi
from eventlet._wsgi.protocol import parse_chunk_size

PIECES = [b"this", b" is ", b"chunked", b"\nline", b" 2", b"\n", b"line3"]
WHOLE = b"".join(PIECES)


def chunked(pieces, extension=b"", trailers=b""):
    """Encode a body."""
    lines = [b"%x%b\r\n%b\r\n" % (len(p), extension, p) for p in pieces]
    return b"".join(lines) + b"0\r\n" + trailers + b"\r\n"


class Dribble(io.RawIOBase):
    """Gives its bytes in pieces of a given size, as a network may."""

    def __init__(self, data, step):
        self.data, self.step = io.BytesIO(data), step

    def readable(self):
        """Say that there is something to read."""
        return True

    def readinto(self, buffer):
        """Read one piece."""
        data = self.data.read(min(self.step, len(buffer)))
        buffer[: len(data)] = data
        return len(data)


def body_of(data, **options):
    options.setdefault("content_length", None)
    return wsgi.Input(io.BytesIO(data), sock=None, **options)


def chunks_of(data, step=None):
    file = (
        io.BytesIO(data) if step is None else io.BufferedReader(Dribble(data, step), 1)
    )
    return wsgi.Input(file, None, None, chunked_input=True)


def test_body_ends_where_its_length_says():
    body = body_of(b"abcdefGET / HTTP/1.1", content_length="6")
    assert [body.read(4), body.read(4), body.read(), body.position] == [
        b"abcd", b"ef", b"", 6,
    ]  # fmt: skip
    assert body.rfile.read() == b"GET / HTTP/1.1"


def test_body_without_length_is_empty():
    body = body_of(b"GET / HTTP/1.1")
    assert (body.read(), body.readline(), list(body), body.is_read) == (
        b"", b"", [], True,
    )  # fmt: skip


def test_body_that_ends_early_gives_what_is_there():
    body = body_of(b"abc", content_length=10)
    assert (body.read(), body.read(), body.is_read) == (b"abc", b"", True)
    assert body.position == 3


@pytest.mark.parametrize("make", [chunks_of, None], ids=["chunked", "length"])
def test_lines_go_on_across_pieces(make):
    def body():
        if make:
            return make(chunked(PIECES))
        return body_of(WHOLE, content_length=len(WHOLE))

    lines = [b"this is chunked\n", b"line 2\n", b"line3"]
    assert list(body()) == lines
    assert body().readlines() == lines
    assert body().readlines(3) == lines[:1]
    one = body()
    assert [one.readline(5), one.readline(), one.read(2), one.readline()] == [
        b"this ", b"is chunked\n", b"li", b"ne 2\n",
    ]  # fmt: skip


def test_chunks_are_put_together_at_every_split():
    """However the bytes arrive and are asked for, the body is the same."""
    data = chunked(PIECES, b";name=value", b"Trailer: dropped\r\n") + b"NEXT"
    for step in range(1, len(data)):
        body = chunks_of(data, step)
        assert body.read() == WHOLE
        assert body.rfile.read() == b"NEXT"
    for size in range(1, len(WHOLE) + 2):
        body = chunks_of(data)
        parts = iter(lambda body=body, size=size: body.read(size), b"")
        assert b"".join(parts) == WHOLE
        assert body.rfile.read() == b"NEXT"


def test_any_mix_of_reads_gives_the_body():
    rng = random.Random(5)
    for _ in range(300):
        pieces = [
            rng.randbytes(rng.randrange(1, 40)).replace(b"\xff", b"\n")
            for _ in range(rng.randrange(6))
        ]
        body = chunks_of(chunked(pieces) + b"NEXT", rng.randrange(1, 20))
        got = b""
        while not body.is_read or rng.random() < 0.3:
            read = rng.choice([body.read, body.readline])
            got += read(rng.choice([0, 1, 7, 30]))
        assert got == b"".join(pieces)
        assert body.rfile.read() == b"NEXT"


@pytest.mark.parametrize(
    ("line", "size"),
    [
        (b"0\r\n", 0),
        (b"1aF\r\n", 0x1AF),
        (b"5;a=b;c\r\n", 5),
        (b"5 ; dirt=bla\r\n", 5),
        (b"ffffffffffffffff\r\n", 2**64 - 1),
    ],
)
def test_chunk_size_is_hexadecimal(line, size):
    assert parse_chunk_size(line) == size


@pytest.mark.parametrize(
    "line",
    [
        b"", b"\r\n", b"5", b"5\n", b"5\r", b";a\r\n", b" 5\r\n", b"+5\r\n", b"-5\r\n",
        b"0x5\r\n", b"1_0\r\n", b"5 5\r\n", b"5,\r\n", b"g\r\n", b"5\0\r\n",
        b"5;a\rb\r\n", b"5\r\r\n", b"5  \r\n", b"5\t\r\n", b"5; dirt\0bla\r\n", b"\xb2\r\n", b"10000000000000000\r\n",
        b"5;" + b"a" * 5000,
    ],
)  # fmt: skip
def test_chunk_size_that_others_may_read_differently_is_refused(line):
    with pytest.raises(wsgi.ChunkReadError):
        parse_chunk_size(line)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"5\r\nabc", OSError),  # ends in a chunk
        (b"3\r\nabc", wsgi.ChunkReadError),  # ends behind one
        (b"3\r\nabc\r\n", wsgi.ChunkReadError),  # ends before the last one
        (b"3\r\nabcd\r\n0\r\n\r\n", wsgi.ChunkReadError),  # longer than it says
        (b"3\r\nabc\n0\r\n\r\n", wsgi.ChunkReadError),  # bare line feed
        (b"3\nabc\r\n0\r\n\r\n", wsgi.ChunkReadError),
        (b"cats\r\n", wsgi.ChunkReadError),
        (b"0\r\n", wsgi.ChunkReadError),  # ends in the trailers
        (b"0\r\nA: b", wsgi.ChunkReadError),
        (b"0\r\nA: b\n\r\n", wsgi.ChunkReadError),
        (b"0\r\nA: " + b"b" * 9000 + b"\r\n\r\n", wsgi.ChunkReadError),
        (b"0\r\n" + b"A: b\r\n" * 20000 + b"\r\n", wsgi.ChunkReadError),
    ],
)
def test_malformed_chunks_raise(data, error):
    body = chunks_of(data)
    with pytest.raises(error):
        body.read()
    assert not body.is_read


def test_a_zero_size_with_many_digits_ends_the_body():
    assert chunks_of(b"0000000000000000\r\n\r\n").read() == b""


def test_100_continue_is_sent_before_the_first_read_only():
    out = io.BytesIO()
    body = body_of(b"abcdef", content_length=6, wfile=out)
    assert body.should_send_hundred_continue
    assert out.getvalue() == b""
    body.read(2)
    body.read(2)
    assert out.getvalue() == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert not body.should_send_hundred_continue


def test_100_continue_has_the_headers_it_is_given():
    out = io.BytesIO()
    body = body_of(
        b"ab", content_length=2, wfile=out, wfile_line=b"HTTP/1.1 100 Go\r\n"
    )
    body.set_hundred_continue_response_headers([("x-one", "1"), ("X-TWO-k", 2)])
    body.read(1)
    body.set_hundred_continue_response_headers(
        [("x-one", "1")], capitalize_response_headers=False
    )
    body.send_hundred_continue_response()
    assert out.getvalue() == (
        b"HTTP/1.1 100 Go\r\nX-One: 1\r\nX-Two-K: 2\r\n\r\n"
        b"HTTP/1.1 100 Go\r\nx-one: 1\r\n\r\n"
    )


@pytest.mark.parametrize("header", [("a", "b\r\nc: d"), ("a\r\nb", "c"), ("a", "\0")])
def test_100_continue_cannot_be_split(header):
    body = body_of(b"ab", content_length=2, wfile=io.BytesIO())
    body.set_hundred_continue_response_headers([header])
    with pytest.raises(ValueError, match="line end"):
        body.read()
    assert body.wfile.getvalue() == b""


def test_discard_leaves_the_next_request():
    body = chunks_of(chunked([b"a" * 40000, b"b"]) + b"NEXT")
    body.read(3)
    body.discard()
    assert body.is_read
    assert body.rfile.read() == b"NEXT"


def test_take_buffered_gives_what_came_with_the_head():
    file = io.BufferedReader(Dribble(b"abcdef", 6))
    assert file.read(2) == b"ab"
    body = wsgi.Input(file, None, None)
    assert body.take_buffered() == b"cdef"


def test_file_object_for_headers_holds_its_limits(monkeypatch):
    """The limits are those that a program has set in eventlet.wsgi."""
    monkeypatch.setattr(wsgi, "MAX_HEADER_LINE", 10)
    monkeypatch.setattr(wsgi, "MAX_TOTAL_HEADER_SIZE", 25)
    lines = wsgi.FileObjectForHeaders(io.BytesIO(b"12345678\r\n" * 3))
    assert lines.readline() == lines.readline() == b"12345678\r\n"
    with pytest.raises(wsgi.HeadersTooLarge):
        lines.readline()
    with pytest.raises(wsgi.HeaderLineTooLong):
        wsgi.FileObjectForHeaders(io.BytesIO(b"123456789\r\n")).readline()
