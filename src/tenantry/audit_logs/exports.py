"""The rules of exports, given a transaction: what is asked for, its next part, its link, its end (wire.md 6.3).

A file is made in steps. Each writes one part with the place up to which the file is then made, in one
transaction; claiming an export only puts it off. So whatever dies at whatever point, the file is whole.
"""

import tempfile
import zlib
from typing import BinaryIO, cast

import msgspec

from tenantry.audit_logs import chain, checkpoints, links, records, sheet
from tenantry.audit_logs import export_store as store
from tenantry.audit_logs.export_store import ExportRow, Kind
from tenantry.audit_logs.filters import ALL, Filter, Place, fold, place_of, text_of
from tenantry.audit_logs.links import Link
from tenantry.audit_logs.policy import DAY
from tenantry.audit_logs.reading import trail_of
from tenantry.audit_logs.search import ROUNDS, Trail
from tenantry.audit_logs.wire import EXPORT_PREFIX, AuditLogExport, CreateAuditLogExport
from tenantry.core.caller import Caller
from tenantry.core.clock import milliseconds_of
from tenantry.core.db import Transaction
from tenantry.core.endpoints import Download
from tenantry.core.errors import ApiError, EntityNotFound, ValidationFailed

DOWNLOAD = "/tenantry/audit_logs/exports/{id}/download"

_SECRET_LENGTH = 43
_MOST_ATTEMPTS = 5
_RETRY_MILLISECONDS = 5_000
_ROW_DAYS = 90
_PARTS_DELETED_AT_ONCE = 20

_MEDIA = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson", "chain": "application/x-ndjson"}

_encode = msgspec.json.Encoder().encode
_decode_filter = msgspec.json.Decoder(Filter).decode


class AuditLogExportNotFound(EntityNotFound):
    """The caller's environment has no such export: 404."""

    def __init__(self, export_id: str) -> None:
        super().__init__("Audit Log Export", export_id)


class InvalidExportRange(ApiError):
    """The range ends before it begins: 400 (wire.md section 6.3)."""

    status = 400
    code = "invalid_audit_log_export_range_date"
    message = "Invalid date range"


class InvalidAuditLogExport(ValidationFailed):
    """A field of an export is missing or wrong: 400, the one failure that the public document has here."""

    status = 400


class InvalidLink(ApiError):
    """The link opens nothing, or no longer: 403. Fetching the export gives a new one."""

    status = 403
    code = "invalid_link"
    message = "The link is not valid, or no longer. Get the export again: each answer has a new link."


def create(tx: Transaction, caller: Caller, body: CreateAuditLogExport) -> AuditLogExport:
    """Ask for an export. Raises OrganizationNotFound, InvalidExportRange."""
    if body.range_start > body.range_end:
        raise InvalidExportRange
    chosen, trail = _chosen(body), trail_of(tx, caller, body.organization_id)
    row = ExportRow(
        environment_id=caller.environment_id,
        id=tx.new_id(EXPORT_PREFIX),
        organization_id=body.organization_id,
        trail=trail,
        format="chain" if body.format == "ndjson" and _is_all(tx, trail, chosen) else body.format,
        filter=_encode(chosen),
        secret=tx.new_token(_SECRET_LENGTH),
        state="pending",
        place=None,
        steps=0,
        attempts=0,
        next_at=tx.milliseconds,
        created_at=tx.now,
        updated_at=tx.now,
    )
    store.insert_export(tx, row)
    return _shown(row)


def _chosen(body: CreateAuditLogExport) -> Filter:
    return Filter(
        range_start=str(body.range_start),
        range_end=str(body.range_end),
        actions=_distinct(body.actions),
        actor_ids=_distinct(body.actor_ids),
        actor_names=_distinct([*(body.actor_names or ()), *(body.actors or ())]),
        actor_types=_distinct(body.actor_types),
        target_ids=_distinct(body.target_ids),
        target_types=_distinct(body.targets),
        text=fold(body.search or ""),
    )


def _is_all(tx: Transaction, trail: int | None, chosen: Filter) -> bool:
    """Return whether a filter leaves out no event that there is now: then its file can be proved whole."""
    start, end = chosen.range_start, chosen.range_end
    if trail is None or chosen != Filter(range_start=start, range_end=end):
        return False
    ends = [Trail(tx, trail, ALL).walk(None, ROUNDS, descending=each, most=1).rows for each in (False, True)]
    places = [rows[0].place.occurred_at for rows in ends if rows]
    return all(start is not None and end is not None and start <= place <= end for place in places)


