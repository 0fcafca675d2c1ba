"""Flask and bottle on eventlet.wsgi: requests overlap, streams stream, contexts stay apart."""

# needs: Flask bottle

import eventlet

eventlet.monkey_patch()

import io
import json
import threading
import time
import urllib.error
import urllib.request

import bottle
import flask

from eventlet import wsgi


def serve(application):
    listener = eventlet.listen(("127.0.0.1", 0))
    green = eventlet.spawn(wsgi.server, listener, application, log=io.StringIO())
    return f"http://127.0.0.1:{listener.getsockname()[1]}", green


def ask(url, body=None, **headers):
    request = urllib.request.Request(url, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read()


def exercise(application):
    """What both frameworks are asked."""
    root, server = serve(application)
    begin = time.monotonic()
    urls = [f"{root}/late/{number}" for number in range(30)]
    answers = list(eventlet.GreenPool().imap(ask, urls))
    assert time.monotonic() - begin < 9
    assert [json.loads(body)["number"] for _, body in answers] == list(range(30))
    threads = {json.loads(body)["thread"] for _, body in answers}
    assert len(threads) == 30
    assert ask(root + "/stream")[1] == b"".join(b"%d," % n for n in range(100))
    body = b"x" * 2_000_000
    assert json.loads(ask(root + "/size", body)[1]) == {"size": len(body)}
    assert ask(root + "/fail")[0] == 500
    assert ask(root + "/nowhere")[0] == 404
    form = b"one=1&two=2"
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert json.loads(ask(root + "/form", form, **kind)[1]) == {"one": "1"}
    server.kill()


by_flask = flask.Flask("apps")
by_flask.logger.disabled = True


@by_flask.get("/late/<int:number>")
def late(number):
    flask.g.number = number
    time.sleep(0.4)
    # The request and its globals are this green thread's.
    assert flask.g.number == number == int(flask.request.path.split("/")[2])
    return {"number": number, "thread": threading.get_ident()}


@by_flask.get("/stream")
def stream():
    def numbers():
        for number in range(100):
            yield f"{number},"
            eventlet.sleep(0)

    return flask.Response(flask.stream_with_context(numbers()))


@by_flask.post("/size")
def size():
    return {"size": len(flask.request.get_data())}


@by_flask.post("/form")
def form():
    return {"one": flask.request.form["one"]}


@by_flask.get("/fail")
def fail():
    raise RuntimeError


by_bottle = bottle.Bottle()
bottle.debug(False)


@by_bottle.get("/late/<number:int>")
def bottle_late(number):
    time.sleep(0.4)
    assert number == int(bottle.request.path.split("/")[2])
    return {"number": number, "thread": threading.get_ident()}


@by_bottle.get("/stream")
def bottle_stream():
    for number in range(100):
        yield f"{number},"
        eventlet.sleep(0)


@by_bottle.post("/size")
def bottle_size():
    return {"size": len(bottle.request.body.read())}


@by_bottle.post("/form")
def bottle_form():
    return {"one": bottle.request.forms["one"]}


@by_bottle.get("/fail")
def bottle_fail():
    raise RuntimeError


exercise(by_flask)
exercise(by_bottle)

# bottle knows Eventlet's server by name.
with eventlet.listen(("127.0.0.1", 0)) as probe:
    port = probe.getsockname()[1]
eventlet.spawn(
    by_bottle.run, server="eventlet", host="127.0.0.1", port=port, quiet=True
)
eventlet.sleep(0)
assert ask(f"http://127.0.0.1:{port}/size", b"abc")[1] == b'{"size": 3}'
print("pass")
