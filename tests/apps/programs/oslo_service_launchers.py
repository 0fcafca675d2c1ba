"""oslo.service's launchers: services, workers, HUP, TERM, and a killed worker."""

# needs: oslo.service

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAM = """
import sys, time, os
import eventlet
eventlet.monkey_patch()
from oslo_service import backend
backend.init_backend(backend.BackendType.EVENTLET)
from oslo_config import cfg
from oslo_service import loopingcall, service
from pathlib import Path

HERE = Path(__file__).parent

def note(what):
    with open(HERE / "notes", "a") as notes:
        notes.write(f"{what} {os.getpid()}\\n")

class Counter(service.Service):
    def __init__(self):
        super().__init__(threads=100)
        self.count = 0
        self.looping = loopingcall.FixedIntervalLoopingCall(self.tick)

    def start(self):
        note("start")
        self.add_timer = self.tg.add_timer(0.05, self.tick)
        self.tg.add_thread(self.forever)
        self.looping.start(interval=0.05)

    def tick(self):
        self.count += 1
        if self.count == 4:
            note("counted")

    def forever(self):
        while True:
            time.sleep(0.01)

    def stop(self, graceful=False):
        note("stop")
        self.looping.stop()
        super().stop(graceful)

    def reset(self):
        note("reset")

cfg.CONF([], project="apps")
workers = int(sys.argv[1])
if workers:
    launcher = service.ProcessLauncher(cfg.CONF, wait_interval=0.01, restart_method="mutate")
    launcher.launch_service(Counter(), workers=workers)
else:
    launcher = service.ServiceLauncher(cfg.CONF, restart_method="mutate")
    launcher.launch_service(Counter())
status = launcher.wait()
note("end")
sys.exit(status or 0)
"""


class Run:
    """The program above, running."""

    def __init__(self, workers):
        self.folder = Path(tempfile.mkdtemp())
        program = self.folder / "program.py"
        program.write_text(PROGRAM)
        with (self.folder / "err").open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, str(program), str(workers)], stderr=err
            )

    def noted(self, what):
        path = self.folder / "notes"
        lines = path.read_text().splitlines() if path.exists() else []
        pairs = (line.split() for line in lines)
        return [int(pid) for name, pid in pairs if name == what]

    def eventually(self, what, times):
        end = time.monotonic() + 30
        while len(self.noted(what)) < times:
            assert time.monotonic() < end, (what, (self.folder / "err").read_text())
            assert self.process.poll() is None or what == "end"
            time.sleep(0.02)
        return self.noted(what)

    def end(self, status=0):
        self.process.send_signal(signal.SIGTERM)
        left = self.process.wait(30)
        assert left == status, (left, (self.folder / "err").read_text())


def one_process():
    run = Run(0)
    run.eventually("counted", 1)
    run.process.send_signal(signal.SIGHUP)
    run.eventually("reset", 1)
    run.end()
    assert len(run.noted("stop")) == 1


def several_workers():
    run = Run(2)
    first = set(run.eventually("counted", 2))
    assert len(first) == 2
    assert run.process.pid not in first
    run.process.send_signal(signal.SIGHUP)
    run.eventually("reset", 2)
    killed = first.pop()
    os.kill(killed, signal.SIGKILL)
    third = run.eventually("start", 3)[2]
    assert third not in {killed, *first}
    run.eventually("counted", 3)
    run.end()
    assert set(run.noted("stop")) >= {third, *first}
    assert len(run.noted("end")) >= 1


def interrupted():
    run = Run(0)
    run.eventually("counted", 1)
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(30) in (1, 130, -2)


one_process()
several_workers()
interrupted()
print("pass")