def _distinct(values: list[str] | None) -> list[str]:
    return list(dict.fromkeys(values or ()))


def get(tx: Transaction, caller: Caller, export_id: str, origin: str) -> AuditLogExport:
    """Return an export, with a new link below `origin` if it is ready. Raises AuditLogExportNotFound."""
    row = store.select_export(tx, caller.environment_id, export_id)
    if row is None:
        raise AuditLogExportNotFound(export_id)
    if row.state != "ready":
        return _shown(row)
    link = links.link(row.secret, row.id, tx.milliseconds)
    return _shown(row, links.url_of(origin, DOWNLOAD.format(id=row.id), link))


def _shown(row: ExportRow, url: str | None = None) -> AuditLogExport:
    return AuditLogExport(
        id=row.id, state=row.state, url=url, created_at=row.created_at, updated_at=row.updated_at
    )


def export_of(path: str) -> str | None:
    """Return the id of the export whose download has that path, or None when it is another path."""
    before, _, after = DOWNLOAD.partition("{id}")
    if not (path.startswith(before) and path.endswith(after)):
        return None
    return path[len(before) : -len(after)]


def is_there(tx: Transaction, export_id: str) -> bool:
    """Return whether any environment has an export."""
    return store.select_export_of_any(tx, export_id) is not None


def download(tx: Transaction, export_id: str, given: Link) -> Download:
    """Return the file that a link opens; the transaction must see one state of the database.

    It is put together in the machine's folder for temporary files, part by part, and is sent when
    the transaction is over: a slow client holds a file, not a connection. Raises InvalidLink.
    """
    row = store.select_export_of_any(tx, export_id)
    if row is None or row.state != "ready" or tx.milliseconds >= given.expires:
        raise InvalidLink
    if not links.is_signed(row.secret, row.id, given):
        raise InvalidLink
    file = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115 (whoever sends it closes it)
    try:
        _write(tx, row.id, file)
    except BaseException:
        file.close()
        raise
    return Download(file, _MEDIA[row.format], _headers(row))


def _write(tx: Transaction, export_id: str, file: BinaryIO) -> None:
    number = -1
    while part := store.select_part_past(tx, export_id, number):
        number, content = part
        file.write(zlib.decompress(content))
    file.flush()
    file.seek(0)


def _headers(row: ExportRow) -> tuple[tuple[str, str], ...]:
    name = f"audit-log-{row.organization_id}-{row.created_at[:10]}.{'csv' if row.format == 'csv' else 'ndjson'}"
    return (
        ("content-disposition", f'attachment; filename="{name}"'),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    )


class Work(msgspec.Struct, frozen=True):
    """A claimed export: what its next step needs."""

    export_id: str
    whose: chain.Trail
    trail: int | None
    format: Kind
    filter: Filter
    place: str | None
    steps: int
    attempts: int


class Part(msgspec.Struct, frozen=True):
    """What a step made: lines, the place past which the next begins, None at the end."""

    content: bytes
    end: str | None


def has_pending(tx: Transaction) -> bool:
    """Return whether an export is not made yet, be it due or not. Changes nothing."""
    return store.has_pending(tx)


def has_due(tx: Transaction) -> bool:
    """Return whether an export waits for its next step. Changes nothing."""
    return store.has_due(tx)


def claim(tx: Transaction, lease_milliseconds: int, keep_days: int, signing_key: bytes | None) -> Work | None:
    """Take the export that has waited the longest for its next step; None when none waits.

    One whose step was begun five times and never made has failed. What a file ends with is signed
    by now, with the private key or the one that Tenantry makes.
    """
    row = store.lock_due(tx)
    while row is not None and row.attempts >= _MOST_ATTEMPTS:
        store.update_state(tx, row.id, "error", tx.milliseconds + keep_days * DAY)
        row = store.lock_due(tx)
    if row is None:
        return None
    store.update_claimed(tx, row.id, tx.milliseconds + lease_milliseconds)
    if row.format != "csv":
        checkpoints.sign_now(tx, row.environment_id, row.organization_id, signing_key)
    return Work(
        export_id=row.id,
        whose=chain.Trail(row.environment_id, row.organization_id),
        trail=row.trail,
        format=row.format,
        filter=_decode_filter(row.filter),
        place=row.place,
        steps=row.steps,
        attempts=row.attempts + 1,
    )


