"""The tables, on SQLite and on PostgreSQL, with an index for each thing that is looked up."""

import os
import time
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Connection,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    Table,
    event,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import Integer, Text

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_JSON = JSON().with_variant(JSONB(), "postgresql")
_ID = Text().with_variant(Text(collation="C"), "postgresql")


class _Ulids:
    """ULIDs that sort in the order in which this process made them."""

    def __init__(self) -> None:
        self._last = 0

    def __call__(self) -> str:
        drawn = time.time_ns() // 1_000_000 << 80 | int.from_bytes(os.urandom(10), "big")
        self._last = number = drawn if drawn >> 80 > self._last >> 80 else self._last + 1
        return "".join(_DIGITS[number >> shift & 31] for shift in range(125, -1, -5))


_ulid = _Ulids()


def new_id(prefix: str) -> str:
    """Return a prefixed ULID."""
    return f"{prefix}_{_ulid()}"


def now() -> str:
    """Return the time as the wire has it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Base(DeclarativeBase):
    """What all tables share."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {dict[str, Any]: _JSON, str: Text(), bytes: LargeBinary()}


class ApiKey(Base):
    """A key, kept as its SHA-256, and the environment that it opens."""

    __tablename__ = "api_keys"

    hash: Mapped[bytes] = mapped_column(primary_key=True)
    environment_id: Mapped[str]


class Organization(Base):
    """An organization."""

    __tablename__ = "organizations"
    __table_args__ = (
        Index("organizations_by_external_id", "environment_id", "external_id", unique=True),
        Index("organizations_by_stripe_customer_id", "environment_id", "stripe_customer_id", unique=True),
    )

    environment_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    name: Mapped[str]
    allow_profiles_outside_organization: Mapped[bool]
    external_id: Mapped[str | None]
    stripe_customer_id: Mapped[str | None]
    details: Mapped[dict[str, Any]] = mapped_column("metadata")
    created_at: Mapped[str]
    updated_at: Mapped[str]
    domains: Mapped[list["Domain"]] = relationship(
        cascade="all, delete-orphan", order_by="Domain.id", lazy="selectin"
    )


class Domain(Base):
    """A domain of an organization."""

    __tablename__ = "organization_domains"
    __table_args__ = (
        ForeignKeyConstraint(
            ["environment_id", "organization_id"], ["organizations.environment_id", "organizations.id"]
        ),
        Index("domains_of_organization", "environment_id", "organization_id", "domain", unique=True),
        Index("domains_by_domain", "environment_id", "domain", "organization_id"),
    )

    environment_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    organization_id: Mapped[str] = mapped_column(_ID)
    domain: Mapped[str]
    state: Mapped[str]
    verification_strategy: Mapped[str]
    verification_prefix: Mapped[str | None]
    verification_token: Mapped[str | None]
    created_at: Mapped[str]
    updated_at: Mapped[str]


class Event(Base):
    """A change, written in the transaction that makes it."""

    __tablename__ = "events"
    __table_args__ = (
        Index("events_by_id", "environment_id", "id", unique=True),
        Index("events_in_order", "environment_id", "position"),
    )

    position: Mapped[int] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)
    environment_id: Mapped[str]
    id: Mapped[str]
    event: Mapped[str]
    organization_id: Mapped[str]
    created_at: Mapped[str]
    payload: Mapped[dict[str, Any]]


# Search is a part of the name: each engine's own index of trigrams finds it.
_SEARCH = {
    "postgresql": """
CREATE EXTENSION IF NOT EXISTS pg_trgm
---
CREATE INDEX organizations_by_name ON organizations USING gin (name gin_trgm_ops)
""",
    "sqlite": """
CREATE VIRTUAL TABLE organization_names USING fts5(name, content='organizations', tokenize='trigram')
---
CREATE TRIGGER name_added AFTER INSERT ON organizations BEGIN
    INSERT INTO organization_names (rowid, name) VALUES (new.rowid, new.name);
END
---
CREATE TRIGGER name_changed AFTER UPDATE OF name ON organizations BEGIN
    INSERT INTO organization_names (organization_names, rowid, name) VALUES ('delete', old.rowid, old.name);
    INSERT INTO organization_names (rowid, name) VALUES (new.rowid, new.name);
END
""",
}


@event.listens_for(Base.metadata, "after_create")
def _index_names(_metadata: MetaData, connection: Connection, *, tables: list[Table], **_: object) -> None:
    if tables:
        for statement in _SEARCH[connection.dialect.name].split("---"):
            connection.exec_driver_sql(statement)


MATCHING_ROWS = text("organizations.rowid IN (SELECT rowid FROM organization_names WHERE name MATCH :phrase)")
"""On SQLite: the rows whose name has the phrase."""
