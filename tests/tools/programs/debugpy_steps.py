"""
debugpy stops a patched program, evaluates and steps, in one green thread and the next.

While it is stopped, no green thread runs; `next` over a wait stops at the next line.
"""
# needs: debugpy

import itertools
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

DEBUGGEE = """\
import eventlet
eventlet.monkey_patch()
import threading, time
turns = []
def take_turns():
    while True:
        turns.append(1)
        time.sleep(0.002)
def work(n):
    total = n
    time.sleep(0.05)
    total += 1
    total += nested(total)
    return total
def nested(n):
    time.sleep(0.05)
    return n * 2
eventlet.spawn(take_turns)
time.sleep(0.05)
first = eventlet.spawn(work, 10).wait()
thread = threading.Thread(target=lambda: turns.append(work(20)))
thread.start()
thread.join()
print("result", first, max(turns), flush=True)
"""


class Client:
    """Speaks the Debug Adapter Protocol."""

    def __init__(self, port):
        for _ in range(300):
            try:
                self.socket = socket.create_connection(("127.0.0.1", port), 30)
                break
            except OSError:
                time.sleep(0.1)
        self.file = self.socket.makefile("rb")
        self.numbers = itertools.count(1)
        self.events = []

    def send(self, command, **arguments):
        number = next(self.numbers)
        request = {"seq": number, "type": "request", "command": command}
        body = json.dumps({**request, "arguments": arguments}).encode()
        self.socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        return number

    def read(self):
        length = 0
        while line := self.file.readline().strip():
            name, value = line.split(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return json.loads(self.file.read(length))

    def answer(self, number):
        while True:
            message = self.read()
            if message["type"] == "event":
                self.events.append(message)
            elif message.get("request_seq") == number:
                assert message["success"], message
                return message.get("body")

    def ask(self, command, **arguments):
        return self.answer(self.send(command, **arguments))

    def event(self, name):
        while True:
            for message in self.events:
                if message["event"] == name:
                    self.events.remove(message)
                    return message.get("body")
            message = self.read()
            if message["type"] == "event":
                self.events.append(message)

    def stop(self):
        """Wait until the program stops: why, in which function, at which line."""
        stopped = self.event("stopped")
        self.thread = stopped["threadId"]
        frame = self.ask("stackTrace", threadId=self.thread)["stackFrames"][0]
        self.frame = frame["id"]
        return stopped["reason"], frame["name"], lines[frame["line"] - 1].strip()

    def evaluate(self, expression):
        asked = {"expression": expression, "frameId": self.frame, "context": "watch"}
        return self.ask("evaluate", **asked)["result"]

    def step(self):
        self.ask("next", threadId=self.thread)
        return self.stop()


lines = DEBUGGEE.splitlines()
folder = tempfile.TemporaryDirectory()
program = os.path.join(folder.name, "debuggee.py")
with open(program, "w") as file:
    file.write(DEBUGGEE)
with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
command = [sys.executable, "-Xfrozen_modules=off", "-m", "debugpy"]
process = subprocess.Popen(
    [*command, "--listen", f"127.0.0.1:{port}", "--wait-for-client", program],
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
)
try:
    client = Client(port)
    client.ask("initialize", adapterID="python", pathFormat="path")
    attached = client.send("attach", justMyCode=True, subProcess=False)
    client.event("initialized")
    where = {"source": {"path": program}, "breakpoints": [{"line": 10}]}
    answer = client.ask("setBreakpoints", **where)
    assert answer["breakpoints"][0]["verified"], answer
    client.ask("configurationDone")
    client.answer(attached)
    for n in (10, 20):
        assert client.stop() == ("breakpoint", "work", "total = n")
        assert client.evaluate("n * 2") == str(n * 2)
        before = client.evaluate("len(turns)")
        assert int(before) > 5, before
        time.sleep(0.3)
        assert client.evaluate("len(turns)") == before
        assert client.step() == ("step", "work", "time.sleep(0.05)")
        assert client.step() == ("step", "work", "total += 1")
        # The others ran while it slept.
        assert int(client.evaluate("len(turns)")) > int(before)
        assert client.evaluate("total") == str(n)
        assert client.step() == ("step", "work", "total += nested(total)")
        assert client.evaluate("total") == str(n + 1)
        assert client.step() == ("step", "work", "return total")
        assert client.evaluate("total") == str(3 * (n + 1))
        client.ask("continue", threadId=client.thread)
    client.event("terminated")
    client.ask("disconnect")
    output, _ = process.communicate(timeout=20)
finally:
    process.kill()
assert process.returncode == 0, output
assert output == "result 33 63\n", output
print("pass")
