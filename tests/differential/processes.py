"""Workers, and pairs of them: one runs our side, the other the oracle."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
#: Programs after which a worker is replaced.
LIFETIME = 400


class Worker:
    """A process that runs programs with one implementation; started when first asked."""

    def __init__(self, python: str, environment: dict[str, str], *arguments: str):
        program = str(HERE / "worker.py")
        self._command = [python, "-u", program, *filter(None, arguments)]
        self._environment = environment
        self._process = None
        self._errors = None
        self._done = 0

    def ask(self, program, unit) -> None:
        """Send a program; `answer` gives what comes of it."""
        if self._process is None:
            self._errors = tempfile.TemporaryFile("w+")
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
            )
            self._done = 0
        try:
            self._process.stdin.write(
                json.dumps({"program": program, "unit": unit}) + "\n"
            )
            self._process.stdin.flush()
        except OSError:
            # It has died; so `answer` says.
            pass

    def answer(self):
        """Return the trace; of a process that ended, what it said at its end."""
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            self._errors.seek(0)
            said = self._errors.read()
            self.stop()
            return {
                "trace": [["process", f"ended with {status}"]],
                "stderr": [],
                "crash": said[:200] + "..." + said[-60000:],
            }
        answer = json.loads(line)
        self._done += 1
        if answer["dirty"] or self._done >= LIFETIME:
            self.stop()
        return answer

    def stop(self) -> None:
        """End the process; the next program starts another one."""
        if self._process is None:
            return
        self._process.kill()
        self._process.communicate()
        self._errors.close()
        self._process = None


class Pair:
    """Two workers that are asked the same."""

    def __init__(self, ours: Worker, oracle: Worker):
        self._workers = (ours, oracle)

    def run(self, program, unit):
        """Return both answers, ours first."""
        for worker in self._workers:
            worker.ask(program, unit)
        return [worker.answer() for worker in self._workers]

    def stop(self) -> None:
        """End both processes."""
        for worker in self._workers:
            worker.stop()


def make_pair(options, kind: str, mode: str) -> Pair:
    """Return a pair for a kind of programs: green or tasks."""
    common = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("EVENTLET_")
    }
    common |= {"PYTHONHASHSEED": "0", "PYTHONWARNINGS": "ignore::DeprecationWarning"}
    ours = Worker(
        options.ours, common | {"EVENTLET_HUB": "asyncio"}, kind, options.clock, mode
    )
    upstream = common | {"EVENTLET_HUB": "epolls", "EVENTLET_ASYNCIO_DISABLE": "1"}
    if options.upstream:
        upstream["PYTHONPATH"] = options.upstream
    told = mode if kind == "green" else "oracle"
    return Pair(ours, Worker(options.oracle, upstream, kind, options.clock, told))
