"""Declared metadata keys: what is found by them, the rules of their values, and that the index is never wrong."""

import time
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import httpx
import msgspec
import pytest

from metadata_checks import advance
from support import caller_in, grant
from tenantry.core.caller import Caller
from tenantry.core.db import Database, Transaction
from tenantry.core.validation import convert
from tenantry.organizations import metadata_keys, service
from tenantry.organizations.metadata_keys import MOST_DECLARED, MetadataValueAlreadyUsed
from tenantry.organizations.wire import CreateOrganization, DeclareMetadataKey, UpdateOrganization, Violation

_SECONDS = 20.0
_KEYS = "/tenantry/metadata_keys"

Json = dict[str, Any]


def declared(api: httpx.Client, key: str, **rule: Any) -> Json:
    """Declare a key; return it as it is when its check is over."""
    answer = api.put(f"{_KEYS}/{key}", json=rule)
    assert answer.status_code == 202, answer.text
    deadline = time.monotonic() + _SECONDS
    while (shown := api.get(f"{_KEYS}/{key}").json())["state"] == "checking":
        assert time.monotonic() < deadline, shown
        time.sleep(0.05)
    result: Json = shown
    return result


def create(api: httpx.Client, **metadata: str) -> str:
    answer = api.post("/organizations", json={"name": "Acme", "metadata": metadata})
    assert answer.status_code == 201, answer.text
    identity: str = answer.json()["id"]
    return identity


def test_a_declared_key_is_checked_and_ready(api: httpx.Client) -> None:
    create(api, tier="gold")
    create(api)
    shown = declared(api, "tier")
    assert (shown["object"], shown["key"], shown["state"], shown["checked"]) == (
        "metadata_key",
        "tier",
        "ready",
        2,
    )
    assert api.get(_KEYS).json() == {
        "object": "list",
        "data": [shown],
        "list_metadata": {"before": None, "after": None},
    }


def test_the_same_declaration_again_changes_nothing(api: httpx.Client) -> None:
    shown = declared(api, "tier", values=["gold"])
    assert api.put(f"{_KEYS}/tier", json={"values": ["gold"]}).json() == shown


def test_a_value_that_is_not_allowed_is_refused_from_the_declaration_on(api: httpx.Client) -> None:
    api.put(f"{_KEYS}/tier", json={"values": ["gold", "free"]})
    answer = api.post("/organizations", json={"name": "Acme", "metadata": {"tier": "Gold"}})
    assert (answer.status_code, answer.json()) == (
        400,
        {"message": "metadata value of 'tier' must be one of: gold, free.", "code": "invalid_metadata"},
    )
    identity = create(api, tier="gold")
    answer = api.put(f"/organizations/{identity}", json={"metadata": {"tier": "lead"}})
    assert answer.json()["code"] == "invalid_metadata"
    assert api.get(f"/organizations/{identity}").json()["metadata"] == {"tier": "gold"}


def test_a_second_organization_with_a_unique_value_is_refused_by_name(api: httpx.Client) -> None:
    declared(api, "account", unique=True)
    first, other = create(api, account="A-1"), create(api, account="A-2")
    answer = api.post("/organizations", json={"name": "Acme", "metadata": {"account": "A-1"}})
    assert (answer.status_code, answer.json()) == (
        400,
        {
            "message": f"The metadata value 'A-1' of 'account' is already used by organization '{first}'.",
            "code": "metadata_value_already_used",
        },
    )
    answer = api.put(f"/organizations/{other}", json={"metadata": {"account": "A-1"}})
    assert answer.json()["code"] == "metadata_value_already_used"
    assert (
        api.put(f"/organizations/{first}", json={"metadata": {"account": "A-1"}, "name": "B"}).status_code == 200
    )
    api.delete(f"/organizations/{first}")
    assert api.put(f"/organizations/{other}", json={"metadata": {"account": "A-1"}}).status_code == 200


def test_what_stands_in_the_way_is_told_and_the_rule_is_off_until_it_is_mended(api: httpx.Client) -> None:
    first, second, third = create(api, account="A"), create(api, account="A"), create(api, account="B")
    shown = declared(api, "account", unique=True)
    assert (shown["state"], shown["violation_count"]) == ("refused", 1)
    assert shown["violations"] == [{"organization_id": second, "value": "A", "holder_id": first}]
    assert api.put(f"/organizations/{third}", json={"metadata": {"account": "A"}}).status_code == 200
    for identity, value in ((second, "C"), (third, "D")):
        api.put(f"/organizations/{identity}", json={"metadata": {"account": value}})
    assert declared(api, "account", unique=True)["state"] == "ready"
    assert api.put(f"/organizations/{third}", json={"metadata": {"account": "A"}}).status_code == 400


def test_values_that_are_not_allowed_are_counted_and_the_first_ten_told(api: httpx.Client) -> None:
    ids = [create(api, tier="lead") for _ in range(12)]
    create(api, tier="gold")
    shown = declared(api, "tier", values=["gold"])
    assert (shown["state"], shown["checked"], shown["violation_count"]) == ("refused", 13, 12)
    assert shown["violations"] == [
        {"organization_id": each, "value": "lead", "holder_id": None} for each in sorted(ids)[:10]
    ]


