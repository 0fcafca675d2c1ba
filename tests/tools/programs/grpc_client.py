"""A gRPC client of a patched program waits green, whenever it was imported."""
# needs: grpcio

import os
import subprocess
import sys
import textwrap

SERVER = """
import concurrent.futures
import time

import grpc


class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        return {
            "/s/one": grpc.unary_unary_rpc_method_handler(self.one),
            "/s/many": grpc.unary_stream_rpc_method_handler(self.many),
            "/s/sum": grpc.stream_unary_rpc_method_handler(self.sum),
            "/s/none": grpc.unary_unary_rpc_method_handler(self.none),
        }.get(details.method)

    def one(self, request, _context):
        time.sleep(0.3)
        return request + b"!"

    def many(self, _request, _context):
        for number in range(5):
            time.sleep(0.02)
            yield b"%d" % number

    def sum(self, requests, _context):
        return b"+".join(requests)

    def none(self, _request, context):
        context.abort(grpc.StatusCode.NOT_FOUND, "no")


def serve():
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(20))
    server.add_generic_rpc_handlers((Handler(),))
    return server, server.add_insecure_port("127.0.0.1:0")
"""
CLIENT = """
import time


def use(port):
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    one = channel.unary_unary("/s/one")
    turns = []

    def take_turns():
        while True:
            turns.append(1)
            eventlet.sleep(0.01)

    other = eventlet.spawn(take_turns)
    assert one(b"a") == b"a!"
    assert len(turns) > 5, turns
    answer, call = one.with_call(b"b")
    assert (answer, call.code()) == (b"b!", grpc.StatusCode.OK)
    assert list(channel.unary_stream("/s/many")(b"")) == [b"%d" % n for n in range(5)]
    assert channel.stream_unary("/s/sum")(iter([b"1", b"2"])) == b"1+2"
    assert one.future(b"c").result() == b"c!"
    for method, timeout, code in (
        ("/s/none", None, grpc.StatusCode.NOT_FOUND),
        ("/s/one", 0.05, grpc.StatusCode.DEADLINE_EXCEEDED),
        ("/s/other", None, grpc.StatusCode.UNIMPLEMENTED),
    ):
        try:
            channel.unary_unary(method)(b"", timeout=timeout)
        except grpc.RpcError as error:
            assert error.code() is code, (method, error)
        else:
            raise AssertionError(method)
    start = time.monotonic()
    calls = [eventlet.spawn(one, b"%d" % n) for n in range(15)]
    assert [call.wait() for call in calls] == [b"%d!" % n for n in range(15)]
    assert time.monotonic() - start < 2, "one after the other"
    with eventlet.Timeout(0.05, False):
        one(b"given up")
        raise AssertionError("no timeout")
    other.kill()
    channel.close()
"""
BEFORE = "import grpc, eventlet\neventlet.monkey_patch()\n"
AFTER = "import eventlet\neventlet.monkey_patch()\nimport grpc\n"


def run(*parts, env=None):
    program = textwrap.dedent("\n".join(parts))
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        env=env,
    )


plain = {name: value for name, value in os.environ.items() if name != "EVENTLET_HUB"}
server = run(
    SERVER,
    "server, port = serve()\nserver.start()\nprint(port, flush=True)",
    "server.wait_for_termination()",
    env=plain,
)
port = int(server.stdout.readline())
for imports in (BEFORE, AFTER):
    client = run(imports, CLIENT, f"use({port})\nprint('done')")
    assert (client.communicate(timeout=60)[0], client.returncode) == ("done\n", 0)
    # A server in the patched program itself, whose handlers run in OS threads.
    both = run(
        imports,
        SERVER,
        CLIENT,
        "server, port = serve()\nserver.start()\nuse(port)\nserver.stop(None).wait()",
        "print('done')",
    )
    assert (both.communicate(timeout=60)[0], both.returncode) == ("done\n", 0)
server.kill()
print("pass")
