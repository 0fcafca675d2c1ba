"""SQLAlchemy's asyncio side, which switches greenlets itself, works on our greenlet."""

# server: postgresql mariadb
# needs: SQLAlchemy asyncpg aiosqlite aiomysql

import eventlet

eventlet.monkey_patch()

import asyncio
import os

from sqlalchemy import func, select, text
from sqlalchemy.exc import MissingGreenlet, StatementError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

URLS = [
    "sqlite+aiosqlite://",
    os.environ["APPS_POSTGRESQL"].replace("postgresql", "postgresql+asyncpg"),
    os.environ["APPS_MARIADB"].replace("mysql", "mysql+aiomysql"),
]


class Base(DeclarativeBase):
    """What the tables are declared on."""


class Item(Base):
    """One row."""

    __tablename__ = "async_item"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(text("VARCHAR(20)").type, nullable=True)


async def use(url):
    """Tasks share an engine; synchronous code runs inside and is refused outside."""
    engine = create_async_engine(url, pool_size=3) if "sqlite" not in url else (
        create_async_engine(url)
    )  # fmt: skip
    async with engine.begin() as connection:
        await connection.execute(text("DROP TABLE IF EXISTS async_item"))
        await connection.execute(
            text("CREATE TABLE async_item (id INTEGER PRIMARY KEY, name VARCHAR(20))")
        )

    async def add(number):
        async with AsyncSession(engine) as session, session.begin():
            session.add(Item(id=number + 1, name=f"item {number}"))

    if "sqlite" in url:
        for number in range(20):
            await add(number)
    else:
        await asyncio.gather(*map(add, range(20)))

    def inside(session):
        return session.execute(select(func.count()).select_from(Item)).scalar()

    async with AsyncSession(engine) as session:
        assert await session.run_sync(inside) == 20
        item = (await session.execute(select(Item).limit(1))).scalar_one()
        session.expire(item)
        try:
            _ = item.name
        except (MissingGreenlet, StatementError) as refused:
            assert "greenlet_spawn" in str(refused)
        else:
            raise AssertionError
        await session.refresh(item)
        assert item.name.startswith("item")
        try:
            async with asyncio.timeout(0.1):
                await session.execute(text(SLOW.get(url.split(":")[0], "SELECT")))
        except (TimeoutError, asyncio.TimeoutError):
            pass
        except Exception as broken:
            assert "sqlite" in url, broken
    await engine.dispose()


SLOW = {
    "postgresql+asyncpg": "SELECT pg_sleep(20)",
    "mysql+aiomysql": "SELECT SLEEP(20)",
}

for url in URLS:
    asyncio.run(use(url))
    eventlet.spawn(asyncio.run, use(url)).wait()


async def together():
    """Green threads and engines of asyncio take turns on one loop."""
    ticks = []

    def tick():
        while True:
            ticks.append(1)
            eventlet.sleep(0.001)

    ticker = eventlet.spawn(tick)
    await use(URLS[1])
    ticker.kill()
    assert len(ticks) > 5


if os.environ["EVENTLET_HUB"] == "asyncio":
    asyncio.run(together())
print("pass")
