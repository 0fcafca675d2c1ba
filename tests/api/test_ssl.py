"""Promises of `eventlet.green.ssl`."""

from __future__ import annotations

import asyncio
import errno
import os
import ssl as standard
import tempfile
import threading
from pathlib import Path

import pytest

import eventlet
from eventlet.green import socket, ssl

# More than the buffers of both ends hold.
LARGE = bytes(20_000_000)
DATA = Path(__file__).parents[1] / "data"
CERTIFICATE, KEY = DATA / "localhost.crt", DATA / "localhost.key"


def server_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    return context


def client_context():
    return ssl.create_default_context(cafile=CERTIFICATE)


@pytest.fixture
def listener():
    sock = server_context().wrap_socket(
        eventlet.listen(("127.0.0.1", 0)), server_side=True
    )
    yield sock
    sock.close()


@pytest.fixture
def connection(listener):
    """Give both ends of a connection that has been negotiated."""
    accepting = eventlet.spawn(listener.accept)
    client = client_context().wrap_socket(
        socket.socket(), server_hostname="localhost", do_handshake_on_connect=False
    )
    client.connect(listener.getsockname())
    server, _address = accepting.wait()
    negotiating = eventlet.spawn(server.do_handshake)
    client.do_handshake()
    negotiating.wait()
    yield client, server
    client.close()
    server.close()


def test_bytes_arrive_and_waiting_lets_others_run(connection):
    client, server = connection
    reader = eventlet.spawn(server.recv, 5)
    eventlet.sleep(0)
    client.sendall(b"hello")
    assert reader.wait() == b"hello"


def test_more_than_fits_is_sent_while_the_other_side_reads(connection):
    client, server = connection
    content = os.urandom(3_000_000)

    def read():
        received = b""
        while len(received) < len(content):
            received += server.recv(65536)
        return received

    reader = eventlet.spawn(read)
    client.sendall(content)
    assert reader.wait() == content


def test_both_directions_are_used_at_the_same_time(connection):
    """Two green threads read and write one socket, at both ends."""
    content = os.urandom(2_000_000)

    def read(sock):
        received = b""
        while len(received) < len(content):
            received += sock.recv(65536)
        return received

    readers = [eventlet.spawn(read, sock) for sock in connection]
    writers = [eventlet.spawn(sock.sendall, content) for sock in connection]
    assert [reader.wait() for reader in readers] == [content, content]
    for writer in writers:
        writer.wait()


def test_decrypted_bytes_are_read_without_waiting(connection):
    client, server = connection
    client.sendall(b"ab")
    assert server.recv(1) == b"a"
    assert server.pending() == 1
    buffer = bytearray(1)
    assert server.recv_into(buffer) == 1
    assert buffer == b"b"


def test_read_times_out(connection):
    client, _server = connection
    client.settimeout(0.01)
    with pytest.raises(TimeoutError, match="timed out"):
        client.recv(1)


def test_handshake_times_out_if_the_peer_is_silent():
    plain = eventlet.listen(("127.0.0.1", 0))
    client = socket.socket()
    client.settimeout(0.01)
    client.connect(plain.getsockname())
    with pytest.raises(TimeoutError, match="timed out"):
        client_context().wrap_socket(client, server_hostname="localhost")
    plain.close()


def test_write_times_out(connection):
    client, _server = connection
    client.settimeout(0.02)
    with pytest.raises(TimeoutError, match="timed out"):
        client.sendall(b"x" * 20_000_000)


def test_connect_ex_gives_the_number_of_the_error(listener):
    port = listener.getsockname()[1]
    listener.close()
    client = client_context().wrap_socket(socket.socket(), server_hostname="localhost")
    assert client.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED
    client.close()


