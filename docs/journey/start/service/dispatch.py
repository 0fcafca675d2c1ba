"""Workers that carry parcels, and those who wait for the end of it."""

import logging
import time

import eventlet
from eventlet import event, greenpool, queue

from service.model import FAILED, legs_left
from service.road import Breakdown

LOG = logging.getLogger(__name__)


class Dispatcher:
    """
    Takes numbers of parcels and has them carried by a bounded number of workers.

    A leg that takes too long or fails is tried again, a bounded number of times.
    """

    def __init__(self, config, storage, road, feed):
        self._config = config
        self._storage = storage
        self._road = road
        self._feed = feed
        self._pool = greenpool.GreenPool(config.workers)
        self._orders = queue.Queue()
        self._ends = {}
        self._carried = set()
        self._taker = None
        self._sweeper = None
        self._stopping = False

    def start(self):
        """Begin to take orders."""
        self._taker = eventlet.spawn(self._take)
        self._sweeper = eventlet.spawn(self._sweep)

    def stop(self):
        """Take no more, and wait for what is being carried."""
        self._stopping = True
        self._sweeper.kill()
        self._orders.put(None)
        self._taker.wait()
        self._pool.waitall()

    def order(self, number):
        """Have a parcel carried."""
        self._orders.put(number)

    def wait(self, number, seconds):
        """
        Wait until nothing happens to a parcel any more.

        Returns:
            The parcel as it is then, or None if that takes longer.
        """
        end = self._ends.setdefault(number, event.Event())
        parcel = self._storage.find(number)
        if parcel.is_final:
            return parcel
        with eventlet.Timeout(seconds, False):
            end.wait()
            return self._storage.find(number)
        return None

    def _take(self):
        while True:
            number = self._orders.get()
            if number is None:
                return
            if number in self._carried:
                continue
            self._carried.add(number)
            self._pool.spawn_n(self._carry, number)

    def _sweep(self):
        """Order again what stands still, after a crash for one."""
        while not self._stopping:
            eventlet.sleep(self._config.sweep_seconds)
            before = time.time() - self._config.overdue_seconds
            for number in self._storage.overdue(before):
                self.order(number)

    def _carry(self, number):
        try:
            status = self._try_to_carry(number)
        except Exception:
            LOG.exception("parcel %s", number)
            status = FAILED
            self._move(number, status)
        finally:
            self._carried.discard(number)
        end = self._ends.pop(number, None)
        if end is not None:
            end.send(status)

    def _try_to_carry(self, number):
        while True:
            parcel = self._storage.find(number)
            try:
                for status in legs_left(parcel.status):
                    with eventlet.Timeout(self._config.leg_limit):
                        self._road.drive(parcel, status)
                    self._move(number, status)
                return status
            except (Breakdown, eventlet.Timeout):
                attempts = self._storage.count_attempt(number)
                if attempts >= self._config.attempts:
                    self._move(number, FAILED)
                    return FAILED

    def _move(self, number, status):
        self._storage.move(number, status)
        self._feed.publish(number, status)
