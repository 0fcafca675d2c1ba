"""Promises of `eventlet.db_pool`, on a database module made of counters."""

# ruff: noqa: D102 - the methods are the DB-API's

from __future__ import annotations

import gc
import threading
import weakref

import pytest

import eventlet
import eventlet.tpool
from eventlet import db_pool


class Connection:
    """Records what is done with it, and in which OS thread."""

    def __init__(self, number):
        self.number = number
        self.calls = []
        self.autocommit = False
        self.threads = set()

    def _called(self, name):
        self.calls.append(name)
        self.threads.add(threading.get_native_id())

    def rollback(self):
        self._called("rollback")

    def commit(self):
        self._called("commit")

    def close(self):
        self._called("close")

    def cursor(self):
        self._called("cursor")
        return [self.number]

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._called("commit" if exc[0] is None else "rollback")


class Database:
    """A DB-API module that makes numbered connections."""

    def __init__(self):
        self.made = []
        self.arguments = []

    def connect(self, *args, **kwargs):
        self.arguments.append((args, kwargs))
        self.made.append(Connection(len(self.made) + 1))
        return self.made[-1]


@pytest.fixture
def database():
    return Database()


@pytest.fixture(autouse=True)
def no_workers_left():
    yield
    eventlet.tpool.killall()


def raw(database, **kwargs):
    return db_pool.RawConnectionPool(database, **kwargs)


def test_pool_hands_arguments_to_connect(database):
    pool = db_pool.RawConnectionPool(database, 0, 4, 10, 30, 5, None, "host", port=1)
    pool.get()
    assert database.arguments == [(("host",), {"port": 1})]


def test_pool_reuses_the_connection_returned_last(database):
    pool = raw(database)
    first, second = pool.get(), pool.get()
    pool.put(first)
    pool.put(second)
    assert pool.get().number == 2


def test_connection_that_was_put_back_is_useless(database):
    pool = raw(database)
    conn = pool.get()
    conn.close()
    assert not conn
    for use in (conn.cursor, conn.commit, lambda: conn.number):
        with pytest.raises(AttributeError, match="put back"):
            use()
    with pytest.raises(AttributeError, match="put back"), conn:
        pass


def test_connection_put_back_twice_counts_once(database):
    pool = raw(database, max_size=2)
    with pool.item() as conn:
        conn.close()
    pool.put(conn)
    conn.close()
    assert (pool.current_size, pool.free()) == (1, 2)


def test_connection_comes_back_rolled_back(database):
    pool = raw(database)
    pool.get().close()
    assert database.made[0].calls == ["rollback"]


def test_connection_that_cannot_be_cleaned_is_closed(database):
    def broken(conn):
        raise OSError("server has gone away")

    pool = raw(database, max_size=1, cleanup=broken)
    pool.get().close()
    assert database.made[0].calls == ["close"]
    assert pool.current_size == 0
    assert pool.get().number == 2


def test_cleanup_can_be_left_out_once(database):
    pool = raw(database)
    pool.put(pool.get(), cleanup=None)
    assert database.made[0].calls == []


def test_interrupted_cleanup_gives_the_place_back(database):
    def interrupted(conn):
        raise KeyboardInterrupt

    pool = raw(database, max_size=1, cleanup=interrupted)
    with pytest.raises(KeyboardInterrupt):
        pool.put(pool.get())
    assert pool.free() == 1
    assert pool.get().number == 2


def test_idle_connection_is_closed_by_the_timer(database):
    pool = raw(database, max_idle=0.02, max_age=60)
    pool.get().close()
    with eventlet.Timeout(5):
        while pool.free_items:
            eventlet.sleep(0.01)
    assert database.made[0].calls == ["rollback", "close"]
    assert pool.current_size == 0


def test_aged_connection_is_closed_although_in_use_all_the_time(database):
    pool = raw(database, max_idle=60, max_age=0.02)
    with eventlet.Timeout(5):
        while not any("close" in conn.calls for conn in database.made):
            pool.get().close()
            eventlet.sleep(0.01)
    assert len(database.made) <= 2


def test_taken_connection_is_left_alone_by_the_timer(database):
    pool = raw(database, max_idle=0.01, max_age=0.01)
    taken = pool.get()
    pool.get().close()
    eventlet.sleep(0.05)
    assert database.made[0].calls == []
    assert taken.cursor() == [1]


@pytest.mark.parametrize("limits", [{"max_idle": 0}, {"max_age": 0}])
def test_limit_of_zero_closes_each_connection_after_use(database, limits):
    pool = raw(database, **limits)
    for _ in range(2):
        pool.get().close()
    assert [conn.calls[-1] for conn in database.made] == ["close"] * 2
    assert (pool.current_size, len(pool.free_items)) == (0, 0)


def test_expired_connection_makes_room_for_who_waits(database):
    pool = raw(database, max_size=1, max_age=0)
    conn = pool.get()
    waiting = eventlet.spawn(pool.get)
    eventlet.sleep(0)
    conn.close()
    assert waiting.wait().number == 2


