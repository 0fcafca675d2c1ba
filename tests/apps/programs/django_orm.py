"""Django under monkey_patch: its ORM on PostgreSQL and SQLite, views, async views."""

# server: postgresql
# needs: Django psycopg2-binary
# upstream: asynchronous views fail in green threads

import eventlet

eventlet.monkey_patch()

import asyncio
import io
import json
import os
import tempfile
import time
import urllib.request
from urllib.parse import urlsplit

import django
from django.conf import settings

URL = urlsplit(os.environ["APPS_POSTGRESQL"])
settings.configure(
    SECRET_KEY="apps",
    DEBUG=False,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="__main__",
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": URL.hostname,
            "PORT": URL.port,
            "USER": URL.username,
            "NAME": URL.path[1:],
        },
        "lite": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": tempfile.mkdtemp() + "/base",
        },
    },
)
django.setup()

from asgiref.sync import async_to_sync, sync_to_async
from django.core.cache import cache
from django.core.wsgi import get_wsgi_application
from django.db import (
    close_old_connections,
    connection,
    connections,
    models,
    transaction,
)
from django.http import JsonResponse, StreamingHttpResponse
from django.urls import path

from eventlet import wsgi


class Entry(models.Model):
    """A row."""

    worker = models.IntegerField()

    class Meta:
        """Where the model lives, which no installed application says."""

        app_label = "apps"


def create(using):
    with connections[using].schema_editor() as editor:
        if Entry._meta.db_table in connections[using].introspection.table_names():
            editor.delete_model(Entry)
        editor.create_model(Entry)


def orm(using):
    """Green threads have connections of their own, and transactions that hold."""

    def work(worker):
        try:
            with transaction.atomic(using=using):
                for _ in range(5):
                    Entry.objects.using(using).create(worker=worker)
            if worker % 2:
                with transaction.atomic(using=using):
                    Entry.objects.using(using).create(worker=worker)
                    eventlet.sleep(0)
                    transaction.set_rollback(True, using=using)
            return id(connections[using])
        finally:
            connections[using].close()

    size = 10 if using == "default" else 1
    mine = list(eventlet.GreenPool(size).imap(work, range(10)))
    assert len(mine) == 10
    counted = Entry.objects.using(using).values("worker").annotate(n=models.Count("id"))
    assert {row["worker"]: row["n"] for row in counted} == dict.fromkeys(range(10), 5)


def late(request, number):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(1), %s", [number])
        number = cursor.fetchone()[1]
    cache.set(f"late-{number}", number)
    connection.close()
    return JsonResponse({"number": number})


def stream(request):
    return StreamingHttpResponse(f"{number}," for number in range(100))


def size(request):
    return JsonResponse({"size": len(request.body)})


async def coroutine(request):
    await asyncio.sleep(0.05)
    count = await Entry.objects.acount()
    await sync_to_async(time.sleep)(0.01)
    return JsonResponse({"count": count})


urlpatterns = [
    path("late/<int:number>", late),
    path("stream", stream),
    path("size", size),
    path("coroutine", coroutine),
]


def ask(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read()


def views():
    """Views wait for the database and for coroutines, side by side."""
    listener = eventlet.listen(("127.0.0.1", 0))
    eventlet.spawn(wsgi.server, listener, get_wsgi_application(), log=io.StringIO())
    root = f"http://127.0.0.1:{listener.getsockname()[1]}"
    begin = time.monotonic()
    urls = [f"{root}/late/{number}" for number in range(10)]
    answers = list(map(json.loads, eventlet.GreenPool().imap(ask, urls)))
    assert answers == [{"number": number} for number in range(10)]
    assert time.monotonic() - begin < 8
    assert cache.get("late-7") == 7
    assert ask(root + "/stream") == b"".join(b"%d," % n for n in range(100))
    request = urllib.request.Request(root + "/size", b"x" * 1_000_000)
    assert json.loads(ask(request)) == {"size": 1_000_000}
    urls = [root + "/coroutine"] * 5
    answers = list(map(json.loads, eventlet.GreenPool().imap(ask, urls)))
    assert answers == [{"count": 50}] * 5


for using in settings.DATABASES:
    create(using)
    orm(using)
views()


async def count():
    return await Entry.objects.acount()


assert async_to_sync(count)() == 50
assert eventlet.spawn(async_to_sync(count)).wait() == 50
close_old_connections()
print("pass")
