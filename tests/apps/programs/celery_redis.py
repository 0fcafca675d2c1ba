"""celery -P eventlet with Redis: tasks overlap, chain, retry, time out, and end warm."""

# server: redis
# needs: celery redis

import importlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TASKS = """
import os, time
import celery, requests
from celery.signals import worker_shutdown

app = celery.Celery("tasks", broker=os.environ["APPS_REDIS"])
app.conf.update(
    result_backend=os.environ["APPS_REDIS"], result_expires=60,
    worker_prefetch_multiplier=4, broker_connection_retry_on_startup=True,
    task_default_queue=f"celery-{os.environ['APPS_QUEUE']}",
)

@app.task
def add(x, y):
    return x + y

@app.task
def late(seconds):
    time.sleep(seconds)
    return seconds

@app.task
def late_marked(path, seconds):
    open(path, "w").close()
    time.sleep(seconds)
    os.rename(path, path + ".done")

@app.task
def fail():
    raise ZeroDivisionError("as asked")

@app.task(bind=True, max_retries=3)
def retry(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0.05)
    return self.request.retries

@app.task
def which():
    import eventlet, greenlet
    from eventlet import patcher
    return patcher.is_monkey_patched("socket"), greenlet.getcurrent().parent is not None

@app.task
def total(numbers):
    return sum(numbers)
"""


def eventually(condition, what):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


folder = Path(tempfile.mkdtemp())
(folder / "tasks.py").write_text(TASKS)
os.environ["APPS_QUEUE"] = str(os.getpid())
sys.path.insert(0, str(folder))
log = folder / "log"
command = [
    sys.executable, "-m", "celery", "-A", "tasks", "worker", "-P", "eventlet",
    "-c", "50", "-l", "INFO", "-f", str(log), "-n", f"apps{os.getpid()}@localhost",
]  # fmt: skip
worker = subprocess.Popen(command, cwd=folder, stderr=(folder / "err").open("w"))
try:
    tasks = importlib.import_module("tasks")
    from celery import chain, chord, group

    assert tasks.add.delay(2, 3).get(timeout=60) == 5
    assert tasks.which.delay().get(timeout=20) == [True, True]
    begin = time.monotonic()
    late = group(tasks.late.s(0.5) for _ in range(50)).apply_async()
    assert late.get(timeout=60) == [0.5] * 50
    assert time.monotonic() - begin < 10
    assert chain(tasks.add.s(1, 1), tasks.add.s(2))().get(timeout=20) == 4
    assert chord(tasks.add.s(n, n) for n in range(20))(tasks.total.s()).get(
        timeout=40
    ) == 2 * sum(range(20))
    try:
        tasks.fail.delay().get(timeout=20)
    except ZeroDivisionError as raised:
        assert raised.args == ("as asked",)
    else:
        raise AssertionError
    assert tasks.retry.delay().get(timeout=20) == 2
    assert tasks.add.apply_async((1, 1), countdown=0.2).get(timeout=20) == 2

    replies = tasks.app.control.inspect(timeout=1).stats()
    (stats,) = replies.values()
    assert "eventlet" in stats["pool"]["implementation"]
    revoked = tasks.add.apply_async((1, 1), countdown=2)
    tasks.app.control.revoke(revoked.id, reply=True, timeout=1)
    eventually(lambda: revoked.state == "REVOKED", revoked.state)
    running = tasks.late.delay(60)
    inspect = tasks.app.control.inspect(timeout=1)
    eventually(lambda: any((inspect.active() or {}).values()), "the task to run")
    tasks.app.control.revoke(running.id, terminate=True)
    eventually(lambda: running.state == "REVOKED", running.state)
    assert tasks.app.control.pool_grow(5, reply=True, timeout=1)
    assert tasks.add.delay(1, 2).get(timeout=20) == 3

    # A warm shutdown finishes what it has begun.
    mark = folder / "mark"
    tasks.late_marked.delay(str(mark), 1)
    eventually(mark.exists, "the last task to begin")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(40) == 0, worker.returncode
    assert (folder / "mark.done").exists()
except BaseException:
    sys.stderr.write((folder / "err").read_text()[-3000:])
    sys.stderr.write(log.read_text()[-6000:] if log.exists() else "no log")
    raise
finally:
    if worker.poll() is None:
        worker.kill()
        worker.wait()
print("pass")
