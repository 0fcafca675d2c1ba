"""Sentry's tags and thread of an event are those of the green thread that sent it."""
# needs: sentry-sdk

import eventlet

eventlet.monkey_patch()

import threading

import sentry_sdk
from sentry_sdk.utils import get_current_thread_meta

events = []


def keep(event, _hint):
    events.append(event)


sentry_sdk.init(
    "http://key@127.0.0.1:9/1",
    before_send=keep,
    default_integrations=False,
    attach_stacktrace=True,
)


def request(number):
    with sentry_sdk.isolation_scope() as scope:
        scope.set_tag("number", number)
        eventlet.sleep(0)
        sentry_sdk.capture_message(f"message {number}")


threads = [
    threading.Thread(target=request, args=(n,), name=f"request-{n}") for n in range(10)
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert len(events) == 10
for event in events:
    number = event["message"].split()[-1]
    assert str(event["tags"]["number"]) == number, event
    (thread,) = event["threads"]["values"]
    assert thread["stacktrace"]["frames"][-1]["function"] == "request", thread


def whoami():
    eventlet.sleep(0)
    return get_current_thread_meta(), threading.get_ident()


# What it writes into events and spans as the current thread is the green one.
seen = [thread.wait() for thread in [eventlet.spawn(whoami) for _ in range(10)]]
assert all(ident == own for (ident, _), own in seen), seen
assert len({ident for (ident, _), _ in seen}) == 10, seen
assert len({name for (_, name), _ in seen}) == 10, seen
assert get_current_thread_meta() == (threading.get_ident(), "MainThread")
print("pass")
