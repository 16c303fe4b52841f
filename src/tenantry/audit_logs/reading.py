"""Reading a trail, given a transaction: pages of the events that match."""

from collections.abc import Iterator
from functools import partial

import msgspec

from tenantry.audit_logs import seals, store
from tenantry.audit_logs.filters import Filter, fold, place_of, text_of
from tenantry.audit_logs.search import ROUNDS, Found, Trail
from tenantry.audit_logs.wire import ListAuditLogEvents
from tenantry.core.caller import Caller
from tenantry.core.db import Transaction
from tenantry.core.errors import FieldError, ValidationFailed
from tenantry.core.page import ListMetadata, Page, bounds, envelope, window
from tenantry.organizations import service as organizations


def list_events(
    tx: Transaction, caller: Caller, query: ListAuditLogEvents, rounds: tuple[int, ...] = ROUNDS
) -> Page[msgspec.Raw]:
    """Return one page of an organization's events that match all of `query`, by the time at which they occurred.

    Where the rest of the matches are too far apart for `rounds` the page is short, even empty, and
    its cursor leads on from where it stopped. The events of a deleted organization can be read as
    long as they are kept. Raises OrganizationNotFound, ValidationFailed.
    """
    chosen = _chosen(query)
    number = trail_of(tx, caller, query.organization_id)
    if number is None:
        return Page([], ListMetadata(None, None))
    limits = bounds(query)
    trail = Trail(tx, number, chosen)
    cursor = None if limits.cursor is None else place_of(limits.cursor)
    walked = trail.walk(cursor, rounds, descending=limits.descending, most=limits.limit + 1)
    rows = [(text_of(row.place), msgspec.Raw(wire)) for row, wire in _with_seals(tx, walked.rows)]
    stopped = None if walked.stopped is None else text_of(walked.stopped)
    has_behind = partial(_has_behind, trail, rounds, descending=not limits.descending)
    return envelope(query, window(limits, rows, has_behind, stopped))


def _with_seals(tx: Transaction, rows: list[Found]) -> Iterator[tuple[Found, bytes]]:
    """Yield events with their JSON, at the end of which their places in the chain stand."""
    places = seals.select_places_in_chain(tx, [row.place.position for row in rows]) if rows else {}
    for row in rows:
        place = places.get(row.place.position)
        seal = b"null" if place is None else b'{"sequence":%d,"hash":"%b"}' % (place[0], place[1].hex().encode())
        yield row, b'%b,"seal":%b}' % (row.wire[:-1], seal)


def _has_behind(trail: Trail, rounds: tuple[int, ...], first: str, *, descending: bool) -> bool:
    return trail.has_any(place_of(first), rounds, descending=descending)


def trail_of(tx: Transaction, caller: Caller, organization_id: str) -> int | None:
    """Return the number of an organization's trail, if it has one. That of a deleted one stays.

    Raises OrganizationNotFound where there is neither.
    """
    trail = store.select_trail(tx, caller.environment_id, organization_id)
    if trail is None:
        organizations.get(tx, caller, organization_id)
    return trail.number if trail else None


def _chosen(query: ListAuditLogEvents) -> Filter:
    start, end = query.range_start, query.range_end
    if start is not None and end is not None and start > end:
        raise ValidationFailed([FieldError("range_end", "range_end must not be before range_start")])
    return Filter(
        range_start=_text(start),
        range_end=_text(end),
        actions=list(dict.fromkeys(query.actions)),
        actor_ids=_one(query.actor_id),
        actor_names=_one(query.actor_name),
        actor_types=_one(query.actor_type),
        target_ids=_one(query.target_id),
        target_types=_one(query.target_type),
        text=fold(query.search or ""),
    )


def _text(moment: str | None) -> str | None:
    return None if moment is None else str(moment)


def _one(value: str | None) -> list[str]:
    return [value] if value else []