def test_memory_bio_takes_a_green_context(listener):
    """What drives the protocol by itself gets no socket, and waits as it likes."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    protocol = client_context().wrap_bio(incoming, outgoing, False, "localhost")
    plain = eventlet.connect(listener.getsockname())
    server, _address = listener.accept()
    negotiating = eventlet.spawn(server.do_handshake)

    def run(step):
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                plain.sendall(outgoing.read())
                incoming.write(plain.recv(65536))
            else:
                plain.sendall(outgoing.read())
                return result

    run(protocol.do_handshake)
    negotiating.wait()
    run(lambda: protocol.write(b"hello"))
    assert server.recv(5) == b"hello"
    server.sendall(b"back")
    assert run(lambda: protocol.read(4)) == b"back"
    plain.close()
    server.close()


def test_connection_tells_what_was_negotiated(listener):
    server_side, client_side = listener.context, client_context()
    server_side.set_alpn_protocols(["http/1.1"])
    client_side.set_alpn_protocols(["h2", "http/1.1"])
    accepting = eventlet.spawn(listener.accept)
    negotiating = eventlet.spawn(
        client_side.wrap_socket,
        eventlet.connect(listener.getsockname()),
        server_hostname="localhost",
    )
    server, _address = accepting.wait()
    server.do_handshake()
    client = negotiating.wait()
    assert client.selected_alpn_protocol() == "http/1.1"
    assert client.version() == server.version() == "TLSv1.3"
    assert client.cipher() == server.cipher()
    assert ("DNS", "localhost") in client.getpeercert()["subjectAltName"]
    assert client.get_channel_binding("tls-unique") is not None
    for sock in (client, server):
        sock.close()


def test_shutdown_ends_the_wait_of_a_reader(connection):
    client, server = connection
    # What is there already, as session tickets, would make the end a reset.
    server.sendall(b"x")
    assert client.recv(1) == b"x"
    reader = eventlet.spawn(client.recv, 1)
    eventlet.sleep(0)
    client.shutdown(socket.SHUT_RDWR)
    with eventlet.Timeout(10):
        try:
            assert reader.wait() == b""
        except BrokenPipeError:
            # Later versions answer a stream cut short with an alert, and the standard
            # module tells readers that this could not be sent.
            assert standard.OPENSSL_VERSION_INFO >= (3, 5)
    del server


@pytest.mark.parametrize("call", ["recv", "sendall"])
def test_socket_closed_when_it_was_ready_never_touches_the_next_owner(connection, call):
    """The number is another socket's by then: not a byte may go there or come from there."""
    client, server = connection
    number, new = client.fileno(), []
    hub = eventlet.hubs.get_hub()
    calls = {"recv": lambda: client.recv(10), "sendall": lambda: client.sendall(LARGE)}
    waiting = eventlet.spawn(calls[call])
    eventlet.sleep(0)

    def exchange(_fd=None):
        # Called by the poll that finds both ready, this one first, since it was first.
        hub.remove(listener)
        client.close()
        new.extend(socket.socketpair())
        assert number in (sock.fileno() for sock in new)
        for sock in new:
            sock.send(b"content")

    early, told = socket.socketpair()
    listener = hub.add(hub.READ, early.fileno(), exchange, exchange)
    told.send(b"x")
    if call == "recv":
        server.send(b"old")
    else:
        raw = standard.socket.recv
        while True:
            try:
                raw(server, 1_000_000)
            except BlockingIOError:
                break
    with pytest.raises(OSError, match="descriptor") as failed:
        waiting.wait()
    assert failed.value.errno == errno.EBADF
    assert [sock.recv(100) for sock in new] == [b"content"] * 2
    for sock in (*new, early, told):
        sock.close()


@pytest.mark.parametrize("end", ["close", "shutdown"])
def test_writers_in_line_get_an_error_when_the_socket_ends(connection, end):
    """Only one writes at a time; the others find no protocol any more when it is their turn."""
    client, _server = connection
    writers = [eventlet.spawn(client.sendall, LARGE) for _ in range(3)]
    eventlet.sleep(0)
    client.close() if end == "close" else client.shutdown(socket.SHUT_RDWR)
    with eventlet.Timeout(20):
        for writer in writers:
            with pytest.raises(OSError):
                writer.wait()


def test_sendfile_goes_through_the_protocol(connection):
    client, server = connection
    content = os.urandom(500_000)
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        sending = eventlet.spawn(client.sendfile, file)
        received = b""
        while len(received) < len(content):
            received += server.recv(65536)
        assert sending.wait() == len(content)
    assert received == content


def test_detach_gives_the_descriptor_away(connection):
    client, _server = connection
    reader = eventlet.spawn(client.recv, 1)
    eventlet.sleep(0)
    number = client.detach()
    assert client.fileno() == -1
    with pytest.raises(OSError, match="descriptor"):
        reader.wait()
    os.close(number)


def test_without_blocking_the_standard_errors_are_raised(connection):
    client, _server = connection
    client.setblocking(False)
    assert client.gettimeout() == 0
    with pytest.raises(ssl.SSLWantReadError):
        client.recv(1)


def test_close_wakes_readers_with_an_error(connection):
    client, _server = connection
    reader = eventlet.spawn(client.recv, 1)
    eventlet.sleep(0)
    client.close()
    with pytest.raises(OSError, match="descriptor") as failed:
        reader.wait()
    assert failed.value.errno == errno.EBADF


def test_silent_peer_does_not_keep_others_from_being_accepted(listener):
    silent = eventlet.connect(listener.getsockname())
    first, _address = listener.accept()
    client = socket.socket()
    client.connect(listener.getsockname())
    negotiating = eventlet.spawn(
        client_context().wrap_socket, client, server_hostname="localhost"
    )
    second, _address = listener.accept()
    reader = eventlet.spawn(second.recv, 1)
    client = negotiating.wait()
    client.sendall(b"x")
    assert reader.wait() == b"x"
    for sock in (silent, first, second, client):
        sock.close()


def test_unwrap_gives_the_plain_connection_back(connection):
    client, server = connection
    unwrapping = eventlet.spawn(server.unwrap)
    plain_client = client.unwrap()
    plain_server = unwrapping.wait()
    plain_client.sendall(b"plain")
    assert plain_server.recv(5) == b"plain"


