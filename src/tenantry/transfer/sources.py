"""Where organizations come from: one record after the other, each with the place after which to go on."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Protocol

import msgspec

from tenantry.core.caller import Caller
from tenantry.core.db import Database, Transaction
from tenantry.core.errors import FieldError, ValidationFailed
from tenantry.core.page import Order
from tenantry.core.parsing import decode_custom
from tenantry.core.validation import convert, nul_problems
from tenantry.organizations import service
from tenantry.organizations.imports import Given
from tenantry.organizations.wire import ListOrganizations, OrganizationCursor, OrganizationRecord

_AT_ONCE = 500
_TOO_DEEP = "is nested too deeply"

_decode = msgspec.json.Decoder(OrganizationRecord, dec_hook=decode_custom).decode


class SourceFailed(Exception):
    """The source cannot be read, or not any further; the message says why. What was read before is good."""


class Item(msgspec.Struct, frozen=True):
    """One record of a source, or why it is none. `cursor` is the place after it."""

    cursor: str
    given: Given | None
    problems: list[FieldError]
    shown: dict[str, Any]

    @property
    def identities(self) -> set[str]:
        """What tells it from the others: its id and its external id, as far as it has them."""
        return {self.shown[key] for key in ("id", "external_id") if key in self.shown}


class Source(Protocol):
    """Where organizations come from. `name` tells it from others; `items` begins after a cursor.

    `lasts` says whether it can be read again, and so be gone on with after a cursor.
    """

    name: str
    lasts: bool

    def total(self) -> int | None:
        """Return how much there is to read, when that is known beforehand: bytes of a file, else records."""

    def position(self) -> int | None:
        """Return how many bytes of the total are read; None where the total is of records."""

    def items(self, after: str | None) -> Iterator[Item]:
        """Yield the records past `after`, in an order that stays. Raises SourceFailed."""


def item_of(cursor: str, text: bytes) -> Item:
    """Return what one JSON text says."""
    try:
        return _checked(cursor, text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return refused(cursor, f"is not valid JSON: {error}")
    except RecursionError:
        return refused(cursor, _TOO_DEEP)


def refused(cursor: str, reason: str) -> Item:
    """Return a record of which nothing can be told but why it is none."""
    return Item(cursor, None, [FieldError("", reason)], {})


def _checked(cursor: str, text: bytes) -> Item:
    if b"\\u0000" not in text:
        try:
            record = _decode(text)
        except msgspec.ValidationError:
            pass
        else:
            return Item(cursor, Given(record), [], _shown(record))
    return item_of_value(cursor, msgspec.json.decode(text), whole=True)


def item_of_value(cursor: str, value: object, *, whole: bool) -> Item:
    """Return what one decoded value says."""
    try:
        return _converted(cursor, value, whole=whole)
    except RecursionError:
        return refused(cursor, _TOO_DEEP)


def _converted(cursor: str, value: object, *, whole: bool) -> Item:
    shown = {}
    if isinstance(value, dict):
        shown = {key: value[key] for key in ("id", "external_id", "name") if isinstance(value.get(key), str)}
    problems = list(nul_problems(value))
    if problems:
        return Item(cursor, None, problems, shown)
    try:
        return Item(cursor, Given(convert(value, OrganizationRecord, strict=True), whole), [], shown)
    except ValidationFailed as error:
        return Item(cursor, None, error.errors, shown)


def _shown(record: OrganizationRecord) -> dict[str, Any]:
    found = {"id": record.id, "external_id": record.external_id, "name": record.name}
    return {key: str(value) for key, value in found.items() if value}


class DatabaseSource:
    """The organizations of one environment of a Tenantry database, by id."""

    def __init__(self, database: Database, caller: Caller, name: str) -> None:
        self._database = database
        self._caller = caller
        self.name = name
        self.lasts = True

    def total(self) -> int | None:
        return self._database.read(partial(service.count, caller=self._caller))

    def position(self) -> int | None:
        return None

    def items(self, after: str | None) -> Iterator[Item]:
        while wires := self._database.read(partial(page_of, caller=self._caller, after=after)):
            for wire in wires:
                item = item_of("", wire)
                after = item.shown["id"]
                yield msgspec.structs.replace(item, cursor=after)


def page_of(tx: Transaction, caller: Caller, after: str | None) -> list[bytes]:
    """Return the JSON of the first organizations past an id, by id; none at the end."""
    cursor = None if after is None else OrganizationCursor(after)
    page = service.list_page(tx, caller, ListOrganizations(order=Order.ASC, limit=_AT_ONCE, after=cursor))
    return [bytes(wire) for wire in page.data]


def every(tx: Transaction, caller: Caller) -> Iterator[bytes]:
    """Yield the JSON of every organization of an environment, by id."""
    after = None
    while wires := page_of(tx, caller, after):
        yield from wires
        after = _identify(wires[-1]).id


class _Identified(msgspec.Struct):
    id: str


_identify = msgspec.json.Decoder(_Identified).decode
