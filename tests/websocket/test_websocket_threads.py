"""Several green threads on one connection."""

from __future__ import annotations

import pytest
from tests.websocket.talking import DEFLATE, masked

import eventlet


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
