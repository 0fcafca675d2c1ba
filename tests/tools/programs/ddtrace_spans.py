"""
ddtrace's spans belong to the request that opened them, in green threads and coroutines.

A green thread that a request starts, and its `tpool` calls, continue its trace.
"""
# needs: ddtrace

import os

os.environ.update(
    DD_INSTRUMENTATION_TELEMETRY_ENABLED="false", DD_TRACE_STARTUP_LOGS="0"
)

import eventlet

eventlet.monkey_patch()

import asyncio
import collections
import time

from ddtrace.trace import TraceFilter, tracer

import eventlet.asyncio
from eventlet import tpool

spans = []


class Keep(TraceFilter):
    """Takes the traces, so that none is sent."""

    def process_trace(self, trace):
        spans.extend(trace)


tracer.configure(trace_processors=[Keep()])


def step(number, kind):
    with tracer.trace(f"{kind}-{number}"):
        time.sleep(0.001)


def request(number):
    with tracer.trace(f"request-{number}") as root:
        for _ in range(3):
            step(number, "step")
        eventlet.spawn(step, number, "spawned").wait()
        tpool.execute(step, number, "tpool")
        assert tracer.current_span() is root
    assert tracer.current_span() is None


async def coroutine(number):
    with tracer.trace(f"request-{number}") as root:
        for _ in range(3):
            step(number, "step")
            await asyncio.sleep(0.001)
        await asyncio.create_task(asyncio.to_thread(step, number, "tpool"))
        eventlet.spawn(step, number, "spawned").wait()
        assert tracer.current_span() is root
    assert tracer.current_span() is None


threads = [eventlet.spawn(request, n) for n in range(10)]
threads += [eventlet.asyncio.spawn_for_awaitable(coroutine(n)) for n in range(10, 20)]
for thread in threads:
    thread.wait()

roots = {span.span_id: span for span in spans if span.parent_id is None}
assert {span.name for span in roots.values()} == {f"request-{n}" for n in range(20)}
children = collections.defaultdict(list)
for span in spans:
    if span.parent_id is not None:
        root = roots[span.parent_id]
        assert span.trace_id == root.trace_id
        children[root.name].append(span.name)
for number in range(20):
    wanted = [*3 * [f"step-{number}"], f"spawned-{number}", f"tpool-{number}"]
    assert sorted(children[f"request-{number}"]) == sorted(wanted), children
print("pass")
