"""Reading a trail, given a transaction: pages of the events that match."""

from functools import partial

import msgspec

from tenantry.audit_logs import store
from tenantry.audit_logs.filters import Filter, fold, place_of, text_of
from tenantry.audit_logs.search import THOROUGH, Found, Trail
from tenantry.audit_logs.wire import ListAuditLogEvents
from tenantry.core.caller import Caller
from tenantry.core.db import Transaction
from tenantry.core.effort import Effort
from tenantry.core.errors import FieldError, ValidationFailed
from tenantry.core.page import Page, bounds, envelope, window
from tenantry.organizations import service as organizations


def list_events(
    tx: Transaction, caller: Caller, query: ListAuditLogEvents, effort: Effort = THOROUGH
) -> Page[msgspec.Raw]:
    """Return one page of an organization's events that match all of `query`, by the time at which they occurred.

    Where the rest of the matches are too far apart for `effort` the page is short, even empty, and
    its cursor leads on from where it stopped. The events of a deleted organization can be read as
    long as they are kept. Raises OrganizationNotFound, ValidationFailed, and TakesLong if the
    effort is one that gives up.
    """
    chosen = _chosen(query)
    check_trail(tx, caller, query.organization_id)
    limits = bounds(query)
    trail = Trail(tx, caller.environment_id, query.organization_id, chosen)
    cursor = None if limits.cursor is None else place_of(limits.cursor)
    walked = trail.walk(cursor, effort, descending=limits.descending, most=limits.limit + 1)
    rows = [(text_of(row.place), msgspec.Raw(shown(row, query.organization_id))) for row in walked.rows]
    stopped = None if walked.stopped is None else text_of(walked.stopped)
    has_behind = partial(_has_behind, trail, effort, descending=not limits.descending)
    return envelope(query, window(limits, rows, has_behind, stopped))


def _has_behind(trail: Trail, effort: Effort, first: str, *, descending: bool) -> bool:
    return trail.has_any(place_of(first), effort, descending=descending)


def check_trail(tx: Transaction, caller: Caller, organization_id: str) -> None:
    """Raise OrganizationNotFound, unless there is or was such an organization whose events may be kept."""
    if store.select_trail(tx, caller.environment_id, organization_id) is None:
        organizations.get(tx, caller, organization_id)


def shown(row: Found, organization_id: str) -> bytes:
    """Return an event's JSON as it is read: what was written, with its id and when that was."""
    head = b'{"object":"audit_log_event","id":"%s","organization_id":"%s","created_at":"%s",'
    return head % (row.id.encode(), organization_id.encode(), row.created_at.encode()) + row.wire[1:]


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