def test_dead_connection_makes_room(database):
    pool = raw(database, max_size=1)
    pool.get()
    pool.put(None)
    assert pool.get().number == 2


def test_shrunk_pool_closes_what_it_drops(database):
    pool = raw(database, max_size=2)
    first, second = pool.get(), pool.get()
    pool.resize(1)
    first.close()
    second.close()
    assert database.made[0].calls[-1] == "close"
    assert (pool.current_size, pool.free()) == (1, 1)


def test_pool_counts_what_is_open_free_and_waited_for(database):
    pool = raw(database, min_size=1, max_size=2)

    def counts():
        return pool.current_size, len(pool.free_items), pool.free(), pool.waiting()

    seen = [counts()]
    first, second = pool.get(), pool.get()
    seen.append(counts())
    waiting = [eventlet.spawn(pool.get) for _ in range(2)]
    eventlet.sleep(0)
    seen.append(counts())
    first.close()
    third = waiting[0].wait()
    seen.append(counts())
    waiting[1].kill()
    eventlet.sleep(0)
    seen.append(counts())
    second.close()
    third.close()
    seen.append(counts())
    assert seen == [
        *((1, 1, 2, 0), (2, 0, 0, 0), (2, 0, 0, 2)),
        *((2, 0, 0, 1), (2, 0, 0, 0), (2, 2, 2, 0)),
    ]
    assert len(database.made) == 2


def test_pool_of_a_minimum_size_connects_at_once(database):
    raw(database, min_size=3)
    assert len(database.made) == 3


def test_dropped_pool_is_not_kept_by_its_timer(database):
    pool = raw(database, max_idle=60)
    pool.get().close()
    gone = weakref.ref(pool)
    del pool
    gc.collect()
    assert gone() is None


def test_clear_closes_free_connections_only(database):
    pool = raw(database)
    taken = pool.get()
    pool.get().close()
    pool.clear()
    assert (database.made[0].calls, database.made[1].calls[-1]) == ([], "close")
    assert pool.current_size == 1
    taken.close()
    assert pool.get().number == 1


def test_connect_that_fails_takes_no_place(database):
    pool = raw(database, max_size=1)
    pool._db_module = None
    with pytest.raises(AttributeError):
        pool.get()
    assert pool.free() == 1


def test_connect_that_takes_too_long_is_given_up():
    class Slow:
        def connect(self):
            eventlet.Event().wait()

    pool = raw(Slow(), max_size=1, connect_timeout=0.01)
    with pytest.raises(db_pool.ConnectTimeout):
        pool.get()
    assert pool.free() == 1


def test_connection_made_too_late_is_closed():
    go, closed = threading.Event(), threading.Event()

    class Late:
        def close(self):
            closed.set()

    class Slow:
        def connect(self):
            go.wait(10)
            return Late()

    pool = db_pool.TpooledConnectionPool(Slow(), connect_timeout=0.01)
    with pytest.raises(db_pool.ConnectTimeout):
        pool.get()
    go.set()
    assert eventlet.tpool.execute(closed.wait, 10)


def test_tpooled_connection_is_used_in_os_threads_only(database):
    pool = db_pool.ConnectionPool(database)
    with pool.item() as conn:
        assert conn.cursor()[0] == 1
        conn.commit()
    assert database.made[0].calls == ["cursor", "commit", "rollback"]
    assert threading.get_native_id() not in database.made[0].threads


def test_wrapper_sets_what_the_connection_has(database):
    conn = raw(database).get()
    assert conn.autocommit is False
    conn.autocommit = True
    assert (conn.autocommit, database.made[0].autocommit) == (True, True)


def test_wrapper_is_a_transaction_where_its_connection_is_one(database):
    conn = raw(database).get()
    with conn as entered:
        assert entered is conn
    assert database.made[0].calls == ["commit"]


def test_wrapper_offers_what_only_the_connection_knows(database):
    conn = raw(database).get()
    assert conn.number == 1
    with pytest.raises(AttributeError):
        _ = conn.no_such_thing


def test_connector_makes_one_pool_for_each_host_and_database(database):
    connector = db_pool.DatabaseConnector(
        database,
        {"a": {"user": "alice"}, "default": {"user": "bob"}},
        db_pool.RawConnectionPool,
        max_size=1,
    )
    assert connector.get("a", "x") is connector.get("a", "x")
    assert connector.get("a", "x") is not connector.get("a", "y")
    connector.get("a", "x").get()
    connector.get("c", "x").get()
    assert [kwargs for _, kwargs in database.arguments] == [
        {"host": "a", "db": "x", "user": "alice"},
        {"host": "c", "db": "x", "user": "bob"},
    ]


def test_connector_without_credentials_for_a_host_has_none(database):
    connector = db_pool.DatabaseConnector(database, {})
    assert connector.credentials_for("a") is None


def test_pool_needs_a_module():
    with pytest.raises(AssertionError, match="DB-API"):
        db_pool.ConnectionPool(None)


def test_base_pool_cannot_connect(database):
    pool = db_pool.BaseConnectionPool(database)
    with pytest.raises(NotImplementedError, match="connect"):
        pool.get()