def test_a_key_that_is_removed_has_no_rule_and_can_be_declared_anew(api: httpx.Client) -> None:
    declared(api, "tier", values=["gold"])
    assert api.delete(f"{_KEYS}/tier").status_code == 202
    answer = api.get(f"{_KEYS}/tier")
    assert (answer.status_code, answer.json()["message"]) == (404, "Metadata key not found: 'tier'.")
    assert api.delete(f"{_KEYS}/tier").status_code == 404
    identity = create(api, tier="lead")
    assert declared(api, "tier")["state"] == "ready"
    assert [each["id"] for each in api.get("/organizations?metadata[tier]=lead").json()["data"]] == [identity]


def test_environments_declare_for_themselves(api: httpx.Client, unique_api: httpx.Client) -> None:
    declared(api, "tier", values=["gold"], unique=True)
    create(api, tier="gold")
    assert [create(unique_api, tier=tier) for tier in ("gold", "gold", "lead")]
    assert unique_api.get(f"{_KEYS}/tier").status_code == 404


def test_a_key_may_hold_a_slash(api: httpx.Client) -> None:
    assert api.put(f"{_KEYS}/crm%2Ftier", json={}).json()["key"] == "crm/tier"
    assert api.get(f"{_KEYS}/crm/tier").status_code == 200


@pytest.mark.parametrize(
    ("key", "body", "status", "code"),
    [
        ("k" * 41, {}, 400, "invalid_metadata"),
        ("a%00", {}, 404, None),
        ("tier", {"values": []}, 422, None),
        ("tier", {"values": ["x" * 601]}, 422, None),
        ("tier", {"values": ["a\0"]}, 422, None),
        ("tier", {"unique": "yes"}, 422, None),
    ],
)
def test_what_cannot_be_declared_is_refused(
    api: httpx.Client, key: str, body: Json, status: int, code: str | None
) -> None:
    answer = api.put(f"{_KEYS}/{key}", json=body)
    assert (answer.status_code, answer.json().get("code")) == (status, code)


def test_an_environment_declares_so_many_keys_and_no_more(database: Database) -> None:
    caller = caller_in(grant(database).environment_id)
    for number in range(MOST_DECLARED):
        database.write(lambda tx, n=number: metadata_keys.declare(tx, caller, f"k{n}", DeclareMetadataKey()))  # type: ignore[misc]
    with pytest.raises(metadata_keys.TooManyMetadataKeys):
        database.write(lambda tx: metadata_keys.declare(tx, caller, "more", DeclareMetadataKey()))


class Changes:
    """Changes of organizations one after the other, as one client makes them."""

    def __init__(self, database: Database, caller: Caller, seed: int) -> None:
        self._database = database
        self._caller = caller
        self._random = Random(seed)
        self._ids: list[str] = []

    def make(self) -> None:
        for _ in range(10):
            self._create()
        for _ in range(40):
            self._random.choice([self._create, self._update, self._update, self._delete])()

    def _create(self) -> None:
        body = convert({"name": "Acme", "metadata": _metadata(self._random)}, CreateOrganization, strict=True)
        made = self._database.write(lambda tx: service.create(tx, self._caller, body))
        self._ids.append(msgspec.json.decode(made)["id"])

    def _update(self) -> None:
        identity = self._random.choice(self._ids)
        given = {"metadata": {"tier": self._random.choice(["a", "b", None])}}
        body = convert(given, UpdateOrganization, strict=True)
        self._database.write(lambda tx: service.update(tx, self._caller, identity, body))

    def _delete(self) -> None:
        if len(self._ids) > 1:
            identity = self._ids.pop(self._random.randrange(len(self._ids)))
            self._database.write(lambda tx: service.delete(tx, self._caller, identity))


def test_the_index_is_right_when_a_key_is_declared_while_organizations_change(database: Database) -> None:
    """Whatever overlaps with the declaration, the check and the removal, also where snapshots are old."""
    environment_id = grant(database).environment_id
    caller = caller_in(environment_id)
    with ThreadPoolExecutor(4) as threads:
        clients = [threads.submit(Changes(database, caller, seed).make) for seed in range(4)]
        for parts in (None, 3, None, 2, None):
            database.write(lambda tx: metadata_keys.declare(tx, caller, "tier", DeclareMetadataKey()))
            advance(database, environment_id, "tier", at_once=3, parts=parts)
            if parts is not None:
                database.write(lambda tx: metadata_keys.remove(tx, caller, "tier"))
                advance(database, environment_id, "tier", at_once=3, parts=parts)
        for client in clients:
            client.result()
    advance(database, environment_id, "tier", at_once=3)
    kept, there = database.read(lambda tx: (_kept(tx, environment_id), _there(tx, environment_id)))
    assert kept == there


def _metadata(random: Random) -> dict[str, str]:
    return {"tier": random.choice("abc")} if random.random() < 0.8 else {}


