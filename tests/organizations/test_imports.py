"""Taking in whole organizations, as another directory has them."""

import sys
from collections.abc import Callable
from contextlib import closing
from typing import Any, LiteralString, cast

import msgspec
import pytest

from metadata_checks import advance
from registry import Registry
from support import events_of
from tenantry.core.clock import timestamp
from tenantry.core.db import Database, Row, Transaction
from tenantry.core.validation import convert
from tenantry.domains.service import DEFAULT_RULES
from tenantry.organizations import metadata_keys, service
from tenantry.organizations.imports import Given, Taken, Trial, take_in
from tenantry.organizations.wire import (
    DeclareMetadataKey,
    ListOrganizations,
    OrganizationRecord,
    UpdateOrganization,
)

Json = dict[str, Any]
EVERYTHING = ListOrganizations(limit=100)
EARLIER, LATER = "2025-01-01T00:00:00.000Z", "2025-06-01T00:00:00.000Z"
MUCH_LATER = "2999-01-01T00:00:00.000Z"


def org_id(number: int) -> str:
    return f"org_01JG{number:022d}"


def domain_id(number: int) -> str:
    return f"org_domain_01JG{number:022d}"


def whole(number: int = 1, **fields: Any) -> Json:
    """Return an organization as the wire has it."""
    return {
        "object": "organization",
        "id": org_id(number),
        "name": f"Acme {number}",
        "allow_profiles_outside_organization": False,
        "created_at": EARLIER,
        "updated_at": EARLIER,
        "domains": [],
        "metadata": {},
        "external_id": None,
    } | fields


def domain(number: int = 1, name: str = "acme.com", **fields: Any) -> Json:
    """Return a domain, one that the DNS has verified, as the wire has it."""
    return {
        "object": "organization_domain",
        "id": domain_id(number),
        "organization_id": org_id(1),
        "domain": name,
        "state": "verified",
        "verification_strategy": "dns",
        "verification_prefix": "app-domain-verification-000001",
        "verification_token": "m5Oztg3jdK4NJLgs8uIlIprMw",
        "created_at": EARLIER,
        "updated_at": EARLIER,
    } | fields


class Target:
    """An environment that takes organizations in."""

    def __init__(self, database: Database, registry: Registry) -> None:
        self.database = database
        self.registry = registry

    def take(self, *objects: Json, as_whole: bool = True, trial: Trial | None = None) -> list[Taken]:
        given = [Given(convert(each, OrganizationRecord, strict=True), as_whole) for each in objects]
        return self.database.write(lambda tx: take_in(tx, self.registry.caller, given, DEFAULT_RULES, trial=trial))

    def outcomes(self, *objects: Json, as_whole: bool = True) -> list[str]:
        return [taken.outcome for taken in self.take(*objects, as_whole=as_whole)]

    def shown(self, query: ListOrganizations = EVERYTHING) -> list[Json]:
        page = self.database.read(lambda tx: service.list_page(tx, self.registry.caller, query))
        return [msgspec.json.decode(each) for each in reversed(page.data)]

    def events(self) -> list[str]:
        return [str(each["event"]) for each in events_of(self.database, self.registry.caller.environment_id)]


@pytest.fixture
def target(database: Database, now: list[int]) -> Target:
    return Target(database, Registry(database, now))


@pytest.fixture
def unique(database: Database, now: list[int]) -> Target:
    return Target(database, Registry(database, now, policy="unique"))


def test_everything_of_an_organization_is_kept(target: Target) -> None:
    """Ids, times, metadata, external ids, and domains with their records are as they were."""
    given = whole(external_id="crm-1", stripe_customer_id="cus_1", metadata={"tier": "gold"}, domains=[domain()])
    assert target.take(given) == [Taken("created", org_id(1), [])]
    assert target.shown() == [given]
    assert target.events() == ["organization.created", "organization_domain.created"]


def test_what_is_taken_in_is_found_by_everything_that_finds(target: Target) -> None:
    target.take(whole(name="Kestrel Foods", external_id="crm-1", domains=[domain()]), whole(2))
    for query in (ListOrganizations(search="strel"), ListOrganizations(domains=["acme.com"])):
        assert [each["id"] for each in target.shown(query)] == [org_id(1)]
    found = target.database.read(lambda tx: service.get_by_external_id(tx, target.registry.caller, "crm-1"))
    assert msgspec.json.decode(found)["id"] == org_id(1)


