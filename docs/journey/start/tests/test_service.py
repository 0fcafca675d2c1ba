"""What the service promises its clients, however it is built inside."""

import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

from websockets.sync.client import connect

ROOT = Path(__file__).parents[1]


class Served(unittest.TestCase):
    """Each test has a service of its own."""

    options = ()

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.database = os.path.join(folder.name, "parcels.db")
        self.start()

    def start(self):
        """Start the service; it prints its two ports."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "service", "--database", self.database]
            + list(self.options),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(self.end)
        ports = self.process.stdout.readline().split()
        if len(ports) != 2:
            self.fail(self.process.stderr.read())
        self.http_port, self.live_port = map(int, ports)

    def end(self):
        """Have it stop as a service manager does, and see that it does so cleanly."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            out, err = self.process.communicate(timeout=20)
            self.assertEqual((out, err), ("stopped\n", ""))
            self.assertEqual(self.process.returncode, 0)

    def ask(self, method, path, data=None):
        """Send a request; return status and answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=20)
        body = None if data is None else json.dumps(data)
        connection.request(method, path, body)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text)

    def add(self, address="Main Street 1", weight=2):
        """Send a parcel; return its number."""
        status, parcel = self.ask(
            "POST", "/parcels", {"sender": "A", "address": address, "weight": weight}
        )
        self.assertEqual(status, 201)
        return parcel["number"]


class ServiceTests(Served):
    """What clients do."""

    def test_parcel_is_delivered(self):
        number = self.add()
        status, parcel = self.ask("GET", f"/parcels/{number}/wait?seconds=10")
        self.assertEqual((status, parcel["status"]), (200, "delivered"))
        self.assertEqual(self.ask("GET", f"/parcels/{number}")[1], parcel)
        statuses = [s["status"] for s in self.ask("GET", f"/parcels/{number}/history")[1]]
        self.assertEqual(
            statuses, ["waiting", "collected", "sorted", "on the road", "delivered"]
        )

    def test_wrong_requests_are_refused(self):
        for data in ([], {}, {"sender": "A"}, {"sender": "A", "address": "B", "weight": -1}):
            self.assertEqual(self.ask("POST", "/parcels", data)[0], 400)
        self.assertEqual(self.ask("GET", "/parcels/99")[0], 404)
        self.assertEqual(self.ask("GET", "/parcels/99/wait")[0], 404)
        self.assertEqual(self.ask("GET", "/nothing")[0], 404)

    def test_breakdown_is_tried_again(self):
        number = self.add("breakdown road")
        parcel = self.ask("GET", f"/parcels/{number}/wait?seconds=10")[1]
        self.assertEqual((parcel["status"], parcel["attempts"]), ("delivered", 2))

    def test_what_never_works_fails_after_some_attempts(self):
        number = self.add("never land")
        parcel = self.ask("GET", f"/parcels/{number}/wait?seconds=10")[1]
        self.assertEqual((parcel["status"], parcel["attempts"]), ("failed", 3))

    def test_many_are_carried_at_the_same_time(self):
        began = time.monotonic()
        numbers = [self.add(f"Street {n}") for n in range(24)]
        for number in numbers:
            parcel = self.ask("GET", f"/parcels/{number}/wait?seconds=20")[1]
            self.assertEqual(parcel["status"], "delivered")
        self.assertEqual(self.ask("GET", "/counts")[1], {"delivered": 24})
        self.assertLess(time.monotonic() - began, 20)

    def test_waiting_ends_in_time(self):
        number = self.add("jam city")
        began = time.monotonic()
        self.assertEqual(self.ask("GET", f"/parcels/{number}/wait?seconds=0.1")[0], 504)
        self.assertLess(time.monotonic() - began, 10)

    def test_waiting_clients_do_not_stop_others(self):
        number = self.add("jam city")
        waits = [
            threading.Thread(
                target=self.ask, args=("GET", f"/parcels/{number}/wait?seconds=2")
            )
            for _ in range(12)
        ]
        for wait in waits:
            wait.start()
        other = self.add()
        parcel = self.ask("GET", f"/parcels/{other}/wait?seconds=10")[1]
        self.assertEqual(parcel["status"], "delivered")
        for wait in waits:
            wait.join()

    def test_weights_are_added(self):
        numbers = [self.add(weight=weight) for weight in (1, 2, 3.5)]
        self.assertEqual(self.ask("POST", "/weight", numbers)[1], {"weight": 6.5})

    def test_news_are_told_live(self):
        with (
            connect(f"ws://127.0.0.1:{self.live_port}") as all_news,
            connect(f"ws://127.0.0.1:{self.live_port}") as other,
        ):
            all_news.send("{}")
            self.assertEqual(json.loads(all_news.recv(10)), {"listening": None})
            other.send('{"number": 99}')
            self.assertEqual(json.loads(other.recv(10)), {"listening": 99})
            self.assertEqual(self.ask("GET", "/listeners")[1], {"listeners": 2})
            number = self.add()
            statuses = [json.loads(all_news.recv(10))["status"] for _ in range(4)]
            self.assertEqual(statuses, ["collected", "sorted", "on the road", "delivered"])
            self.assertEqual(number, 1)
            with self.assertRaises(TimeoutError):
                other.recv(0.05)

    def test_what_was_left_is_carried_after_a_crash(self):
        number = self.add("jam city")
        self.process.kill()
        self.process.communicate()
        self.options = ("--overdue-seconds", "0", "--leg-limit", "0.05")
        self.start()
        parcel = self.ask("GET", f"/parcels/{number}/wait?seconds=10")[1]
        self.assertEqual(parcel["status"], "failed")


class JamTests(Served):
    """A leg that takes too long."""

    options = ("--leg-limit", "0.1")

    def test_jam_is_cut_off_and_tried_again(self):
        number = self.add("jam city")
        parcel = self.ask("GET", f"/parcels/{number}/wait?seconds=10")[1]
        self.assertEqual((parcel["status"], parcel["attempts"]), ("failed", 3))


if __name__ == "__main__":
    unittest.main()
