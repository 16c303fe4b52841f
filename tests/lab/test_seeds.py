"""A seed file says what it says; what it cannot say is told with file, line and reason, all of it at once."""

import json
import re
from textwrap import dedent

import pytest

from tenantry.core.ids import time_of
from tenantry.lab.seeds import MADE_AT, Seed, SeedRefused, read

VENDORS = """\
users:
  - email: alice@acme.com
    password: test123

organizations:
  - id: org_01EHWNCE74X7JSDV0X3SZ3KJNY
    name: Acme Corp
    external_id: acme_corp_123
    metadata: {tier: gold}
    domains:
      - domain: acme.com
        state: verified
      - domain: acme.example
    memberships:
      - email: alice@acme.com
        role: admin
  - name: Globex
    allow_profiles_outside_organization: true

roles:
  - slug: admin
    name: Admin

webhookEndpoints:
  - endpoint_url: http://localhost:5005/webhooks
    events: []
  - url: http://localhost:5006/old
    events: [organization.created]
    enabled: false
    secret: whsec_test

apiKeys:
  - name: CI Key
    organization: Acme Corp
    value: sk_test_ci_key
    permissions: [posts:read]

errorHooks:
  - method: POST
    path: /organizations
    status: 422
    body: {message: Validation failed, code: unprocessable_entity}
  - method: '*'
    path: /organizations/*
    status: 503
    count: 3
"""


def seed_of(text: str, file: str = "tenantry.yaml") -> Seed:
    return read(file, dedent(text))[0]


def warnings_of(text: str) -> list[str]:
    return [problem.told("tenantry.yaml") for problem in read("tenantry.yaml", dedent(text))[1]]


def refusal_of(text: str, file: str = "tenantry.yaml") -> str:
    with pytest.raises(SeedRefused) as refused:
        read(file, dedent(text))
    return str(refused.value)


def test_the_emulators_file_is_read_and_what_is_not_taken_is_named_with_its_line() -> None:
    seed, left_out = read("workos-emulate.config.yaml", VENDORS)
    (main,) = seed.environments
    acme, globex = main.organizations
    assert (acme.id, acme.name, acme.external_id) == (
        "org_01EHWNCE74X7JSDV0X3SZ3KJNY",
        "Acme Corp",
        "acme_corp_123",
    )
    assert acme.metadata == {"tier": "gold"}
    assert [(each.domain, each.state) for each in acme.domains or []] == [
        ("acme.com", "verified"),
        ("acme.example", "pending"),
    ]
    assert globex.allow_profiles_outside_organization is True
    first, second = main.endpoints
    assert (first.endpoint_url, first.events, first.status) == ("http://localhost:5005/webhooks", [], "enabled")
    assert (second.endpoint_url, second.secret, second.status) == (
        "http://localhost:5006/old",
        "whsec_test",
        "disabled",
    )
    assert [(key.name, key.value) for key in main.keys] == [("CI Key", "sk_test_ci_key")]
    assert [(hook.method, hook.path, hook.status, hook.count) for hook in seed.error_hooks] == [
        ("POST", "/organizations", 422, None),
        ("*", "/organizations/*", 503, 3),
    ]
    assert [(each.line, each.place) for each in left_out] == [
        (1, "users"),
        (14, "organizations[0].memberships"),
        (20, "roles"),
        (36, "apiKeys[0].permissions"),
    ]


def test_json_is_read_as_yaml_is() -> None:
    seed = seed_of("organizations: [{name: Acme 😀, metadata: {tier: gold}}]")
    text = json.dumps({"organizations": [{"name": "Acme 😀", "metadata": {"tier": "gold"}}]}, indent="\t")
    assert seed_of(text, "seed.json").environments == seed.environments


def test_ids_are_made_from_names_so_that_every_run_has_the_same() -> None:
    text = "organizations: [{name: Acme, domains: [{domain: acme.com}]}, {name: Globex}]"
    once, again = seed_of(text).environments[0], seed_of(text).environments[0]
    assert once == again
    ids = [str(each.id) for each in once.organizations]
    assert len(set(ids)) == 2
    assert all(MADE_AT <= time_of(each) < MADE_AT + 24 * 60 * 60 * 1000 for each in ids)