def test_taking_the_same_in_again_changes_nothing(target: Target) -> None:
    given = [whole(), whole(2, domains=[domain(), domain(2, "acme.io", state="pending")])]
    target.take(*given)
    events = target.events()
    assert target.outcomes(*given) == ["unchanged", "unchanged"]
    assert target.events() == events


def test_a_later_state_takes_the_place_of_the_earlier(target: Target) -> None:
    target.take(whole(metadata={"a": "1", "b": "2"}, stripe_customer_id="cus_1"))
    after = whole(name="Acme Inc", metadata={"a": "1"}, updated_at=LATER)
    assert target.outcomes(after) == ["updated"]
    assert target.shown() == [after]
    assert target.events()[-1] == "organization.updated"


def test_what_was_changed_here_later_stays_and_is_told(target: Target) -> None:
    target.take(whole())
    body = UpdateOrganization(name="Changed here")
    target.database.write(lambda tx: service.update(tx, target.registry.caller, org_id(1), body))
    (taken,) = target.take(whole(updated_at=LATER))
    assert (taken.outcome, taken.problems[0].field) == ("kept", "updated_at")
    assert target.shown()[0]["name"] == "Changed here"


def test_a_domain_that_was_verified_here_meanwhile_stays_so(target: Target, now: list[int]) -> None:
    given = whole(domains=[domain(state="pending")])
    target.take(given)
    target.registry.check(**{domain_id(1): True})
    assert target.shown()[0]["domains"][0]["state"] == "verified"
    assert target.outcomes(given) == ["unchanged"]
    assert target.shown()[0]["domains"][0]["state"] == "verified"


def test_a_domain_that_went_there_goes_here_and_one_made_here_since_stays(target: Target) -> None:
    target.take(whole(domains=[domain(), domain(2, "acme.io")]))
    target.registry.claim(org_id(1), "made-here.com")
    assert target.outcomes(whole(domains=[domain()])) == ["updated"]
    assert {each["domain"] for each in target.shown()[0]["domains"]} == {"acme.com", "made-here.com"}
    assert target.events()[-1] == "organization_domain.deleted"


def test_a_domain_verified_there_meanwhile_is_so_here(target: Target) -> None:
    target.take(whole(domains=[domain(state="pending")]))
    after = whole(domains=[domain(updated_at=LATER)])
    assert target.outcomes(after) == ["updated"]
    assert target.shown() == [after]
    assert target.events()[2:] == ["organization_domain.verified"]


def test_pending_domains_are_checked_at_once_and_verified_ones_within_a_day(
    target: Target, now: list[int]
) -> None:
    target.take(whole(domains=[domain(1, "acme.io", state="pending"), domain(2), domain(3, "by-hand.com")]))
    rows = target.database.read(
        lambda tx: tx.all("SELECT id, due_at, verified_at FROM organization_domains ORDER BY id")
    )
    assert rows[0][1:] == (now[0], None)
    for _, due_at, verified_at in rows[1:]:
        assert now[0] <= due_at < now[0] + 24 * 60 * 60 * 1000
        assert verified_at == EARLIER


def test_a_domain_that_cannot_come_leaves_its_organization_whole(target: Target) -> None:
    (taken,) = target.take(whole(domains=[domain(1, "gmail.com"), domain(2, "co.uk"), domain(3)]))
    assert taken.outcome == "created"
    assert [problem.field for problem in taken.problems] == ["domains.0", "domains.1"]
    assert "gmail.com must not be a consumer mail domain" in taken.problems[0].code
    assert [each["domain"] for each in target.shown()[0]["domains"]] == ["acme.com"]


def test_where_domains_are_unique_the_second_organization_comes_without(unique: Target) -> None:
    taken = unique.take(whole(domains=[domain()]), whole(2, domains=[domain(2)]))
    assert [len(each.problems) for each in taken] == [0, 1]
    assert org_id(1) in taken[1].problems[0].code


def test_a_domain_that_one_lets_go_of_another_may_have(unique: Target) -> None:
    unique.take(whole(domains=[domain()]))
    given = [whole(domains=[], updated_at=LATER), whole(2, domains=[domain(organization_id=org_id(2))])]
    assert [(each.outcome, each.problems) for each in unique.take(*given)] == [("updated", []), ("created", [])]
    assert unique.shown() == given
    assert unique.events()[2:] == [
        "organization_domain.deleted",
        "organization.updated",
        "organization.created",
        "organization_domain.created",
    ]


