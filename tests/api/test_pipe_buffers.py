"""
Buffered pipes read and write as the interpreter's own do, and green threads take turns.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import weakref

import pytest

import eventlet
from eventlet.greenio import GreenPipe
from eventlet.patcher import original

plain_os = original("os")


@pytest.fixture
def pipe():
    """Return a green reader and a plain descriptor to write to."""
    read, write = plain_os.pipe()
    reader = GreenPipe(read, "rb")
    yield reader, write
    reader.close()
    with contextlib.suppress(OSError):
        plain_os.close(write)


@pytest.fixture
def outlet():
    """Return a plain descriptor to read from and a green writer with a small pipe."""
    read, write = plain_os.pipe()
    writer = GreenPipe(write, "wb")
    yield read, writer
    plain_os.close(read)
    with contextlib.suppress(OSError):
        writer.close()


def drip(write, pieces):
    """Write pieces with a turn of the hub between them, and close."""
    for piece in pieces:
        plain_os.write(write, piece)
        eventlet.sleep(0.001)
    plain_os.close(write)


READS = {
    "read": lambda f: f.read(5),
    "read one": lambda f: f.read(1),
    "read an index": lambda f: f.read(_Five()),
    "read all": lambda f: f.read(),
    "read none": lambda f: f.read(None),
    "read0": lambda f: f.read(0),
    "readline": lambda f: f.readline(),
    "readline5": lambda f: f.readline(5),
    "readline none": lambda f: f.readline(None),
    "readline0": lambda f: f.readline(0),
    "next": lambda f: next(f, b""),
    "readlines": lambda f: b"|".join(f.readlines()),
    "readinto": lambda f: _into(f.readinto),
    "peek then read": lambda f: f.peek(1)[:1] + f.read(3),
}


class _Five:
    def __index__(self):
        return 5

    def __lt__(self, other):
        return other > 5


def _into(method):
    buffer = bytearray(7)
    count = method(buffer)
    return bytes(buffer[:count])


PIECES = [b"ab", b"c\nde", b"\n", b"fghijklm\n\nno", b"p" * 20_000, b"\nend"]


@pytest.mark.parametrize("name", READS)
def test_pieces_that_drip_are_read_as_from_a_file(pipe, name):
    """What a call returns depends on the data, not on when it comes."""
    reader, write = pipe
    dripping = eventlet.spawn(drip, write, PIECES)
    plain = io.BufferedReader(io.BytesIO(b"".join(PIECES)))
    read = READS[name]
    for _ in range(30):
        assert read(reader) == read(plain)
    dripping.wait()


def test_what_is_there_is_returned_at_once(pipe):
    reader, write = pipe
    eventlet.spawn_after(0.01, plain_os.write, write, b"abc")
    assert reader.read1() == b"abc"
    eventlet.spawn_after(0.01, plain_os.write, write, b"defg")
    assert reader.peek() == b"defg"
    assert reader.read1(2) == b"de"
    assert _into(reader.readinto1) == b"fg"
    assert reader.read1(0) == b""
    assert reader.readinto1(bytearray()) == 0
    eventlet.spawn_after(0.01, plain_os.close, write)
    assert reader.read1() == b""
    assert reader.peek() == b""
    assert reader.read(3) == b""
    assert reader.readline() == b""


def test_readers_take_turns(pipe):
    """Each gets bytes that stood together, though they came one by one."""
    reader, write = pipe
    records = [b"%04d\n" % n for n in range(200)]
    seen = []

    def read_by(how):
        while data := how():
            seen.append(data)
            eventlet.sleep(0)

    hows = [lambda: reader.read(5), reader.readline, lambda: _five(reader)] * 2
    threads = [eventlet.spawn(read_by, how) for how in hows]
    for byte in b"".join(records):
        plain_os.write(write, bytes([byte]))
        if byte % 3 == 0:
            eventlet.sleep(0)
    plain_os.close(write)
    for thread in threads:
        thread.wait()
    assert sorted(seen) == records


def _five(reader):
    buffer = bytearray(5)
    return bytes(buffer[: reader.readinto(buffer)])


def test_writers_take_turns(outlet):
    """A record that does not fit is not cut by another one."""
    read, writer = outlet
    kinds = [
        (bytes([65 + n]), size) for n, size in enumerate((10, 5000, 70_000, 300_000))
    ]

    def write_records(letter, size):
        for _ in range(4):
            assert writer.write(letter * size) == size
            writer.flush()
            eventlet.sleep(0)

    threads = [eventlet.spawn(write_records, *kind) for kind in kinds]
    green = GreenPipe(plain_os.dup(read), "rb")
    data = green.read(sum(size * 4 for _, size in kinds))
    for thread in threads:
        thread.wait()
    at = 0
    counts = dict.fromkeys((letter for letter, _ in kinds), 0)
    sizes = dict(kinds)
    while at < len(data):
        letter = data[at : at + 1]
        assert data[at : at + sizes[letter]] == letter * sizes[letter]
        at += sizes[letter]
        counts[letter] += 1
    assert set(counts.values()) == {4}
    green.close()


def test_a_writer_that_is_killed_gives_its_turn_up(outlet):
    read, writer = outlet
    stuck = eventlet.spawn(writer.write, b"x" * 1_000_000)
    eventlet.sleep(0)
    other = eventlet.spawn(writer.write, b"y")
    eventlet.sleep(0)
    assert not other.dead
    stuck.kill()
    green = GreenPipe(plain_os.dup(read), "rb")
    reading = eventlet.spawn(green.read)
    assert other.wait() == 1
    writer.close()
    plain_os.close(writer_copy := plain_os.dup(read))
    assert writer_copy >= 0
    data = reading.wait()
    assert data.endswith(b"y")
    assert data.count(b"y") == 1
    green.close()


def test_a_reader_that_is_killed_gives_its_turn_up(pipe):
    reader, write = pipe
    stuck = eventlet.spawn(reader.read, 10)
    other = eventlet.spawn(reader.read, 2)
    eventlet.sleep(0)
    stuck.kill()
    plain_os.write(write, b"ab")
    assert other.wait() == b"ab"


def test_writing_and_flushing_let_others_run(outlet):
    read, writer = outlet
    turns = []

    def take():
        while True:
            turns.append(len(plain_os.read(read, 4096)))
            eventlet.sleep(0)

    taking = eventlet.spawn(take)
    for _ in range(300):
        writer.write(b"x" * 1000)
    writer.flush()
    assert len(turns) > 50
    taking.kill()


def test_writing_takes_what_bytes_are_made_of(outlet):
    read, writer = outlet
    given = [
        b"a",
        bytearray(b"bc"),
        memoryview(b"def"),
        memoryview(bytearray(8)).cast("Q"),
    ]
    assert [writer.write(data) for data in given] == [1, 2, 3, 8]
    writer.writelines([b"g", b"h"])
    writer.flush()
    assert plain_os.read(read, 100) == b"abcdef" + bytes(8) + b"gh"
    with pytest.raises(TypeError):
        writer.write("text")
    with pytest.raises(TypeError):
        writer.write()
    writer.close()
    with pytest.raises(ValueError, match="closed"):
        writer.write(b"x")


def test_a_pipe_nobody_reads_is_an_error(outlet):
    read, writer = outlet
    copy = plain_os.dup(read)
    plain_os.dup2(plain_os.open("/dev/null", os.O_RDONLY), read)
    plain_os.close(copy)
    writer.write(b"x")
    with pytest.raises(BrokenPipeError):
        writer.flush()
    with pytest.raises(BrokenPipeError):
        writer.write(b"x" * 1_000_000)
    with pytest.raises(BrokenPipeError):
        writer.close()


def test_closing_is_seen_by_file_and_buffer(pipe, outlet):
    """Whichever of them is closed."""
    reader, _ = pipe
    reader.raw.close()
    assert reader.closed
    with pytest.raises(ValueError, match="closed"):
        reader.readline()
    _, writer = outlet
    writer.close()
    assert writer.raw.closed
    assert writer.closed


def test_a_file_that_nobody_holds_is_closed_at_once():
    for mode in ("rb", "wb"):
        read, write = plain_os.pipe()
        mine, its = (read, write) if mode == "wb" else (write, read)
        file = GreenPipe(its, mode)
        gone = weakref.ref(file.raw)
        del file
        assert gone() is None
        with pytest.raises(OSError, match="descriptor"):
            plain_os.fstat(its)
        plain_os.close(mine)
    gc.collect()


def test_what_is_written_reaches_the_pipe_when_it_is_closed(outlet):
    read, writer = outlet
    with writer:
        writer.write(b"last words")
    assert plain_os.read(read, 100) == b"last words"


def test_files_on_disk_are_written_sought_and_cut(tmp_path):
    path = tmp_path / "file"
    with GreenPipe(path, "wb") as file:
        file.write(b"0123456789")
        file.seek(3)
        file.write(b"xyz")
        assert file.tell() == 6
        file.truncate(8)
        assert file.seekable()
    assert path.read_bytes() == b"012xyz67"
    with GreenPipe(path, "ab") as file:
        file.write(b"!")
    with GreenPipe(path, "rb") as file:
        assert file.seek(-2, io.SEEK_END) == 7
        assert file.read() == b"7!"
        file.seek(0)
        assert file.readline() == b"012xyz67!"


def test_text_is_buffered_by_the_line(outlet):
    read, writer = outlet
    text = GreenPipe(plain_os.dup(writer.fileno()), "w", 1, encoding="utf-8")
    text.write("grün\n")
    assert plain_os.read(read, 100).decode() == "grün\n"
    text.write("half")
    text.close()
    assert plain_os.read(read, 100) == b"half"
