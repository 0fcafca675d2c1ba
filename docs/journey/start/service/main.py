"""Put the parts together, serve, and stop on a signal."""

import logging
import signal
import sys

import eventlet
from eventlet import event, wsgi

from service import config as settings
from service.dispatch import Dispatcher
from service.feed import Feed
from service.live import Live
from service.road import Road
from service.storage import Storage
from service.web import Application

LOG = logging.getLogger(__name__)


class Service:
    """Everything that a process runs."""

    def __init__(self, config):
        self.config = config
        self.feed = Feed()
        self.road = Road(config.leg_seconds)
        self.storage = Storage(config.database, config.connections)
        self.dispatcher = Dispatcher(config, self.storage, self.road, self.feed)
        self.application = Application(
            self.storage, self.dispatcher, self.feed, self.road
        )
        self.live = Live(self.feed)

    def run(self):
        """Serve until SIGTERM or SIGINT."""
        self.storage.prepare()
        self.dispatcher.start()
        stop = event.Event()

        def stop_once(*_):
            if not stop.ready():
                stop.send()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop_once)
        http = eventlet.listen(("127.0.0.1", self.config.http_port))
        live = eventlet.listen(("127.0.0.1", self.config.live_port))
        servers = [
            eventlet.spawn(wsgi.server, http, self.application, log_output=False),
            eventlet.spawn(wsgi.server, live, self.live.application(), log_output=False),
        ]
        print(http.getsockname()[1], live.getsockname()[1], flush=True)
        stop.wait()
        # Listeners first: a server that is killed waits for its clients.
        self.feed.close()
        for server in servers:
            server.kill()
        self.dispatcher.stop()


def main():
    """Run the program."""
    eventlet.monkey_patch()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    Service(settings.from_arguments()).run()
    print("stopped", flush=True)