def test_end_of_the_stream_is_read_as_empty(connection):
    client, server = connection
    # The server's session tickets come first: closing with them unread would be a
    # reset, which is an error from Python 3.13 on.
    server.sendall(b"x")
    assert client.recv(1) == b"x"
    reader = eventlet.spawn(server.recv, 1)
    eventlet.sleep(0)
    client.close()
    assert reader.wait() == b""


def test_host_name_is_checked(listener):
    accepting = eventlet.spawn(listener.accept)
    client = eventlet.connect(listener.getsockname())

    def negotiate():
        client_context().wrap_socket(client, server_hostname="elsewhere")

    negotiating = eventlet.spawn(negotiate)
    server, _address = accepting.wait()
    with pytest.raises(ssl.SSLError):
        server.do_handshake()
    with pytest.raises(ssl.SSLCertVerificationError, match="elsewhere"):
        negotiating.wait()
    server.close()


def test_server_hears_the_name_the_client_asks_for(listener):
    asked = []
    listener.context.sni_callback = lambda _sock, name, _context: asked.append(name)
    accepting = eventlet.spawn(listener.accept)
    client = eventlet.connect(listener.getsockname())
    negotiating = eventlet.spawn(
        client_context().wrap_socket, client, server_hostname="localhost"
    )
    server, _address = accepting.wait()
    server.do_handshake()
    negotiating.wait().close()
    server.close()
    assert asked == ["localhost"]


def test_session_is_used_again(listener):
    context = client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    def negotiate(session):
        accepting = eventlet.spawn(listener.accept)
        client = eventlet.connect(listener.getsockname())
        negotiating = eventlet.spawn(
            context.wrap_socket, client, server_hostname="localhost", session=session
        )
        server, _address = accepting.wait()
        server.do_handshake()
        client = negotiating.wait()
        result = client.session, client.session_reused
        client.close()
        server.close()
        return result

    session, reused = negotiate(None)
    assert not reused
    assert negotiate(session)[1]


def test_wrap_socket_makes_a_context_for_one_socket():
    listener = ssl.wrap_socket(
        eventlet.listen(("127.0.0.1", 0)),
        keyfile=KEY,
        certfile=CERTIFICATE,
        server_side=True,
    )
    accepting = eventlet.spawn(listener.accept)
    client = ssl.wrap_socket(
        eventlet.connect(listener.getsockname()),
        cert_reqs=ssl.CERT_REQUIRED,
        ca_certs=CERTIFICATE,
        do_handshake_on_connect=False,
    )
    server, _address = accepting.wait()
    reader = eventlet.spawn(server.recv, 1)
    client.sendall(b"x")
    assert reader.wait() == b"x"
    for sock in (client, server, listener):
        sock.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"server_side": True}, "certfile"),
        ({"keyfile": KEY}, "certfile"),
        ({"cert_reqs": ssl.CERT_REQUIRED}, "ca_certs"),
    ],
)
def test_wrap_socket_refuses_what_cannot_work(arguments, message):
    with socket.socket() as sock, pytest.raises(ValueError, match=message):
        ssl.wrap_socket(sock, **arguments)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("check_hostname", False),
        ("minimum_version", ssl.TLSVersion.TLSv1_3),
        ("maximum_version", ssl.TLSVersion.TLSv1_2),
        ("options", ssl.OP_ALL | ssl.OP_NO_TICKET),
        ("post_handshake_auth", True),
        ("verify_flags", ssl.VERIFY_X509_STRICT),
        ("verify_mode", ssl.CERT_REQUIRED),
    ],
)
def test_properties_of_a_context_can_be_set(name, value):
    context = client_context()
    setattr(context, name, value)
    assert getattr(context, name) & value == value


def test_context_is_one_for_the_standard_module_too():
    assert isinstance(client_context(), standard.SSLContext)
    assert issubclass(ssl.SSLSocket, standard.SSLSocket)


def test_datagrams_and_duplicates_are_refused(connection):
    client, _server = connection
    with pytest.raises(ValueError, match="recvfrom"):
        client.recvfrom(1)
    with pytest.raises(NotImplementedError):
        client.dup()


def test_makefile_reads_lines(connection):
    client, server = connection
    with client.makefile("wb") as writing:
        writing.write(b"one\ntwo\n")
    assert server.makefile("rb").readline() == b"one\n"


def test_asyncio_takes_a_green_context():
    """A library may hand its context to asyncio, whichever module made it."""
    ready = threading.Event()
    ports = []

    async def main():
        async def serve(reader, writer):
            writer.write(await reader.readexactly(1))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_context())
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client_context(), server_hostname="localhost"
        )
        writer.write(b"x")
        ports.append(await reader.read())
        writer.close()
        server.close()

    def run():
        asyncio.run(main())
        ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    assert ready.is_set()
    assert ports == [b"x"]
