"""Keys of metadata that are declared: found by an index, and with values that keep to a rule.

Whoever writes an organization's metadata keeps the index in the same transaction, from the moment
a key is declared. What was there before is brought in by a check, some organizations at a time, which
also tells what stands in the way of the rule. New values must be allowed ones from the first moment; that
they are unique is sure once the check is over, since until then the index does not know all that are there.
"""

from collections.abc import Iterable, Mapping

import msgspec

from tenantry.core.caller import Caller
from tenantry.core.db import Transaction
from tenantry.core.errors import ApiError, EntityNotFound
from tenantry.core.page import ListMetadata, Page
from tenantry.organizations import metadata_index as store
from tenantry.organizations.metadata import InvalidMetadata, check_key
from tenantry.organizations.metadata_index import KeyRow
from tenantry.organizations.wire import DeclareMetadataKey, MetadataKey, MetadataKeyState, Violation

MOST_DECLARED = 20
_MOST_KEPT = 2 * MOST_DECLARED
"""Keys of an environment, with those that are being removed: each is looked at by every change of metadata."""

AT_ONCE = 500
_MOST_TOLD = 10

_decode = msgspec.json.Decoder(dict[str, str]).decode


class MetadataKeyNotFound(EntityNotFound):
    """The caller's environment has not declared the key: 404."""

    def __init__(self, key: str) -> None:
        super().__init__("Metadata key", key)


class MetadataValueAlreadyUsed(ApiError):
    """Another organization of the environment has the value of a key that was declared unique: 400."""

    status = 400
    code = "metadata_value_already_used"
    message = "Another organization has this metadata value."

    def __init__(self, key: str, value: str, organization_id: str) -> None:
        super().__init__(
            f"The metadata value '{value}' of '{key}' is already used by organization '{organization_id}'."
        )


class TooManyMetadataKeys(ApiError):
    """The environment has as many declared keys as there may be: 422."""

    status = 422
    code = "too_many_metadata_keys"
    message = f"An environment declares at most {MOST_DECLARED} metadata keys. Remove one first."


def declare(tx: Transaction, caller: Caller, key: str, body: DeclareMetadataKey) -> MetadataKey:
    """Declare a key, or change the rule of one; return it as it is now, which is `checking`.

    What is declared already, and was not refused, stays as it is. Raises InvalidMetadata, TooManyMetadataKeys.
    """
    check_key(key)
    values = None if body.values is None else list(dict.fromkeys(body.values))
    kept = store.select_keys(tx, caller.environment_id)
    before = next((row for row in kept if row.key == key), None)
    if sum(row.state != "removing" for row in kept if row.key != key) >= MOST_DECLARED:
        raise TooManyMetadataKeys
    if before is None and len(kept) >= _MOST_KEPT:
        raise TooManyMetadataKeys("Too many metadata keys are being removed. Wait until they are, and try again.")
    if before is not None and _is_enforced(before) and _is_same_rule(before, body):
        return _shown(before)
    row = KeyRow(
        key=key,
        unique=body.unique,
        values=values,
        state="checking",
        indexed=before is not None and before.indexed,
        declared_in=store.this_transaction(tx),
        position="",
        checked=0,
        violation_count=0,
        violations=[],
        created_at=tx.now if before is None or before.state == "removing" else before.created_at,
        updated_at=tx.now,
    )
    (store.insert_key if before is None else store.update_key)(tx, caller.environment_id, row)
    return _shown(row)


def list_all(tx: Transaction, caller: Caller) -> Page[MetadataKey]:
    """Return the declared keys, all on one page, by key."""
    rows = store.select_keys(tx, caller.environment_id)
    return Page([_shown(row) for row in rows if row.state != "removing"], ListMetadata(None, None))


def get(tx: Transaction, caller: Caller, key: str) -> MetadataKey:
    """Return a declared key. Raises MetadataKeyNotFound."""
    return _shown(_get(tx, caller.environment_id, key))