def _kept(tx: Transaction, environment_id: str) -> dict[str, str]:
    rows = tx.all(
        "SELECT organization_id, value FROM organization_metadata"
        " WHERE environment_id = :environment_id AND key = 'tier' AND value IS NOT NULL",
        environment_id=environment_id,
    )
    return {row[0]: row[1] for row in rows}


def _there(tx: Transaction, environment_id: str) -> dict[str, str]:
    rows = tx.all(
        "SELECT id, metadata FROM organizations WHERE environment_id = :environment_id",
        environment_id=environment_id,
    )
    found = {row[0]: msgspec.json.decode(row[1]).get("tier") for row in rows}
    return {identity: tier for identity, tier in found.items() if tier is not None}


def test_of_organizations_that_take_a_unique_value_at_once_one_gets_it(database: Database) -> None:
    environment_id = grant(database).environment_id
    caller = caller_in(environment_id)
    database.write(lambda tx: metadata_keys.declare(tx, caller, "account", DeclareMetadataKey(unique=True)))
    body = convert({"name": "Acme", "metadata": {"account": "A"}}, CreateOrganization, strict=True)

    def take(_number: int) -> bool:
        try:
            database.write(lambda tx: service.create(tx, caller, body))
        except MetadataValueAlreadyUsed:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(take, range(8))) == 1


def given_account(database: Database, caller: Caller, account: str) -> str:
    body = convert({"name": "Acme", "metadata": {"account": account}}, CreateOrganization, strict=True)
    made = database.write(lambda tx: service.create(tx, caller, body))
    identity: str = msgspec.json.decode(made)["id"]
    return identity


def test_of_two_with_one_value_while_a_key_is_checked_the_later_made_is_told_once(database: Database) -> None:
    """Wherever the check has come to when the later is made."""
    environment_id = grant(database).environment_id
    caller = caller_in(environment_id)
    given_account(database, caller, "other")
    first = given_account(database, caller, "A")
    database.write(lambda tx: metadata_keys.declare(tx, caller, "account", DeclareMetadataKey(unique=True)))
    advance(database, environment_id, "account", at_once=1, parts=1)
    later = given_account(database, caller, "A")
    advance(database, environment_id, "account", at_once=1)
    shown = database.read(lambda tx: metadata_keys.get(tx, caller, "account"))
    assert (shown.state, shown.violation_count) == ("refused", 1)
    assert shown.violations == [Violation(later, "A", first)]


def test_a_value_that_the_check_has_come_to_is_not_given_again(database: Database) -> None:
    environment_id = grant(database).environment_id
    caller = caller_in(environment_id)
    given_account(database, caller, "A")
    given_account(database, caller, "B")
    database.write(lambda tx: metadata_keys.declare(tx, caller, "account", DeclareMetadataKey(unique=True)))
    advance(database, environment_id, "account", at_once=1, parts=1)
    with pytest.raises(MetadataValueAlreadyUsed):
        given_account(database, caller, "A")
    advance(database, environment_id, "account", at_once=1)
    assert database.read(lambda tx: metadata_keys.get(tx, caller, "account")).state == "ready"


def test_a_key_that_is_being_removed_does_not_count_up_to_a_limit(database: Database) -> None:
    caller = caller_in(grant(database).environment_id)

    def declare(name: str) -> None:
        database.write(lambda tx: metadata_keys.declare(tx, caller, name, DeclareMetadataKey()))

    def remove(name: str) -> None:
        database.write(lambda tx: metadata_keys.remove(tx, caller, name))

    for number in range(MOST_DECLARED):
        declare(f"k{number}")
    remove("k0")
    declare("new")
    with pytest.raises(metadata_keys.TooManyMetadataKeys, match="Remove one first"):
        declare("k0")
    remove("new")
    declare("k0")
    for number in range(MOST_DECLARED - 1):
        remove(f"k{number}")
        declare(f"again{number}")
    remove("again0")
    with pytest.raises(metadata_keys.TooManyMetadataKeys, match="being removed"):
        declare("more")


def test_the_same_values_in_another_order_change_nothing(api: httpx.Client) -> None:
    shown = declared(api, "tier", values=["gold", "free"])
    assert api.put(f"{_KEYS}/tier", json={"values": ["free", "gold"]}).json() == shown


def test_of_a_key_that_many_organizations_have_postgres_knows_the_values(postgres_only: Database) -> None:
    environment_id = grant(postgres_only).environment_id
    caller = caller_in(environment_id)
    bodies = [CreateOrganization(name="Acme", metadata={"account": f"A-{number}"}) for number in range(600)]
    postgres_only.write(lambda tx: [service.create(tx, caller, body) for body in bodies])
    postgres_only.write(lambda tx: metadata_keys.declare(tx, caller, "account", DeclareMetadataKey()))
    advance(postgres_only, environment_id, "account", at_once=500)
    known = postgres_only.read(
        lambda tx: tx.one(
            "SELECT n_distinct FROM pg_stats WHERE schemaname = current_schema()"
            " AND tablename = 'organization_metadata' AND attname = 'value'"
        )
    )
    assert known == (-1,)  # as many values as rows
