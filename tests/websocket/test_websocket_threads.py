"""Several green threads on one connection."""

from __future__ import annotations

import pytest
from tests.websocket.talking import DEFLATE, masked, read_all

import eventlet
from eventlet._websocket.session import Session
from eventlet.green import socket
from eventlet_asyncio import _core


def test_messages_of_many_senders_stay_whole(serve):
    """Green threads that send at the same time do not mix their frames."""

    def handle(ws):
        def talk(char):
            for _ in range(5):
                ws.send(char * 200_000)

        pool = eventlet.GreenPool()
        for char in "abcde":
            pool.spawn_n(talk, char)
        pool.waitall()

    for extensions in (None, DEFLATE):
        client = serve(handle).connect(extensions=extensions)
        found = []
        while (message := client.wait()) is not None:
            assert message == message[0] * 200_000
            found.append(message[0])
        assert sorted(found) == sorted("abcde" * 5)


def test_send_that_was_interrupted_ends_the_connection(pair):
    """Behind a part of a frame nothing can follow that the peer would understand."""
    ws, _ = pair
    ws.close_timeout = 0.01
    with pytest.raises(eventlet.Timeout), eventlet.Timeout(0.05):
        ws.send(b"x" * (16 << 20))
    with pytest.raises(BrokenPipeError):
        ws.send("more")
    ws.close()


def test_close_does_not_wait_for_a_stuck_sender(pair):
    """A peer that reads nothing holds up neither `close` nor, then, the sender."""
    ws, _ = pair
    ws.close_timeout = 0.01
    sender = eventlet.spawn(ws.send, b"x" * (16 << 20))
    eventlet.sleep(0)
    ws.close()
    with pytest.raises(OSError, match=r"(?i)broken pipe|bad file"):
        sender.wait()


def test_interrupted_wait_can_be_repeated(pair):
    """A message whose first half has arrived is not lost to a Timeout."""
    ws, peer = pair
    frame = masked("in two halves")
    peer.sendall(frame[:9])
    with pytest.raises(eventlet.Timeout), eventlet.Timeout(0.02):
        ws.wait()
    peer.sendall(frame[9:])
    assert ws.wait() == "in two halves"


def test_second_reader_is_refused(pair):
    """Two green threads cannot share the messages of a connection; the first goes on."""
    ws, peer = pair
    first = eventlet.spawn(ws.wait)
    eventlet.sleep(0)
    with pytest.raises(RuntimeError, match="Second simultaneous read"):
        ws.wait()
    peer.sendall(masked("for the first"))
    assert first.wait() == "for the first"
    peer.sendall(masked("for the next"))
    assert ws.wait() == "for the next"


def test_flood_of_messages_leaves_others_their_turn(pair):
    """A peer that has sent a thousand messages at once is not served alone."""
    ws, peer = pair
    order = []
    peer.sendall(b"".join(masked("flood") for _ in range(1000)))
    eventlet.spawn(order.append, "other")
    order.extend(ws.wait() for _ in range(1000))
    assert order.index("other") < 500


@pytest.mark.parametrize("compressed", [False, True])
def test_flood_of_control_frames_leaves_others_their_turn(pair, compressed):
    """Control frames and compressed messages are handled in `wait`, which gives way as well."""
    ws, peer = pair
    ws.extensions = DEFLATE
    client = Session(client=True, extensions=DEFLATE if compressed else None)
    turns = [0]

    def count():
        while True:
            turns[0] += 1
            eventlet.sleep(0)

    frame = client.message_frame
    frames = [frame("x", masked=True, control_code=10) for _ in range(2000)]
    frames += [frame("flood", masked=True) for _ in range(2000)]
    peer.sendall(b"".join(frames))
    counter = eventlet.spawn(count)
    eventlet.sleep(0)
    before = turns[0]
    assert [ws.wait() for _ in range(2000)] == ["flood"] * 2000
    assert turns[0] - before >= 4000 // 256
    counter.kill()


def test_inflating_leaves_others_their_turn(pair):
    """A message of a few kilobytes that becomes one of many megabytes is made in pieces."""
    ws, peer = pair
    ws.extensions = DEFLATE
    client = Session(client=True, extensions=DEFLATE)
    peer.sendall(client.message_frame(bytes(8 << 20), masked=True))
    turns, done = [], []

    def count():
        while not done:
            turns.append(1)
            eventlet.sleep(0)

    counter = eventlet.spawn(count)
    eventlet.sleep(0)
    turns.clear()
    for _ in range(240):  # of a turn's operations few are left
        _core.pay_operation()
    assert ws.wait() == bytes(8 << 20)
    done.append(1)
    counter.wait()
    assert len(turns) >= 1


def test_close_while_another_one_comes_back_to_wait(pair):
    """Who closes hears the peer out; who comes to `wait` meanwhile gets None at once."""
    ws, peer = pair
    closing = eventlet.spawn(ws.close)
    eventlet.sleep(0)
    assert not closing.dead
    assert ws.wait() is None
    assert not closing.dead
    peer.sendall(masked(b"", control_code=8))
    assert closing.wait() is None
    assert ws._remote_close_data == b""


def test_close_while_another_one_waits(pair):
    """Who is in `wait` hears the peer's answer, and gets None."""
    ws, peer = pair
    waiting = eventlet.spawn(ws.wait)
    eventlet.sleep(0)
    closing = eventlet.spawn(ws.close)
    eventlet.sleep(0)
    peer.sendall(masked("late") + masked(b"ping", control_code=9))
    eventlet.sleep(0.01)
    assert not waiting.dead
    assert not closing.dead
    peer.sendall(masked(b"", control_code=8))
    assert waiting.wait() is None
    assert closing.wait() is None


def test_close_ends_when_the_one_who_waits_is_killed(pair):
    """Nobody is left who could hear the peer's answer."""
    ws, _ = pair
    ws.close_timeout = 15
    waiting = eventlet.spawn(ws.wait)
    eventlet.sleep(0)
    closing = eventlet.spawn(ws.close)
    eventlet.sleep(0)
    waiting.kill()
    with eventlet.Timeout(5):
        closing.wait()


def test_two_may_close(pair):
    """The second one waits for what the first one hears."""
    ws, peer = pair
    first, second = eventlet.spawn(ws.close), eventlet.spawn(ws.close)
    eventlet.sleep(0)
    eventlet.sleep(0)
    peer.sendall(masked(b"", control_code=8))
    first.wait()
    second.wait()
    assert read_all(peer) == b"\x88\x00"


def test_refusal_while_another_one_closes(pair):
    """A peer that breaks the protocol at that moment is not waited for by both."""
    ws, peer = pair
    waiting = eventlet.spawn(ws.wait)
    eventlet.sleep(0)
    closing = eventlet.spawn(ws.close)
    peer.sendall(b"\xff\xff")
    eventlet.sleep(0)
    peer.shutdown(socket.SHUT_WR)
    assert waiting.wait() is None
    closing.wait()