def test_a_domain_id_of_another_organization_is_refused(target: Target) -> None:
    target.take(whole(domains=[domain()]))
    (taken,) = target.take(whole(2, domains=[domain(1, "other.com")]))
    assert taken.problems[0].field == "domains.0"


@pytest.mark.parametrize("field", ["external_id", "stripe_customer_id"])
def test_a_second_organization_with_the_same_identity_is_refused_and_the_others_come(
    target: Target, field: str
) -> None:
    target.take(whole() | {field: "x-1"})
    taken = target.take(whole(2) | {field: "x-1"}, whole(3) | {field: "x-2"}, whole(4) | {field: "x-2"})
    assert [each.outcome for each in taken] == ["refused", "created", "refused"]
    assert [problem.field for each in taken for problem in each.problems] == [field, field]
    assert org_id(1) in taken[0].problems[0].code


def test_an_external_id_that_one_lets_go_of_another_may_have(target: Target) -> None:
    target.take(whole(external_id="crm-1"))
    given = [whole(external_id="crm-2", updated_at=LATER), whole(2, external_id="crm-1")]
    assert target.outcomes(*given) == ["updated", "created"]


@pytest.mark.parametrize("field", ["external_id", "stripe_customer_id"])
def test_what_two_have_changed_between_them_comes(target: Target, field: str) -> None:
    target.take(*(whole(number) | {field: f"x-{number}"} for number in (1, 2, 3)))
    given = [
        whole(1, updated_at=LATER) | {field: "x-2"},
        whole(2, updated_at=LATER) | {field: "x-1"},
        whole(4) | {field: "x-3"},
        whole(3, updated_at=LATER) | {field: "x-4"},
    ]
    with closing(Trial()) as trial:
        tried = target.take(*given, trial=trial)
    assert target.take(*given) == tried
    assert [taken.outcome for taken in tried] == ["updated", "updated", "created", "updated"]
    assert {each["id"]: each[field] for each in target.shown()} == {each["id"]: each[field] for each in given}


@pytest.mark.parametrize("later", [{"external_id": "taken"}, {"updated_at": "2024-01-01T00:00:00.000Z"}])
def test_what_an_organization_does_not_come_to_let_go_of_stays_its_own(target: Target, later: Json) -> None:
    """What wanted it is refused, and what wanted that in turn, however many they are."""
    target.take(whole(9, external_id="taken"), *(whole(number, external_id=f"x-{number}") for number in range(8)))
    before = target.shown()
    given = [whole(number, external_id=f"x-{number + 1}", updated_at=LATER) for number in range(7)]
    given.append(whole(7, external_id="free", updated_at=LATER) | later)
    outcomes = target.outcomes(*given)
    assert outcomes[:7] == ["refused"] * 7
    assert outcomes[7] in {"refused", "kept"}
    assert target.shown() == before


def test_a_row_that_has_no_id_is_about_whose_external_id_it_is_before_it_changes(target: Target) -> None:
    target.take(whole(external_id="x-1"))
    row = {"external_id": "x-1", "name": "Renamed", "updated_at": EARLIER}
    assert target.outcomes(row, whole(external_id="x-2", updated_at=MUCH_LATER)) == ["updated", "updated"]
    (shown,) = target.shown()
    assert (shown["name"], shown["external_id"]) == ("Acme 1", "x-2")


def test_without_an_id_the_external_id_tells_which_one_it_is(target: Target) -> None:
    row = {
        "external_id": "crm-1",
        "name": "Acme",
        "metadata": {"tier": "gold"},
        "domains": [{"domain": "acme.com"}],
    }
    assert target.outcomes(row, as_whole=False) == ["created"]
    (made,) = target.shown()
    assert made["domains"][0]["state"] == "pending"
    assert target.outcomes(row, as_whole=False) == ["unchanged"]
    assert target.outcomes({"external_id": "crm-1", "metadata": {"seats": "5"}}, as_whole=False) == ["updated"]
    (shown,) = target.shown()
    assert shown["metadata"] == {"tier": "gold", "seats": "5"}
    assert (shown["name"], shown["domains"]) == (made["name"], made["domains"])