def test_an_id_stays_when_other_organizations_come_before_it() -> None:
    later = seed_of("organizations: [{name: Globex}, {name: Acme}]").environments[0].organizations
    alone = seed_of("organizations: [{name: Acme}]").environments[0].organizations
    assert later[1] == alone[0]


def test_a_name_in_another_environment_has_another_id() -> None:
    main, other = seed_of(
        "{organizations: [{name: Acme}], environments: [{name: Staging, organizations: [{name: Acme}]}]}"
    ).environments
    assert main.organizations[0].id != other.organizations[0].id
    assert (other.name, other.slug, other.domain_policy) == ("Staging", "staging", "exclusive")


def test_keys_may_be_a_map_and_may_name_their_environment() -> None:
    main, other = seed_of(
        """
        apiKeys:
          sk_one: {environment: test}
          sk_two: {environment: Staging}
        environments:
          - name: Staging
            apiKeys: {sk_three: {}}
        """
    ).environments
    assert [key.value for key in main.keys] == ["sk_one"]
    assert [key.value for key in other.keys] == ["sk_three", "sk_two"]


def test_sections_without_anything_in_them_are_empty() -> None:
    (main,) = seed_of("organizations:\nwebhookEndpoints:\napiKeys:\nerrorHooks:\nevents:").environments
    assert (main.organizations, main.endpoints, main.keys, main.events) == ([], [], [], [])
    assert seed_of("").environments[0].organizations == []


def test_a_key_without_a_value_is_left_out_and_named() -> None:
    assert warnings_of("organizations: [{name: A}]\napiKeys: [{name: CI, organization: A}]") == [
        "tenantry.yaml, line 2: apiKeys[0] has no value, so that nobody could use it, and is left out"
    ]