def look_on(tx: Transaction, work: Work, place: str | None, most: int) -> Part | None:
    """Return the lines of the matches among the next `most` events past `place`, where a look ended before.

    None where no more are past them: `look_at_last` then.
    """
    part = _look(tx, work, place, most)
    return None if part.end is None else part


def look_at_last(tx: Transaction, work: Work, place: str | None, most: int) -> Part:
    """Do as `look_on`, and add what the file ends with where no more are past them.

    All of it must be one state of the database (`scans`), or what is sealed meanwhile would be left out.
    """
    part = _look(tx, work, place, most)
    if part.end is not None or work.trail is None or work.format == "csv":
        return part
    lines = records.unsealed_lines(tx, work.trail) if work.format == "chain" else ()
    return Part(part.content + b"".join([*lines, *records.signed_lines(tx, work.trail)]), None)


def _look(tx: Transaction, work: Work, place: str | None, most: int) -> Part:
    begins = place is None
    if work.format == "csv":
        return _look_for_rows(tx, work, place, most, sheet.head() if begins else b"")
    head = chain.header_line(work.whose, tx.now, filtered=work.format == "ndjson") if begins else b""
    if work.trail is None:
        return Part(head, None)
    look_for = _look_for_lines if work.format == "ndjson" else _look_along_chain
    lines, end = look_for(tx, work, work.trail, place, most)
    return Part(head + b"".join(lines), end)


def _look_for_rows(tx: Transaction, work: Work, place: str | None, most: int, head: bytes) -> Part:
    if work.trail is None:
        return Part(head, None)
    found = Trail(tx, work.trail, work.filter).look(_place(place), most)
    return Part(head + sheet.lines([row.wire for row in found.matches]), _text(found.end))


def _look_for_lines(
    tx: Transaction, work: Work, trail: int, place: str | None, most: int
) -> tuple[list[bytes], str | None]:
    found = Trail(tx, trail, work.filter).look(_place(place), most)
    lines = list(records.chosen_lines(tx, trail, found.matches)) if found.matches else []
    return lines, _text(found.end)


def _look_along_chain(
    tx: Transaction, _work: Work, trail: int, place: str | None, most: int
) -> tuple[list[bytes], str | None]:
    lines, end = records.sealed_lines(tx, trail, None if place is None else int(place), most)
    return lines, None if end is None else str(end)


def _place(text: str | None) -> Place | None:
    return None if text is None else place_of(text)


def _text(place: Place | None) -> str | None:
    return None if place is None else text_of(place)


def record(tx: Transaction, work: Work, part: Part, keep_days: int) -> None:
    """Keep a step's part, compressed already, unless another has made the step: the lease had run out."""
    done = part.end is None
    is_first = store.update_made(
        tx,
        work.export_id,
        work.steps,
        place=part.end,
        state="ready" if done else "pending",
        next_at=tx.milliseconds + (keep_days * DAY if done else 0),
    )
    if is_first and part.content:
        store.insert_part(tx, work.export_id, work.steps, part.content)


def put_off(tx: Transaction, work: Work) -> None:
    """Try a step again that could not be made, a little later each time."""
    store.update_failed(tx, work.export_id, work.steps, tx.milliseconds + work.attempts * _RETRY_MILLISECONDS)


def prune(tx: Transaction) -> bool:
    """Take one step at an export whose time is over: its state, some of its parts, in the end its row.

    Return whether there may be more to do.
    """
    return _expire(tx) or _forget(tx)


def _expire(tx: Transaction) -> bool:
    row = store.lock_past(tx, "ready") or store.lock_past(tx, "error")
    if row is not None:
        store.update_state(tx, row.id, "expired", tx.milliseconds)
    return row is not None


def _forget(tx: Transaction) -> bool:
    """Delete some parts of an expired export, whose row stays for some months to say what became of it."""
    row = store.lock_past(tx, "expired")
    if row is None:
        return False
    if not store.delete_parts(tx, row.id, _PARTS_DELETED_AT_ONCE):
        row_ends = milliseconds_of(row.updated_at) + _ROW_DAYS * DAY
        if tx.milliseconds >= row_ends:
            store.delete_export(tx, row.id)
        else:
            store.update_next(tx, row.id, row_ends)
    return True
