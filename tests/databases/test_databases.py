"""
Promises of `eventlet.db_pool` and the greened drivers, against real servers.

Two connections meet in a lock of the server: one waits for it, and only the green
thread that is not waiting can make the other one give it back. A wait that stops all
green threads never ends.
"""

from __future__ import annotations

from importlib.util import find_spec

import pytest

# Each driver with how its program makes connections, and the server's lock.
POSTGRESQL = """
import psycopg2 as driver
arguments = {"host": "127.0.0.1", "port": int(os.environ["DB_PORT"]),
             "user": os.environ["DB_USER"], "dbname": "postgres"}
TAKE, GIVE = "select pg_advisory_lock(7)", "select pg_advisory_unlock(7)"
SLEEP = "select pg_sleep(600)"
"""
MARIADB = """
arguments = {"host": "127.0.0.1", "port": int(os.environ["DB_PORT"]),
             "user": os.environ["DB_USER"], "password": "", "database": "mysql"}
TAKE, GIVE = "select get_lock('seven', 60)", "select release_lock('seven')"
SLEEP = "select sleep(600)"
"""
PYMYSQL = "import pymysql as driver" + MARIADB
MYSQLCLIENT = "import MySQLdb as driver" + MARIADB

PATCHED = """
import os
import eventlet
eventlet.monkey_patch()
from eventlet.db_pool import ConnectionPool as Pool
"""
IN_OS_THREADS = """
import os
import eventlet
from eventlet.db_pool import TpooledConnectionPool as Pool
"""

MEETING = """
pool = Pool(driver, min_size=0, max_size=2, **arguments)
log = []

def ask(connection, statement):
    cursor = connection.cursor()
    cursor.execute(statement)
    result = list(cursor.fetchall())
    cursor.close()
    return result

def holder():
    with pool.item() as connection:
        ask(connection, TAKE)
        log.append("taken")
        holding.send()
        give.wait()
        ask(connection, GIVE)
        log.append("given")

def waiter():
    holding.wait()
    with pool.item() as connection:
        log.append("asks")
        asking.send()
        ask(connection, TAKE)
        log.append("gets it")
        ask(connection, GIVE)

holding, asking, give = eventlet.Event(), eventlet.Event(), eventlet.Event()
threads = [eventlet.spawn(holder), eventlet.spawn(waiter)]
asking.wait()
give.send()
for thread in threads:
    thread.wait()
assert [entry for entry in log if entry != "given"] == ["taken", "asks", "gets it"], log
assert (pool.current_size, pool.free()) == (2, 2)
"""

ROLLBACK = """
with pool.item() as connection:
    ask_nothing = connection.cursor()
    ask_nothing.execute("create table things (name varchar(9)) " + ENGINE)
    connection.commit()
    ask_nothing.execute("insert into things values ('lost')")
    ask_nothing.close()
with pool.item() as connection:
    cursor = connection.cursor()
    cursor.execute("insert into things values ('kept')")
    cursor.close()
    connection.commit()
with pool.item() as connection:
    rows = ask(connection, "select name from things")
    assert [tuple(row) for row in rows] == [("kept",)], rows
    connection.cursor().execute("drop table things")
    connection.commit()
"""

KILL = """
started = eventlet.Event()

def sleeper():
    connection = pool.get()
    try:
        started.send()
        ask(connection, SLEEP)
    finally:
        # In the middle of an answer: of no use to anybody else.
        pool.put(None)
        connection._destroy() if hasattr(connection, "_destroy") else connection.close()

thread = eventlet.spawn(sleeper)
started.wait()
eventlet.sleep(0)
thread.kill()
with pool.item() as connection:
    assert [tuple(row) for row in ask(connection, "select 1")] == [(1,)]
print("pass")
"""

DONE = """
pool.clear()
print("pass")
"""


@pytest.mark.parametrize(
    ("kind", "driver", "needs"),
    [
        pytest.param(PATCHED, POSTGRESQL, "psycopg2", id="psycopg2"),
        pytest.param(IN_OS_THREADS, POSTGRESQL, "psycopg2", id="psycopg2-tpool"),
    ],
)
def test_postgresql_connections_wait_for_each_other(
    postgresql, run_isolated, kind, driver, needs
):
    skip_without(needs)
    program = kind + driver + MEETING + 'ENGINE = ""' + ROLLBACK + DONE
    run(run_isolated, program, postgresql)


@pytest.mark.parametrize(
    ("kind", "driver", "needs"),
    [
        pytest.param(PATCHED, PYMYSQL, "pymysql", id="pymysql"),
        pytest.param(IN_OS_THREADS, MYSQLCLIENT, "MySQLdb", id="mysqlclient-tpool"),
        pytest.param(PATCHED, MYSQLCLIENT, "MySQLdb", id="mysqlclient"),
    ],
)
def test_mariadb_connections_wait_for_each_other(
    mariadb, run_isolated, kind, driver, needs
):
    skip_without(needs)
    program = kind + driver + MEETING + 'ENGINE = "engine=innodb"' + ROLLBACK + DONE
    run(run_isolated, program, mariadb)


def test_killed_query_of_postgresql_leaves_the_pool_usable(postgresql, run_isolated):
    skip_without("psycopg2")
    run(run_isolated, PATCHED + POSTGRESQL + MEETING + KILL, postgresql)


def test_killed_query_of_mariadb_leaves_the_pool_usable(mariadb, run_isolated):
    skip_without("pymysql")
    run(run_isolated, PATCHED + PYMYSQL + MEETING + KILL, mariadb)


def skip_without(module):
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed")


def run(run_isolated, program, variables):
    done = run_isolated(program, {"EVENTLET_HUB": "asyncio"} | variables)
    assert done.stdout.splitlines()[-1:] == ["pass"], done.stderr
