"""A seed makes what is missing, all of it or nothing; what is there stays, and can be written as a seed."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support import caller_in, events_of, open_migrated
from tenantry.core.addresses import networks
from tenantry.core.db import Database
from tenantry.core.targets import TargetPolicy
from tenantry.domains.service import DomainRules
from tenantry.environments import service as environments
from tenantry.lab.seeding import Planted, exported, plant, written
from tenantry.lab.seeds import SeedRefused, read
from tenantry.organizations import service as organizations
from tenantry.organizations.wire import UpdateOrganization
from tenantry.webhooks import imports as endpoint_imports

MAIN = "Development"
POLICY = TargetPolicy(http=True, networks=networks("127.0.0.0/8"))
RULES = DomainRules()
TABLES = (
    *("environments", "api_keys", "organizations", "organization_domains", "events"),
    *("webhook_endpoints", "webhook_deliveries"),
)
SEED = """\
organizations:
  - id: org_01EHWNCE74X7JSDV0X3SZ3KJNY
    name: Acme
    external_id: acme
    stripe_customer_id: cus_1
    metadata: {tier: gold, "on": "yes"}
    domains:
      - {domain: acme.com, state: verified}
      - {domain: acme.example}
  - name: Globex
    allow_profiles_outside_organization: true
webhookEndpoints:
  - endpoint_url: http://127.0.0.1:5005/hook
    events: []
    secret: whsec_known
  - {endpoint_url: http://127.0.0.1:5006/hook, events: [organization.created], enabled: false}
apiKeys:
  sk_test_ci: {environment: test}
events:
  - event: user.created
    data: {object: user, id: user_01, email: alice@acme.com}
  - event: user.created
    data: {object: user, id: user_01, email: alice@acme.com}
environments:
  - name: Staging
    slug: acme-staging
    domain_policy: shared
    organizations:
      - name: Acme
"""


def planted(database: Database, text: str = SEED) -> Planted:
    return plant(database, read("tenantry.yaml", text)[0], MAIN, RULES, POLICY, retention_days=90)


def refused(database: Database, text: str) -> str:
    with pytest.raises(SeedRefused) as told:
        planted(database, text)
    return str(told.value)


def rows(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """Return everything that a seed could touch."""
    return {
        table: sorted(
            database.read(lambda tx, table=table: tx.all(f"SELECT * FROM {table}")),  # type: ignore[misc]
            key=repr,
        )
        for table in TABLES
    }


def environment_id(database: Database, name: str = MAIN) -> str:
    return database.read(lambda tx: environments.get_environment(tx, name)).id


def file_of(database: Database) -> str:
    return written(database.read(lambda tx: exported(tx, MAIN, others=True)))


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    opened = open_migrated(f"sqlite:///{tmp_path_factory.mktemp('seeding') / 'seeds.db'}")
    yield opened
    opened.close()


@pytest.fixture
def seeded(database: Database) -> Database:
    """A database with the environment of the known key and the whole seed in it."""
    database.write(lambda tx: environments.create_environment(tx, MAIN, slug="tenantry"))
    planted(database)
    return database


def test_a_seed_makes_all_that_it_says(seeded: Database) -> None:
    caller = caller_in(environment_id(seeded))
    acme = seeded.read(lambda tx: organizations.get_by_external_id(tx, caller, "acme"))
    shown = msgspec.json.decode(msgspec.json.encode(acme))
    assert shown["id"] == "org_01EHWNCE74X7JSDV0X3SZ3KJNY"
    assert shown["metadata"] == {"tier": "gold", "on": "yes"}
    assert shown["stripe_customer_id"] == "cus_1"
    assert shown["created_at"] == "2020-09-10T18:45:27.908Z"
    assert {each["domain"]: each["state"] for each in shown["domains"]} == {
        "acme.com": "verified",
        "acme.example": "pending",
    }
    endpoints = seeded.read(lambda tx: endpoint_imports.records(tx, caller))
    assert [(each.endpoint_url, each.status, each.events) for each in endpoints] == [
        ("http://127.0.0.1:5005/hook", "enabled", []),
        ("http://127.0.0.1:5006/hook", "disabled", ["organization.created"]),
    ]
    assert endpoints[0].secret == "whsec_known"
    assert seeded.read(lambda tx: environments.authenticate(tx, "Bearer sk_test_ci")).environment_id == (
        environment_id(seeded)
    )
    staging = seeded.read(lambda tx: environments.get_environment(tx, "Staging"))
    assert (staging.slug, staging.domain_policy) == ("acme-staging", "shared")


def test_events_of_a_seed_follow_those_of_its_organizations(seeded: Database) -> None:
    events = events_of(seeded, environment_id(seeded))
    assert [each["event"] for each in events] == [
        *("organization.created", "organization_domain.created", "organization_domain.created"),
        *("organization.created", "user.created", "user.created"),
    ]
    assert events[-1]["data"] == {"object": "user", "id": "user_01", "email": "alice@acme.com"}
    assert events[-1]["id"] != events[-2]["id"]


def test_a_restart_on_a_kept_database_changes_nothing(seeded: Database, now: list[int]) -> None:
    before = rows(seeded)
    for _ in range(2):
        now[0] += 24 * 60 * 60 * 1000
        assert planted(seeded) == Planted(organizations=0, events=0)
        assert rows(seeded) == before


def test_what_was_changed_since_stays_as_it_is(seeded: Database) -> None:
    caller = caller_in(environment_id(seeded))
    globex = read("tenantry.yaml", SEED)[0].environments[0].organizations[1]
    change = UpdateOrganization(name="Globex Inc")
    seeded.write(lambda tx: organizations.update(tx, caller, str(globex.id), change, RULES))
    before = rows(seeded)
    planted(seeded)
    assert rows(seeded) == before


def test_a_seed_that_has_grown_adds_what_is_new_alone(seeded: Database) -> None:
    before = rows(seeded)["organizations"]
    assert planted(seeded, "organizations: [{name: Initech}, {name: Globex}]").organizations == 1
    after = rows(seeded)["organizations"]
    assert [row for row in after if row in before] == before
    assert len(after) == len(before) + 1


def test_an_endpoint_whose_url_was_changed_in_the_file_stays_as_it_is(seeded: Database) -> None:
    text = file_of(seeded)
    assert "http://127.0.0.1:5005/hook" in text
    before = rows(seeded)
    planted(seeded, text.replace("5005/hook", "5005/other"))
    assert rows(seeded) == before


def test_an_event_past_its_time_is_not_put_in_again(seeded: Database) -> None:
    old = """
        events:
          - {event: user.created, data: {}, created_at: "2020-01-01T00:00:00.000Z"}
        """
    assert planted(seeded, old).events == 0


def test_what_a_seed_puts_in_is_not_delivered_and_what_comes_later_is(seeded: Database) -> None:
    assert rows(seeded)["webhook_deliveries"] == []


def test_an_export_is_a_seed_that_makes_the_same_again(seeded: Database) -> None:
    text = file_of(seeded)
    seed, warnings = read("tenantry.yaml", text)
    assert warnings == []
    before = rows(seeded)
    planted(seeded, text)
    assert rows(seeded) == before
    for environment in seed.environments:
        assert all(each.created_at and each.updated_at for each in environment.organizations)


def test_an_export_taken_in_elsewhere_exports_the_same(seeded: Database, tmp_path: Path) -> None:
    text = file_of(seeded)
    other = open_migrated(f"sqlite:///{tmp_path / 'other.db'}")
    other.write(lambda tx: environments.create_environment(tx, MAIN, slug="tenantry"))
    planted(other, text)
    assert file_of(other) == text
    other.close()


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
ascii_texts = st.text(st.characters(max_codepoint=127, exclude_characters="\0"), min_size=1, max_size=20)
organizations_of_a_seed = st.fixed_dictionaries(
    {"name": texts, "external_id": ascii_texts},
    optional={
        "metadata": st.dictionaries(st.text("abc:_-#", min_size=1, max_size=6), texts, max_size=3),
        "allow_profiles_outside_organization": st.booleans(),
        "domains": st.lists(
            st.fixed_dictionaries(
                {"domain": st.from_regex(r"[a-z]{3,8}\.example\.com", fullmatch=True)},
                optional={"state": st.sampled_from(["pending", "verified", "failed", "unverified"])},
            ),
            max_size=3,
            unique_by=lambda domain: domain["domain"],
        ),
    },
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(organizations_of_a_seed, max_size=3, unique_by=lambda each: each["external_id"]))
def test_any_seed_is_exported_as_one_that_makes_the_same(
    sqlite: Database, written_down: list[dict[str, object]]
) -> None:
    one, other = f"one {secrets.token_hex(8)}", f"other {secrets.token_hex(8)}"
    seed, _ = read("seed.json", json.dumps({"organizations": written_down}))
    plant(sqlite, seed, one, RULES, POLICY, retention_days=90)
    text = written(sqlite.read(lambda tx: exported(tx, one, others=False)))
    again, left_out = read("seed.yaml", text)
    assert left_out == []
    plant(sqlite, again, other, RULES, POLICY, retention_days=90)
    assert written(sqlite.read(lambda tx: exported(tx, other, others=False))) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "organizations:\n  - name: A\n    domains:\n      - domain: nope\n",
            "line 4: organizations[0].domains[0] nope must have at least two labels",
        ),
        (
            "organizations:\n  - name: A\n    domains: [{domain: gmail.com}]\n",
            "line 3: organizations[0].domains[0] gmail.com must not be a consumer mail domain",
        ),
        (
            "organizations:\n  - name: A\n  - name: B\n    metadata:\n      tier: 3\n",
            "line 4: organizations[1].metadata",
        ),
        (
            "organizations:\n  - {name: A, stripe_customer_id: c}\n  - {name: B, stripe_customer_id: c}\n",
            "line 3: organizations[1].stripe_customer_id",
        ),
        (
            "organizations:\n  - name: A\nwebhookEndpoints:\n  - url: ftp://a\n",
            "line 4: webhookEndpoints[0].endpoint_url is not where webhooks may be sent: it must begin with",
        ),
        (
            "environments:\n  - name: A\n    slug: A_B\n",
            "line 3: environments[0].slug The slug 'A_B' must be",
        ),
    ],
)
def test_what_the_rules_refuse_is_told_with_its_line(database: Database, text: str, told: str) -> None:
    database.write(lambda tx: environments.create_environment(tx, MAIN, slug="tenantry"))
    assert refused(database, text).startswith(f"tenantry.yaml, {told}")


def test_a_seed_that_is_refused_leaves_nothing_behind(seeded: Database) -> None:
    before = rows(seeded)
    refused(seeded, "apiKeys: {sk_new: {}}\norganizations: [{name: X}, {name: Y, domains: [{domain: gmail.com}]}]")
    assert rows(seeded) == before


def test_many_organizations_come_in_the_order_of_the_file(seeded: Database) -> None:
    count = 2100
    text = "organizations:\n" + "".join(f"  - name: N{number}\n" for number in range(count))
    assert planted(seeded, text).organizations == count
    assert planted(seeded, text).organizations == 0
    events = events_of(seeded, environment_id(seeded))[-count:]
    assert [msgspec.convert(each["data"], dict)["name"] for each in events] == [f"N{n}" for n in range(count)]
