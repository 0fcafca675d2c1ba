"""SQLAlchemy's pool is fair among green threads, for each driver, and its ORM works."""

# server: postgresql mariadb
# needs: SQLAlchemy psycopg2-binary PyMySQL mysqlclient

import eventlet

eventlet.monkey_patch()

import os
import tempfile

from sqlalchemy import create_engine, func, select, text
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    scoped_session,
    sessionmaker,
)

MARIADB = os.environ["APPS_MARIADB"].removeprefix("mysql")
URLS = [
    "sqlite:///" + tempfile.mkdtemp() + "/base",
    os.environ["APPS_POSTGRESQL"].replace("postgresql", "postgresql+psycopg2"),
    "mysql+pymysql" + MARIADB,
    "mysql+mysqldb" + MARIADB,
]


class Base(DeclarativeBase):
    """What the tables are declared on."""


class Item(Base):
    """One row."""

    __tablename__ = "orm_item"
    id: Mapped[int] = mapped_column(primary_key=True)
    worker: Mapped[int]


def sessions(engine):
    """Many green threads share a pool smaller than they are many."""
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    green = eventlet.GreenPool(20)

    def work(worker):
        for _ in range(3):
            with Session(engine) as session, session.begin():
                session.add(Item(worker=worker))

    for worker in range(20):
        green.spawn(work, worker)
    green.waitall()
    with Session(engine) as session:
        counted = select(Item.worker, func.count()).group_by(Item.worker)
        assert dict(session.execute(counted).tuples().all()) == dict.fromkeys(
            range(20), 3
        )


def scopes(engine):
    """A scoped session belongs to its green thread."""
    scope = scoped_session(sessionmaker(engine))

    def own(_):
        mine = scope()
        eventlet.sleep(0)
        assert scope() is mine
        scope.remove()
        return mine

    assert len(set(eventlet.GreenPool().imap(own, range(10)))) == 10


def exhaustion(url):
    """A pool that stays empty raises its own timeout."""
    engine = create_engine(url, pool_size=1, max_overflow=0, pool_timeout=0.2)
    with engine.connect() as held:
        held.execute(text("SELECT 1"))

        def second():
            try:
                engine.connect()
            except PoolTimeout:
                return "timeout"
            return "connected"

        assert eventlet.spawn(second).wait() == "timeout"
    assert eventlet.spawn(lambda: engine.connect().close()).wait() is None
    engine.dispose()


for url in URLS:
    engine = create_engine(url, pool_size=3, max_overflow=2, pool_timeout=60)
    sessions(engine)
    scopes(engine)
    engine.dispose()
    exhaustion(url)
print("pass")