def test_unknown_keys_are_named_at_every_depth() -> None:
    assert warnings_of(
        """
        organisations: []
        organizations:
          - name: Acme
            domains:
              - domain: acme.com
                verified: true
        environments:
          - name: Staging
            users: []
        apiKeys:
          sk_one: {environment: test, owner: me}
        """
    ) == [
        "tenantry.yaml, line 2: organisations is not known here and left out",
        "tenantry.yaml, line 7: organizations[0].domains[0].verified is not known here and left out",
        "tenantry.yaml, line 10: environments[0].users is not known here and left out",
        "tenantry.yaml, line 12: apiKeys.sk_one.owner is not known here and left out",
    ]


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("organizations: {}", 1, "organizations must be an array"),
        ("organizations:\n  - 3", 2, "organizations[0] must be an object"),
        ("organizations:\n  - external_id: a", 2, "organizations[0].name should not be empty"),
        (
            "organizations:\n  - id: acme\n    name: A",
            2,
            "organizations[0].id must be org_ and a ULID, as org_01",
        ),
        ("organizations:\n  - name: 3", 2, "organizations[0].name must be a string"),
        ("organizations:\n  - name: A\n    external_id: 7", 3, "organizations[0].external_id must be a string"),
        (
            "organizations:\n  - name: A\n  - name: A",
            3,
            "organizations[1].name is 'A' as at organizations[0].name",
        ),
        (
            "organizations:\n  - {name: A, external_id: x}\n  - {name: B, external_id: x}",
            3,
            "organizations[1].external_id is 'x' as at organizations[0].external_id, and must be another",
        ),
        (
            "organizations:\n  - name: A\n    domains:\n      - domain: a.com\n        state: yes",
            5,
            "organizations[0].domains[0].state must be one of the following values:",
        ),
        ("organizations:\n  - name: A\n    domains:\n      - acme.com", 4, "domains[0] must be an object"),
        ("organizations:\n  - name: A\n    domains:\n      - {}", 4, "domains[0].domain should not be empty"),
        ("organizations:\n  - name: A\n    created_at: now", 3, "created_at must be an ISO 8601 time in UTC"),
        ("webhookEndpoints:\n  - events: []", 2, "webhookEndpoints[0].endpoint_url should not be empty"),
        (
            "webhookEndpoints:\n  - endpoint_url: http://localhost\n    events:\n      - org.created",
            4,
            "webhookEndpoints[0].events[0] must be the name of an event to subscribe to; 'org.created' is none",
        ),
        ("webhookEndpoints:\n  - {url: http://a}\n  - {url: http://a}", 3, "endpoint_url is 'http://a' as at"),
        ("webhookEndpoints:\n  - url: http://a\n    secret: ''", 3, "secret should not be empty"),
        ("apiKeys:\n  - value: a b c", 2, "apiKeys[0].value must be 3 to 200 printable ASCII characters"),
        (
            "apiKeys:\n  - value: sk_one\n  - value: sk_one",
            3,
            "apiKeys[1].value is 'sk_one' as at apiKeys[0].value",
        ),
        ("apiKeys:\n  sk_one: 3", 2, "apiKeys.sk_one must be an object"),
        (
            "apiKeys:\n  - value: sk_one\n    organization: Acme",
            3,
            "must be the name of an organization above",
        ),
        ("errorHooks:\n  - {method: GET, path: /a, status: 999}", 2, "errorHooks[0].status must not be greater"),
        ("errorHooks:\n  - {method: FETCH, path: /a, status: 500}", 2, "errorHooks[0].method must be one of"),
        ("errorHooks:\n  - {path: /a, status: 500}", 2, "errorHooks[0].method should not be empty"),
        ("errorHooks:\n  - {method: GET, path: /a, status: 500, count: -1}", 2, "count must not be less than 0"),
        ("events:\n  - {event: some.thing, data: {}}", 2, "events[0].event must be the name of an event"),
        ("events:\n  - {event: user.created, data: 3}", 2, "events[0].data must be an object"),
        ("environments:\n  - slug: a", 2, "environments[0].name should not be empty"),
        ("environments:\n  - name: A\n  - name: A", 3, "environments[1].name is 'A' as at environments[0].name"),
        ("environments:\n  - name: Development", 2, "environments[0].name must not be 'Development'"),
        ("environments:\n  - name: A\n    domain_policy: none", 3, "domain_policy must be one of"),
        ("environments:\n  - name: A\n    organizations:\n      - {}", 4, "environments[0].organizations[0].name"),
        ("- organizations", 1, "must hold an object"),
        ("organizations: [", 2, "is no YAML that can be read"),
        ('organizations:\n  - name: "A\\0B"', 2, "organizations[0].name must not contain NUL characters"),
    ],
)
def test_a_wrong_value_is_told_with_file_line_and_reason(text: str, line: int, told: str) -> None:
    refusal = refusal_of(text)
    assert refusal.startswith(f"tenantry.yaml, line {line}: ")
    assert told in refusal


@pytest.mark.parametrize("file", ["deep.yaml", "deep.json"])
@pytest.mark.parametrize("depth", [700, 20_000])
def test_a_file_that_is_nested_too_deeply_is_told(file: str, depth: int) -> None:
    assert re.search(r"nest|must hold an object", refusal_of("[" * depth + "]" * depth, file))


def test_all_wrong_values_are_told_at_once_in_the_order_of_their_lines() -> None:
    refusal = refusal_of(
        """
        errorHooks:
          - {method: GET, path: /a, status: 9}
        organizations:
          - name: 3
          - external_id: x
        """
    )
    assert re.findall(r"line (\d+): (\S+)", refusal) == [
        ("3", "errorHooks[0].status"),
        ("5", "organizations[0].name"),
        ("6", "organizations[1].name"),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            '{\n\t"organizations": [\n\t\t{"name": 3}\n\t]\n}',
            "seed.json, line 3: organizations[0].name must be a string",
        ),
        ('{\n  "organizations": [,]\n}', "seed.json, line 2: is no JSON: Expecting value"),
    ],
)
def test_json_is_told_with_its_line_too(text: str, told: str) -> None:
    with pytest.raises(SeedRefused) as refused:
        read("seed.json", text)
    assert str(refused.value) == told
