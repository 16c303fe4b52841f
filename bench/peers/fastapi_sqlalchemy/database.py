"""Engines: a pool on PostgreSQL; on SQLite a pool of readers and one writer. A commit is on disk on both."""

from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

_CONNECTIONS = 16
_DRIVERS = {"postgresql": "postgresql+asyncpg", "sqlite": "sqlite+aiosqlite"}


class Database:
    """Sessions to read and sessions to write."""

    def __init__(self, url: str) -> None:
        scheme, _, place = url.partition(":")
        address = f"{_DRIVERS[scheme]}:{place}"
        self.reader = create_async_engine(address, pool_size=_CONNECTIONS, max_overflow=0)
        self.writer = self.reader
        if scheme == "sqlite":
            self.writer = create_async_engine(address, pool_size=1, max_overflow=0)
            _durable(self.reader, "BEGIN")
            _durable(self.writer, "BEGIN IMMEDIATE")
        self.to_read = async_sessionmaker(self.reader, class_=AsyncSession, expire_on_commit=False)
        self.to_write = async_sessionmaker(self.writer, class_=AsyncSession, expire_on_commit=False)

    async def close(self) -> None:
        """Let go of the database."""
        await self.reader.dispose()
        await self.writer.dispose()


def _durable(engine: AsyncEngine, begin: str) -> None:
    def connected(connection: Any, _record: object) -> None:
        # The driver begins no transaction by itself.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "busy_timeout = 10000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine.sync_engine, "connect", connected)
    event.listen(engine.sync_engine, "begin", begun)
