"""Taking organizations in, batch by batch."""

from collections.abc import Iterator
from typing import Any

import pytest

from tenantry.core.db import Database
from tenantry.domains.service import DEFAULT_RULES
from tenantry.organizations import metadata_keys
from tenantry.organizations.imports import Outcome
from tenantry.organizations.wire import DeclareMetadataKey
from tenantry.transfer.service import take_all
from tenantry.transfer.sources import Item, item_of_value
from transfer_places import Place

Json = dict[str, Any]
EARLIER, LATER = "2025-01-01T00:00:00.000Z", "2025-06-01T00:00:00.000Z"


class Given:
    """A source of these objects."""

    name = "given"
    lasts = True

    def __init__(self, objects: list[Json], *, whole: bool = True) -> None:
        self._objects = objects
        self._whole = whole

    def total(self) -> int | None:
        return None

    def position(self) -> int | None:
        return None

    def items(self, after: str | None) -> Iterator[Item]:
        for number, each in enumerate(self._objects, 1):
            if number > int(after or 0):
                yield item_of_value(str(number), each, whole=self._whole)


def organization(number: int, **fields: Any) -> Json:
    return {"id": f"org_01JG{number:022d}", "name": f"Acme {number}", "updated_at": EARLIER} | fields


def domain(number: int, name: str) -> Json:
    return {"id": f"org_domain_01JG{number:022d}", "domain": name, "state": "verified", "updated_at": EARLIER}


def told(
    place: Place, objects: list[Json], *, dry_run: bool = False, whole: bool = True
) -> list[tuple[Outcome, int]]:
    """Return what came of each, and how many problems it had."""
    source = Given(objects, whole=whole)
    batches = take_all(place.database, place.caller, source, DEFAULT_RULES, after=None, dry_run=dry_run)
    return [(taken.outcome, len(taken.problems)) for batch in batches for taken in batch.taken]


def tried_and_done(place: Place, objects: list[Json], *, whole: bool = True) -> list[str]:
    """Return the outcomes, which are the same in a dry run."""
    before = place.shown()
    tried = told(place, objects, dry_run=True, whole=whole)
    assert place.shown() == before
    done = told(place, objects, whole=whole)
    assert tried == done
    return [outcome for outcome, _ in done]


class Paced(Given):
    """A source that gives a page of ten, then takes a second for the next, by a clock of its own."""

    def __init__(self, objects: list[Json]) -> None:
        super().__init__(objects)
        self.now = 0.0

    def items(self, after: str | None) -> Iterator[Item]:
        for number, item in enumerate(super().items(after)):
            if number % 10 == 0:
                self.now += 1.0
            yield item


def test_what_a_slow_source_gives_is_stored_and_told_while_it_is_waited_for(here: Place) -> None:
    source = Paced([organization(number) for number in range(60)])
    batches = take_all(
        here.database,
        here.caller,
        source,
        DEFAULT_RULES,
        after=None,
        dry_run=False,
        seconds=lambda: source.now,
    )
    seen = [(batch.cursor, len(here.shown()), source.now) for batch in batches]
    assert seen == [("10", 10, 2.0), ("30", 30, 4.0), ("50", 50, 6.0), ("60", 60, 6.0)]


FIRST = [organization(number, external_id=f"crm-{number}") for number in range(10)]
# About an organization that came before, so what follows it is a batch of its own.
ANOTHER_BATCH = FIRST[0]


def test_a_dry_run_knows_the_records_that_come_again(here: Place) -> None:
    assert tried_and_done(here, FIRST + FIRST) == ["created"] * 10 + ["unchanged"] * 10


def test_a_dry_run_knows_what_rows_without_ids_would_have_made(here: Place) -> None:
    rows: list[Json] = [
        {"external_id": "a", "name": "Acme", "domains": [{"domain": "acme.com"}]},
        {"external_id": "a", "metadata": {"tier": "gold"}},
        {"external_id": "a", "name": "Acme", "domains": [{"domain": "acme.com"}]},
    ]
    assert tried_and_done(here, rows, whole=False) == ["created", "updated", "unchanged"]


@pytest.mark.parametrize("field", ["external_id", "stripe_customer_id"])
def test_a_dry_run_knows_whose_an_identity_would_be_and_whose_no_more(here: Place, field: str) -> None:
    objects = [
        organization(1) | {field: "x"},
        *([ANOTHER_BATCH] * 2),
        organization(2) | {field: "x"},
        ANOTHER_BATCH,
        organization(1, updated_at=LATER) | {field: "y"},
        organization(3) | {field: "x"},
    ]
    outcomes = tried_and_done(here, objects)
    assert outcomes == ["created", "created", "unchanged", "refused", "unchanged", "updated", "created"]


def test_a_dry_run_knows_whose_the_values_of_a_unique_metadata_key_would_be(here: Place) -> None:
    rule = DeclareMetadataKey(unique=True)
    here.database.write(lambda tx: metadata_keys.declare(tx, here.caller, "account", rule))
    objects = [
        organization(1, metadata={"account": "A"}),
        *([ANOTHER_BATCH] * 2),
        organization(2, metadata={"account": "A"}),
        organization(1, metadata={}, updated_at=LATER),
        organization(3, metadata={"account": "A"}),
    ]
    assert tried_and_done(here, objects) == ["created", "created", "unchanged", "refused", "updated", "created"]


@pytest.mark.parametrize("policy", ["exclusive", "unique"])
def test_a_dry_run_knows_whose_domains_would_be_taken(database: Database, policy: Any) -> None:
    place = Place(database, policy)
    objects = [
        organization(1, domains=[domain(1, "acme.com")]),
        *([ANOTHER_BATCH] * 2),
        organization(2, domains=[domain(1, "acme.io"), domain(2, "acme.com")]),
        organization(1, domains=[], updated_at=LATER),
        organization(3, domains=[domain(1, "acme.org")]),
    ]
    assert tried_and_done(place, objects) == ["created", "created", "unchanged", "created", "updated", "created"]
    assert [[each["domain"] for each in shown["domains"]] for shown in place.shown()[1:]] == [
        [],
        [] if policy == "unique" else ["acme.com"],
        ["acme.org"],
    ]


def test_a_dry_run_sees_what_is_here_as_the_real_run_does(here: Place) -> None:
    told(here, FIRST)
    changed = [each | {"name": "Changed", "updated_at": LATER} for each in FIRST[:5]]
    assert tried_and_done(here, FIRST + changed + FIRST) == (
        ["unchanged"] * 10 + ["updated"] * 5 + ["kept"] * 5 + ["unchanged"] * 5
    )
