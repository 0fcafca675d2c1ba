"""Parcels in SQLite: a pool of connections, statements run in OS threads."""

import sqlite3
import time

from eventlet import pools, tpool

from service.model import WAITING, FINAL, NoSuchParcel, Parcel

_SCHEMA = (
    "create table if not exists parcels (number integer primary key, sender text, "
    "address text, weight real, status text, attempts integer, changed real)",
    "create table if not exists history (number integer, status text, at real)",
    "create index if not exists history_of on history (number)",
)
_COLUMNS = "number, sender, address, weight, status, attempts"


class Connections(pools.Pool):
    """Connections to one database, made when they are needed."""

    def __init__(self, path, most):
        self._path = path
        super().__init__(max_size=most)

    def create(self):
        """Open another one."""
        return _connect(self._path)


class Storage:
    """
    What is known of all parcels.

    Every method waits for a connection and for the disk.
    """

    def __init__(self, path, connections):
        self._connections = Connections(path, connections)

    def prepare(self):
        """Make the tables."""
        for statement in _SCHEMA:
            self._run(statement)

    def add(self, sender, address, weight):
        """Keep a new parcel and return it."""
        now = time.time()
        number = self._run(
            "insert into parcels (sender, address, weight, status, attempts, changed) "
            "values (?, ?, ?, ?, 0, ?)",
            sender,
            address,
            weight,
            WAITING,
            now,
        ).number
        self._note(number, WAITING, now)
        return Parcel(number, sender, address, weight, WAITING)

    def find(self, number):
        """Return a parcel."""
        rows = self._run(
            f"select {_COLUMNS} from parcels where number = ?", number
        ).rows
        if not rows:
            raise NoSuchParcel(number)
        return Parcel(*rows[0])

    def history(self, number):
        """Return the statuses that a parcel has had, with their times."""
        self.find(number)
        rows = self._run(
            "select status, at from history where number = ? order by rowid", number
        ).rows
        return [{"status": status, "at": at} for status, at in rows]

    def move(self, number, status):
        """Give a parcel another status."""
        now = time.time()
        self._run(
            "update parcels set status = ?, changed = ? where number = ?",
            status,
            now,
            number,
        )
        self._note(number, status, now)

    def count_attempt(self, number):
        """Count one more attempt and return how many there were."""
        self._run("update parcels set attempts = attempts + 1 where number = ?", number)
        return self.find(number).attempts

    def counts(self):
        """Return how many parcels have which status."""
        return dict(
            self._run("select status, count(*) from parcels group by status").rows
        )

    def overdue(self, before):
        """Return the numbers of parcels that have stood still since then."""
        marks = ", ".join("?" * len(FINAL))
        rows = self._run(
            f"select number from parcels where changed < ? and status not in ({marks})",
            before,
            *FINAL,
        ).rows
        return [number for (number,) in rows]

    def _note(self, number, status, at):
        self._run("insert into history values (?, ?, ?)", number, status, at)

    def _run(self, statement, *values):
        with self._connections.item() as connection:
            return tpool.execute(_execute, connection, statement, values)


class _Answer:
    def __init__(self, rows, number):
        self.rows = rows
        self.number = number


def _connect(path):
    connection = sqlite3.connect(
        path, timeout=10, isolation_level=None, check_same_thread=False
    )
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = normal")
    return connection


def _execute(connection, statement, values):
    cursor = connection.execute(statement, values)
    return _Answer(cursor.fetchall(), cursor.lastrowid)
