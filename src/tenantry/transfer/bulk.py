"""Many creates and updates in one request, each with a result of its own."""

from functools import partial
from typing import Any

import msgspec
from msgspec import UNSET

from tenantry.core.caller import Caller
from tenantry.core.db import Transaction
from tenantry.core.decode import decode_item, is_form
from tenantry.core.endpoints import Call, Partly
from tenantry.core.errors import ApiError
from tenantry.core.validation import convert
from tenantry.domains.service import DomainRules, filter_form
from tenantry.organizations import service
from tenantry.organizations.wire import GO_NAMES, CreateOrganization, UpdateOrganization
from tenantry.transfer.wire import Bulk, BulkDone, BulkResult, Identified

AT_ONCE = 50
"""Organizations in one transaction: with more, what others change at the same time would have more done again."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[BulkResult]).decode


class BulkNotDone(ApiError):
    """One or more of an atomic request cannot be done, so none is: 422 with the result of each."""

    status = 422
    code = "bulk_not_done"
    message = "Nothing was done: at least one organization cannot be written, and all were to be or none."

    def __init__(self, done: BulkDone) -> None:
        super().__init__()
        self.done = done

    def body(self) -> dict[str, object]:
        return super().body() | {"failed": self.done.failed, "results": self.done.results}


def write(call: Call, rules: DomainRules) -> BulkDone | Partly:
    """Create or update the next organizations of `call.body`, all that there are if it is atomic.

    Returns what became of each, in order, once there are no more. Each sees what those before it did. One
    that fails has changed nothing, since a create and an update look before they write. Raises BulkNotDone.
    """
    body: Bulk = call.body
    done = _decode(call.so_far) if call.so_far else []
    rest = body.organizations[len(done) :]
    part = rest if body.atomic else rest[:AT_ONCE]
    service.lock(call.tx, call.caller, list(filter(None, map(_id_of, part))))
    form = is_form(call.header("content-type"))
    works = [partial(_write_one, caller=call.caller, value=each, rules=rules, form=form) for each in part]
    done += call.tx.side_by_side(works) if not form and are_apart(part) else [work(call.tx) for work in works]
    if len(done) < len(body.organizations):
        return Partly(_encode(done), partial(_stopped, done, len(body.organizations)))
    answer = _done(done)
    if body.atomic and answer.failed:
        raise BulkNotDone(answer)
    return answer


def _id_of(value: object) -> str | None:
    """Return the id of the organization that is to be updated, if `value` gives one."""
    identity = value.get("id") if isinstance(value, dict) else None
    return identity if isinstance(identity, str) and "\0" not in identity else None


def _stopped(done: list[BulkResult], count: int, error: ApiError) -> BulkDone:
    """Return what is told of `count` organizations when an error kept all from being written but those first."""
    return _done(done + [_failed(error)] * (count - len(done)))


def _done(results: list[BulkResult]) -> BulkDone:
    return BulkDone(failed=sum(result.status >= 400 for result in results), results=results)


def _failed(error: ApiError) -> BulkResult:
    return BulkResult(error.status, msgspec.Raw(_encode(error.body())))


def are_apart(part: list[Any]) -> bool:
    """Return whether none of these hangs on another: they are creates, and no two claim the same.

    Values of metadata that have to be unique are left to their index.
    """
    claims: list[object] = []
    for value in part:
        if not isinstance(value, dict) or "id" in value:
            return False
        claims += [("external id", value["external_id"])] if value.get("external_id") else []
        claims += _domains_of(value)
    try:
        return len(set(claims)) == len(claims)
    except TypeError:  # what cannot be hashed is no text, and will be refused
        return False


def _domains_of(value: dict[str, Any]) -> set[str]:
    """Return the domains that an organization is to have, each in the one spelling that it is kept in."""
    bare, given = value.get("domains"), value.get("domain_data")
    names = [*(bare if isinstance(bare, list) else [])]
    names += [each.get("domain") for each in given if isinstance(each, dict)] if isinstance(given, list) else []
    return {filter_form(name) for name in names if isinstance(name, str)}


def _write_one(tx: Transaction, *, caller: Caller, value: object, rules: DomainRules, form: bool) -> BulkResult:
    try:
        identity = convert(value, Identified, strict=True).id
        if identity is UNSET:
            create = decode_item(value, CreateOrganization, {}, is_form=form)
            return BulkResult(201, service.create(tx, caller, create, rules))
        update = decode_item(value, UpdateOrganization, GO_NAMES, is_form=form)
        return BulkResult(200, service.update(tx, caller, identity, update, rules))
    except ApiError as error:
        return _failed(error)
