"""oslo.messaging: RPC and notifications over RabbitMQ, the server's executor green."""

# server: rabbitmq
# needs: oslo.messaging

import eventlet

eventlet.monkey_patch()

import os
import time

import oslo_messaging
from oslo_config import cfg
from oslo_log import log

log.register_options(cfg.CONF)
cfg.CONF([], project="apps")
log.setup(cfg.CONF, "apps")
URL = os.environ["APPS_RABBITMQ"].replace("amqp:", "rabbit:").rstrip("/") + "/"
oslo_messaging.set_transport_defaults("apps")
log.getLogger("apps").warning("logged once oslo.log has its own locks")


class Endpoint:
    """Answers."""

    target = oslo_messaging.Target(version="1.0")

    def add(self, context, one, other):
        return one + other

    def late(self, context, number):
        time.sleep(0.5)
        return number

    def fail(self, context):
        raise ZeroDivisionError("as asked")


class Notified:
    """Hears notifications."""

    def __init__(self):
        self.heard = eventlet.Queue()

    def info(self, context, publisher, kind, payload, metadata):
        self.heard.put((publisher, kind, payload))


transport = oslo_messaging.get_rpc_transport(cfg.CONF, url=URL)
server = oslo_messaging.get_rpc_server(
    transport,
    oslo_messaging.Target(topic="apps", server="one"),
    [Endpoint()],
    executor="eventlet",
)
server.start()
client = oslo_messaging.get_rpc_client(
    transport, oslo_messaging.Target(topic="apps", version="1.0"), timeout=30
)
assert client.call({}, "add", one=1, other=2) == 3
begin = time.monotonic()
pool = eventlet.GreenPool()
answers = pool.imap(lambda number: client.call({}, "late", number=number), range(20))
assert list(answers) == list(range(20))
assert time.monotonic() - begin < 8
try:
    client.call({}, "fail")
except Exception as raised:
    assert "as asked" in str(raised)
else:
    raise AssertionError

notifications = oslo_messaging.get_notification_transport(cfg.CONF, url=URL)
notified = Notified()
listener = oslo_messaging.get_notification_listener(
    notifications,
    [oslo_messaging.Target(topic="news")],
    [notified],
    executor="eventlet",
)
listener.start()
notifier = oslo_messaging.Notifier(
    notifications, "publisher", driver="messaging", topics=["news"]
)
for number in range(20):
    notifier.info({}, "counted", {"number": number})
got = [notified.heard.get(timeout=30) for _ in range(20)]
assert got == [("publisher", "counted", {"number": n}) for n in range(20)]
for each in (listener, server):
    each.stop()
    each.wait()
transport.cleanup()
notifications.cleanup()
print("pass")
