"""The HTTP side: a WSGI application."""

import json
import re

from service.model import BadParcel, NoSuchParcel, checked

_PARCEL = re.compile(r"/parcels/(\d+)(/history|/wait)?$")


class Refusal(Exception):
    """An answer other than what was asked for."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


class Application:
    """Answers requests with JSON."""

    def __init__(self, storage, dispatcher, feed, road):
        self._storage = storage
        self._dispatcher = dispatcher
        self._feed = feed
        self._road = road

    def __call__(self, environ, start_response):
        try:
            status, answer = self._answer(environ)
        except Refusal as refusal:
            status, answer = refusal.status, {"error": str(refusal)}
        except NoSuchParcel as error:
            status, answer = "404 Not Found", {"error": f"no parcel {error}"}
        body = json.dumps(answer).encode()
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
        ]
        start_response(status, headers)
        return [body]

    def _answer(self, environ):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if path == "/parcels" and method == "POST":
            return self._add(environ)
        if path == "/counts" and method == "GET":
            return "200 OK", self._storage.counts()
        if path == "/listeners" and method == "GET":
            return "200 OK", {"listeners": len(self._feed)}
        if path == "/weight" and method == "POST":
            numbers = self._json(environ)
            parcels = [self._storage.find(int(number)) for number in numbers]
            return "200 OK", {"weight": self._road.inspect(parcels)}
        found = _PARCEL.match(path)
        if not found or method != "GET":
            raise Refusal("404 Not Found", "there is nothing here")
        number, what = int(found[1]), found[2]
        if what == "/history":
            return "200 OK", self._storage.history(number)
        if what == "/wait":
            return self._wait(number, environ.get("QUERY_STRING", ""))
        return "200 OK", self._storage.find(number).as_json()

    def _add(self, environ):
        try:
            sender, address, weight = checked(self._json(environ))
        except BadParcel as error:
            raise Refusal("400 Bad Request", str(error)) from None
        parcel = self._storage.add(sender, address, weight)
        self._dispatcher.order(parcel.number)
        return "201 Created", parcel.as_json()

    def _wait(self, number, query):
        seconds = float(query.removeprefix("seconds=") or 5)
        parcel = self._dispatcher.wait(number, seconds)
        if parcel is None:
            raise Refusal("504 Gateway Timeout", "it takes longer")
        return "200 OK", parcel.as_json()

    def _json(self, environ):
        size = int(environ.get("CONTENT_LENGTH") or 0)
        try:
            return json.loads(environ["wsgi.input"].read(size))
        except ValueError:
            raise Refusal("400 Bad Request", "that is no JSON") from None
