"""psycopg2 waits in its own green thread once the process is patched."""

# server: postgresql
# needs: psycopg2-binary

import eventlet

eventlet.monkey_patch()

import os
import time

import psycopg2
import psycopg2.extras
import psycopg2.pool

from eventlet import db_pool

URL = os.environ["APPS_POSTGRESQL"]


def queries_overlap():
    """Ten sleeping queries take the time of one."""

    def query(_):
        with psycopg2.connect(URL) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(1), 7")
            return cursor.fetchone()[1]

    begin = time.monotonic()
    assert list(eventlet.GreenPool().imap(query, range(10))) == [7] * 10
    assert time.monotonic() - begin < 8


def notifications():
    """LISTEN is a descriptor to wait for."""
    listener = psycopg2.connect(URL)
    listener.autocommit = True
    with listener.cursor() as cursor:
        cursor.execute("LISTEN news")

    def hear():
        while not listener.notifies:
            eventlet.hubs.trampoline(listener.fileno(), read=True, timeout=20)
            listener.poll()
        return listener.notifies.pop().payload

    heard = eventlet.spawn(hear)
    eventlet.sleep(0)
    with psycopg2.connect(URL) as sender, sender.cursor() as cursor:
        cursor.execute("NOTIFY news, 'hello'")
    assert heard.wait() == "hello"


def transactions():
    """A row lock held by one green thread keeps the other waiting, not the process."""
    with psycopg2.connect(URL) as setup, setup.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS account")
        cursor.execute("CREATE TABLE account (id int PRIMARY KEY, amount int)")
        cursor.execute("INSERT INTO account VALUES (1, 0)")
    order = []

    def add(name, first, second):
        with psycopg2.connect(URL) as connection, connection.cursor() as cursor:
            if first:
                first.wait()
            cursor.execute("UPDATE account SET amount = amount + 1 WHERE id = 1")
            second.send()
            eventlet.sleep(0.05)
            order.append(name)

    locked, done = eventlet.event.Event(), eventlet.event.Event()
    one = eventlet.spawn(add, "one", None, locked)
    two = eventlet.spawn(add, "two", locked, done)
    one.wait()
    two.wait()
    assert order == ["one", "two"]
    with psycopg2.connect(URL) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT amount FROM account")
        assert cursor.fetchone() == (2,)
        psycopg2.extras.execute_values(
            cursor, "INSERT INTO account VALUES %s", [(n, n) for n in range(2, 2000)]
        )
        cursor.execute("SELECT count(*) FROM account")
        assert cursor.fetchone() == (1999,)


def pools():
    """Eventlet's connection pool gives connections to many green threads."""
    pool = db_pool.RawConnectionPool(psycopg2, max_size=3, dsn=URL)

    def query(number):
        with pool.item() as connection:
            cursor = connection.cursor()
            cursor.execute("SELECT %s + pg_backend_pid() * 0", (number,))
            return cursor.fetchone()[0]

    assert sum(eventlet.GreenPool().imap(query, range(100))) == 4950
    pool.clear()


def a_timeout():
    """A Timeout leaves a query; the connection can be closed."""
    connection = psycopg2.connect(URL)
    begin = time.monotonic()
    with eventlet.Timeout(0.1, False), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(30)")
        raise AssertionError
    assert time.monotonic() - begin < 20
    connection.close()


queries_overlap()
notifications()
transactions()
pools()
a_timeout()
print("pass")