def remove(tx: Transaction, caller: Caller, key: str) -> None:
    """Declare a key no more: its rule ends now, its index is taken down bit by bit. Raises MetadataKeyNotFound."""
    row = _get(tx, caller.environment_id, key)
    removed = msgspec.structs.replace(
        row,
        state="removing",
        indexed=False,
        declared_in=store.this_transaction(tx),
        position="",
        updated_at=tx.now,
    )
    store.update_key(tx, caller.environment_id, removed)


def declared_in(tx: Transaction, environment_id: str) -> list[KeyRow]:
    """Return the keys whose index is to be kept, as `check` and `keep` need them.

    Requests that only add rows and share a transaction share the look-up.
    """
    if tx.known is None:
        return store.select_keys(tx, environment_id)
    mark = (declared_in, environment_id)
    if mark not in tx.known:
        tx.known[mark] = store.select_keys(tx, environment_id)
    found: list[KeyRow] = tx.known[mark]
    return found


class Holders(msgspec.Struct, frozen=True):
    """Which organizations have the values of unique keys that were asked about; `note` keeps it up to date."""

    by_value: dict[tuple[str, str], set[str]]

    def other_than(self, organization_id: str, key: str, value: str) -> str | None:
        """Return the first other organization that has the value."""
        return min(self.by_value.get((key, value), set()) - {organization_id}, default=None)

    def note(self, organization_id: str, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        """Have those that follow see what an organization's metadata has become."""
        for pair in before.items():
            self.by_value.get(pair, set()).discard(organization_id)
        for pair in after.items():
            if pair in self.by_value:
                self.by_value[pair].add(organization_id)


def holders(
    tx: Transaction, environment_id: str, keys: list[KeyRow], wanted: Iterable[Mapping[str, object]]
) -> Holders:
    """Return who has the values of `wanted` that only one organization may have, as `check` needs it."""
    values: dict[str, set[str]] = {row.key: set() for row in keys if row.unique and _is_enforced(row)}
    for metadata in wanted:
        for key, value in metadata.items():
            if key in values and isinstance(value, str):
                values[key].add(value)
    return Holders(
        {
            (key, value): found
            for key, some in values.items()
            if some
            for value, found in store.select_holders(tx, environment_id, key, sorted(some)).items()
        }
    )


def check(
    keys: list[KeyRow],
    known: Holders,
    organization_id: str,
    before: Mapping[str, str],
    after: Mapping[str, str],
) -> None:
    """Refuse values that an organization newly has and a declared key does not allow.

    Raises InvalidMetadata, MetadataValueAlreadyUsed.
    """
    for row in keys:
        value = after.get(row.key)
        if value is None or value == before.get(row.key) or not _is_enforced(row):
            continue
        if row.values is not None and value not in row.values:
            raise InvalidMetadata(f"metadata value of '{row.key}' must be one of: {', '.join(row.values)}.")
        holder = known.other_than(organization_id, row.key, value) if row.unique else None
        if holder is not None:
            raise MetadataValueAlreadyUsed(row.key, value, holder)


def keep(
    tx: Transaction,
    environment_id: str,
    keys: list[KeyRow],
    organization_id: str,
    before: Mapping[str, str],
    after: Mapping[str, str],
) -> None:
    """Keep the values of declared keys that an organization, already written, now has."""
    for row in keys:
        value = after.get(row.key)
        if value == before.get(row.key):
            continue
        if row.state == "removing" or (value is None and row.state != "checking"):
            store.delete_value(tx, environment_id, organization_id, row.key)
        else:
            unique = value if row.unique and _is_enforced(row) else None
            store.put_value(tx, environment_id, row.key, store.Value(organization_id, value, unique))


def at_work(tx: Transaction) -> list[tuple[str, str]]:
    """Return environment and key of all that `advance` has work with."""
    return store.select_at_work(tx)


def advance(tx: Transaction, environment_id: str, key: str, at_once: int = AT_ONCE) -> bool:
    """Do the next part of what a declared key needs; return whether more of it can be done at once.

    A part is `at_once` organizations. Nothing can be done yet while a transaction is under
    way that began before the key was declared, or removed.
    """
    row = next((each for each in store.select_keys(tx, environment_id) if each.key == key), None)
    if row is None or row.state not in {"checking", "removing"}:
        return False
    if not store.is_seen_by_all(tx, row.declared_in):
        return False
    found = store.select_metadata(tx, environment_id, row.position, at_once)
    if row.state == "removing":
        _remove_some(tx, environment_id, row, [each for each, _ in found], last=len(found) < at_once)
    else:
        metadata = [(each, _decode(text)) for each, text in found]
        _check_some(tx, environment_id, row, metadata, last=len(found) < at_once)
    return len(found) == at_once


def _remove_some(tx: Transaction, environment_id: str, row: KeyRow, ids: list[str], *, last: bool) -> None:
    """Take some organizations out of the index, and the key itself with the last of them."""
    if ids:
        store.delete_values(tx, environment_id, row.key, ids)
    if last:
        store.delete_key(tx, environment_id, row.key)
    else:
        store.update_key(tx, environment_id, msgspec.structs.replace(row, position=ids[-1]))


def _check_some(
    tx: Transaction, environment_id: str, row: KeyRow, found: list[tuple[str, dict[str, str]]], *, last: bool
) -> None:
    """Bring some organizations into the index, and note those that break the rule.

    Of several with a unique value it belongs to the one that was made first. One made since the declaration,
    when the index did not know the value yet, must give it up.
    """
    violations = list(row.violations)
    count = row.violation_count
    values: list[store.Value] = []
    holders: dict[str, str] = {}
    taken: dict[str, str] = {}
    for organization_id, metadata in found:
        value = metadata.get(row.key)
        if value is None:
            continue
        if row.unique and value not in holders:
            earlier = store.select_earlier_holder(tx, environment_id, row.key, value, organization_id)
            holders[value] = earlier or organization_id
        holder = holders.get(value)
        if holder == organization_id:
            holder = None
            taken[value] = organization_id
        if holder is not None or (row.values is not None and value not in row.values):
            count += 1
            violations.append(Violation(organization_id, value, holder))
        unique = value if row.unique and holder is None else None
        values.append(store.Value(organization_id, value, unique))
    if taken:
        store.take_unique_values(tx, environment_id, row.key, taken)
    if values:
        store.put_values(tx, environment_id, row.key, values)
    after = msgspec.structs.replace(
        row,
        position=found[-1][0] if found else row.position,
        checked=row.checked + len(found),
        violation_count=count,
        violations=violations[:_MOST_TOLD],
    )
    if last:
        store.analyze_if_many(tx, after.checked)
        state: MetadataKeyState = "refused" if count else "ready"
        after = msgspec.structs.replace(after, state=state, indexed=True, updated_at=tx.now)
    store.update_key(tx, environment_id, after)


def _is_same_rule(row: KeyRow, body: DeclareMetadataKey) -> bool:
    """Return whether a declaration says of a key what holds already, in whatever order."""
    before, after = (None if values is None else set(values) for values in (row.values, body.values))
    return (row.unique, before) == (body.unique, after)


def _is_enforced(row: KeyRow) -> bool:
    return row.state in {"checking", "ready"}


def _get(tx: Transaction, environment_id: str, key: str) -> KeyRow:
    for row in store.select_keys(tx, environment_id):
        if row.key == key and row.state != "removing":
            return row
    raise MetadataKeyNotFound(key)


def _shown(row: KeyRow) -> MetadataKey:
    return MetadataKey(
        key=row.key,
        unique=row.unique,
        values=row.values,
        state=row.state,
        checked=row.checked,
        violation_count=row.violation_count,
        violations=row.violations,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
