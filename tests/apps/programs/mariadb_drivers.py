"""PyMySQL waits in its own green thread, mysqlclient in tpool's OS threads."""

# server: mariadb
# needs: PyMySQL mysqlclient

import eventlet

eventlet.monkey_patch()

import os
import time
from urllib.parse import urlsplit

import pymysql

from eventlet import db_pool
from eventlet.green import MySQLdb

URL = urlsplit(os.environ["APPS_MARIADB"])
WHERE = {
    "host": URL.hostname,
    "port": URL.port,
    "user": URL.username,
    "password": URL.password,
    "database": URL.path[1:],
}


def overlap(driver):
    """Ten sleeping queries take the time of one, or of few."""

    def query(number):
        connection = driver.connect(**WHERE)
        cursor = connection.cursor()
        cursor.execute("SELECT SLEEP(1), %s", (number,))
        row = cursor.fetchone()
        connection.close()
        return row[1]

    begin = time.monotonic()
    assert list(eventlet.GreenPool().imap(query, range(10))) == list(range(10))
    assert time.monotonic() - begin < 8


def rows(driver, table):
    """Tables, many rows, transactions and errors are the driver's own."""
    connection = driver.connect(**WHERE)
    cursor = connection.cursor()
    cursor.execute(f"DROP TABLE IF EXISTS {table}")
    cursor.execute(f"CREATE TABLE {table} (id INT PRIMARY KEY, text TEXT)")
    cursor.executemany(
        f"INSERT INTO {table} VALUES (%s, %s)", [(n, "x" * 1000) for n in range(2000)]
    )
    connection.commit()
    cursor.execute(f"SELECT * FROM {table} ORDER BY id")
    assert [row[0] for row in cursor.fetchall()] == list(range(2000))
    cursor.execute(f"DELETE FROM {table}")
    connection.rollback()
    cursor.execute(f"SELECT COUNT(*) FROM {table}")
    assert cursor.fetchone()[0] == 2000
    try:
        cursor.execute(f"INSERT INTO {table} VALUES (0, '')")
    except driver.IntegrityError:
        pass
    else:
        raise AssertionError
    connection.close()


def pool(driver, kind):
    """A connection pool of Eventlet serves more green threads than it has places."""
    connections = kind(driver, max_size=3, **WHERE)

    def query(number):
        with connections.item() as connection:
            cursor = connection.cursor()
            cursor.execute("SELECT %s + 0", (number,))
            return cursor.fetchone()[0]

    assert sum(eventlet.GreenPool().imap(query, range(60))) == 1770
    connections.clear()


overlap(pymysql)
rows(pymysql, "by_pymysql")
pool(pymysql, db_pool.RawConnectionPool)
overlap(MySQLdb)
rows(MySQLdb, "by_mysqlclient")
pool(MySQLdb, db_pool.TpooledConnectionPool)
print("pass")