@pytest.mark.parametrize("row", [{"name": "Acme"}, {"external_id": "crm-1"}])
def test_what_could_not_be_found_again_or_has_no_name_is_refused(target: Target, row: Json) -> None:
    assert target.outcomes(row) == ["refused"]


def test_a_dry_run_tells_the_same_and_writes_nothing(target: Target) -> None:
    given = [whole(external_id="x", domains=[domain()]), whole(2, external_id="x")]
    with closing(Trial()) as trial:
        tried = target.take(*given, trial=trial)
    assert target.shown() == []
    assert target.events() == []
    assert tried == target.take(*given)


class Meanwhile:
    """A transaction, with something that others do after its first query."""

    def __init__(self, tx: Transaction, others: Callable[[], object]) -> None:
        self._tx = tx
        self._others: list[Callable[[], object]] = [others]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    def all(self, sql: LiteralString, **parameters: object) -> list[Row]:
        rows = self._tx.all(sql, **parameters)
        while self._others:
            self._others.pop()()
        return rows


def test_what_goes_while_a_dry_run_looks_is_not_here(target: Target) -> None:
    """On SQLite a read is of one moment, so that it is still here."""
    target.take(whole(external_id="crm-1"))
    caller, database = target.registry.caller, target.database
    record = convert({"external_id": "crm-1", "name": "Acme 1"}, OrganizationRecord, strict=True)
    given = [Given(record, whole=False)]

    def others() -> None:
        database.write(lambda tx: service.delete(tx, caller, org_id(1)))

    def look(tx: Transaction) -> list[Taken]:
        return take_in(cast("Transaction", Meanwhile(tx, others)), caller, given, DEFAULT_RULES, trial=trial)

    with closing(Trial()) as trial:
        (taken,) = database.read(look)
    assert taken.outcome == ("unchanged" if database.engine == "sqlite" else "created")


def test_a_change_at_the_same_time_gets_a_later_one(target: Target, now: list[int]) -> None:
    target.take(whole())
    assert target.outcomes(whole(name="Edited in a table")) == ["updated"]
    assert target.shown()[0]["updated_at"] == timestamp(now[0])


def test_nothing_crosses_an_environment(target: Target, database: Database, now: list[int]) -> None:
    other = Target(database, Registry(database, now))
    target.take(whole(external_id="x", domains=[domain()]))
    assert other.outcomes(whole(external_id="x", domains=[domain()])) == ["created"]


def test_the_rules_of_declared_metadata_keys_hold_among_records_taken_in_together(target: Target) -> None:
    caller = target.registry.caller
    for key, rule in (("account", DeclareMetadataKey(unique=True)), ("tier", DeclareMetadataKey(values=["gold"]))):
        target.database.write(lambda tx, key=key, rule=rule: metadata_keys.declare(tx, caller, key, rule))  # type: ignore[misc]
    taken = target.take(
        whole(1, metadata={"account": "A", "tier": "gold"}),
        whole(2, metadata={"account": "A"}),
        whole(3, metadata={"account": "B", "tier": "lead"}),
    )
    assert [each.outcome for each in taken] == ["created", "refused", "refused"]
    assert taken[1].problems[0].code == (
        f"The metadata value 'A' of 'account' is already used by organization '{org_id(1)}'."
    )
    moved = target.take(
        whole(1, metadata={"account": "C"}, updated_at=LATER),
        whole(2, metadata={"account": "A"}, updated_at=LATER),
    )
    assert [each.outcome for each in moved] == ["updated", "created"]
    advance(target.database, caller.environment_id, "account", at_once=10)
    found = target.database.read(
        lambda tx: service.list_page(tx, caller, ListOrganizations(metadata={"account": ["A"]}))
    )
    assert [msgspec.json.decode(each)["id"] for each in found.data] == [org_id(2)]


def calls_of(work: Callable[[], object]) -> int:
    """Return how many functions `work` calls, those of Python itself among them."""
    count = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def test_a_record_is_no_more_work_among_many_where_a_unique_key_is_declared(target: Target) -> None:
    caller = target.registry.caller
    target.database.write(lambda tx: metadata_keys.declare(tx, caller, "account", DeclareMetadataKey(unique=True)))
    given = [whole(number, metadata={"account": f"A-{number}"}) for number in range(660)]
    target.take(*given[:10])
    few = calls_of(lambda: target.take(*given[10:60]))
    many = calls_of(lambda: target.take(*given[60:660]))
    assert many < 12 * few * 1.2
