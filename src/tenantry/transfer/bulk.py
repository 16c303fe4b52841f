"""Many creates and updates in one request, each with a result of its own."""

import msgspec
from msgspec import UNSET

from tenantry.core.caller import Caller
from tenantry.core.db import Transaction
from tenantry.core.errors import ApiError
from tenantry.core.validation import convert
from tenantry.domains.service import DomainRules
from tenantry.organizations import service
from tenantry.organizations.wire import CreateOrganization, UpdateOrganization
from tenantry.transfer.wire import Bulk, BulkDone, BulkResult, Identified


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


def write(tx: Transaction, caller: Caller, body: Bulk, rules: DomainRules) -> BulkDone:
    """Create or update each organization; return what became of each, in order.

    Each sees what those before it did. One that fails has changed nothing, since a create and an update look
    before they write. Raises BulkNotDone.
    """
    results = [_write_one(tx, caller, each, rules) for each in body.organizations]
    done = BulkDone(failed=sum(result.status >= 400 for result in results), results=results)
    if body.atomic and done.failed:
        raise BulkNotDone(done)
    return done


def _write_one(tx: Transaction, caller: Caller, value: object, rules: DomainRules) -> BulkResult:
    try:
        identity = convert(value, Identified, strict=True).id
        if identity is UNSET:
            create = convert(value, CreateOrganization, strict=True)
            return BulkResult(201, service.create(tx, caller, create, rules))
        update = convert(value, UpdateOrganization, strict=True)
        return BulkResult(200, service.update(tx, caller, identity, update, rules))
    except ApiError as error:
        return BulkResult(error.status, msgspec.to_builtins(error.body()))
