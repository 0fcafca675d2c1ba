"""
New Relic knows each green thread's transaction, and what it did, as its own.

It takes the first coroutine of an idle process for two things, a task and a green
thread, and loses what it did. Told that there are no greenlets it goes by the task, and
by ``get_ident``, which ``monkey_patch`` makes the green thread's.
"""
# needs: newrelic

import os

os.environ.update(
    NEW_RELIC_DEVELOPER_MODE="true",
    NEW_RELIC_LICENSE_KEY="0" * 40,
    NEW_RELIC_APP_NAME="tools",
    NEW_RELIC_LOG_LEVEL="critical",
    NEW_RELIC_STARTUP_TIMEOUT="20",
)

import newrelic.agent

newrelic.agent.initialize()

import eventlet

eventlet.monkey_patch()

import asyncio
import threading
import time

from newrelic.api.background_task import BackgroundTask
from newrelic.api.function_trace import FunctionTrace
from newrelic.common.object_wrapper import wrap_function_wrapper
from newrelic.core.trace_cache import trace_cache

import eventlet.asyncio

nodes = {}


def keep(wrapped, instance, args, kwargs):
    nodes[args[0].name] = args[0]
    return wrapped(*args, **kwargs)


wrap_function_wrapper(
    "newrelic.core.application", "Application.record_transaction", keep
)
application = newrelic.agent.register_application(timeout=20)


def work(number):
    with BackgroundTask(application, name=f"green-{number}") as transaction:
        for step in range(number + 1):
            with FunctionTrace(f"step-{number}-{step}"):
                time.sleep(0.001)
                assert newrelic.agent.current_transaction() is transaction
        newrelic.agent.add_custom_attribute("number", number)
        idents.append(trace_cache().current_thread_id())
        together.wait()
    assert newrelic.agent.current_transaction() is None


async def coroutine(number):
    with BackgroundTask(application, name=f"task-{number}") as transaction:
        for step in range(number + 1):
            with FunctionTrace(f"step-{number}-{step}"):
                await asyncio.sleep(0.001)
                # A blocking call in a coroutine.
                time.sleep(0.001)  # noqa: ASYNC251
                assert newrelic.agent.current_transaction() is transaction
        newrelic.agent.add_custom_attribute("number", number)


def check_green_threads():
    global together  # noqa: PLW0603
    idents.clear()
    together = threading.Barrier(11)
    spawned = [eventlet.spawn(work, n) for n in range(5)]
    started = [threading.Thread(target=work, args=(n,)) for n in range(5, 10)]
    for thread in started:
        thread.start()
    while len(idents) < 10:
        time.sleep(0.001)
    assert len(set(idents)) == 10, idents
    together.wait()
    for thread in spawned:
        thread.wait()
    for thread in started:
        thread.join()


def check_nodes(kind, count):
    for number in range(count):
        node = nodes.pop(f"Function/{kind}-{number}")
        steps = [f"step-{number}-{step}" for step in range(number + 1)]
        assert [child.name for child in node.root.children] == steps, node
        assert {a.name: a.value for a in node.user_attributes} == {"number": number}
    assert not nodes, nodes


idents = []
check_green_threads()
check_nodes("green", 10)
trace_cache().greenlet = None
check_green_threads()
check_nodes("green", 10)
tasks = [eventlet.asyncio.spawn_for_awaitable(coroutine(n)) for n in range(5)]
for task in tasks:
    task.wait()
check_nodes("task", 5)
print("pass", flush=True)
# The agent's own thread waits for the next minute.
os._exit(0)
