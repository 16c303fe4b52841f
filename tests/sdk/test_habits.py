"""Habits of clients that are not installed here, replayed as they stand on the wire, one test a habit."""

import hashlib
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import httpx
import pytest

from support import Access, Server, client, events_of
from tenantry.core.db import Database

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_UNKNOWN_ID = "org_01ARZ3NDEKTSV4RRFFQ69G5FAV"
_FIELDS = {
    "object",
    "id",
    "name",
    "allow_profiles_outside_organization",
    "domains",
    "metadata",
    "external_id",
    "created_at",
    "updated_at",
}
_AT_ONCE = 8


def create(api: httpx.Client, **body: Any) -> dict[str, Any]:
    """Create an organization; return it."""
    answer = api.post("/organizations", json={"name": "Acme"} | body)
    assert answer.status_code == 201, answer.text
    organization: dict[str, Any] = answer.json()
    return organization


def update(api: httpx.Client, organization: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """Update an organization; return it as it is then."""
    answer = api.put(f"/organizations/{organization['id']}", json=body)
    assert answer.status_code == 200, answer.text
    updated: dict[str, Any] = answer.json()
    return updated


def listed(api: httpx.Client, query: str = "limit=100") -> list[dict[str, Any]]:
    """Return one page of organizations."""
    answer = api.get(f"/organizations?{query}")
    assert answer.status_code == 200, answer.text
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


def at_once(ask: Callable[[int], httpx.Response]) -> list[httpx.Response]:
    """Return the answers to requests that several threads send at the same moment."""
    ready = Barrier(_AT_ONCE)

    def send(number: int) -> httpx.Response:
        ready.wait(10)
        return ask(number)

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return list(threads.map(send, range(_AT_ONCE)))


def test_go_deletes_with_a_capital_letter(api: httpx.Client) -> None:
    organization = create(api)
    assert api.delete(f"/Organizations/{organization['id']}").status_code == 202
    assert api.get(f"/organizations/{organization['id']}").status_code == 404


def test_ids_keep_their_case_in_any_path(api: httpx.Client) -> None:
    organization = create(api)
    assert api.get(f"/ORGANIZATIONS/{organization['id'].lower()}").status_code == 404


def test_go_sends_an_empty_idempotency_key_with_each_create(api: httpx.Client) -> None:
    first, second = (
        api.post("/organizations", json={"name": "Acme"}, headers={"Idempotency-Key": ""}) for _ in range(2)
    )
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] != second.json()["id"]


def test_go_puts_the_idempotency_key_and_nulls_into_the_body_of_a_create(api: httpx.Client) -> None:
    body = {"idempotency_key": "k", "metadata": None, "domains": None, "domain_data": None, "external_id": None}
    organization = create(api, **body)
    assert (organization["metadata"], organization["domains"]) == ({}, [])
    assert "idempotency_key" not in organization


def test_go_sends_null_for_metadata_that_it_leaves_alone(api: httpx.Client) -> None:
    organization = create(api, metadata={"tier": "gold"})
    assert update(api, organization, {"name": "New", "metadata": None})["metadata"] == {"tier": "gold"}


def test_go_updates_under_the_names_of_its_struct(api: httpx.Client) -> None:
    organization = create(api, external_id="42", domains=["example.com"], metadata={"tier": "gold"})
    updated = update(
        api,
        organization,
        {
            "Organization": organization["id"],
            "Name": "Acme Corp",
            "AllowProfilesOutsideOrganization": True,
            "Domains": None,
            "domain_data": None,
            "external_id": "",
            "metadata": None,
        },
    )
    assert updated["name"] == "Acme Corp"
    assert updated["allow_profiles_outside_organization"] is True
    for kept in ("external_id", "domains", "metadata"):
        assert updated[kept] == organization[kept]


def test_go_replaces_domains_under_the_name_of_its_struct(api: httpx.Client) -> None:
    organization = create(api, domains=["old.example.com"])
    updated = update(api, organization, {"Domains": ["new.example.com"], "external_id": ""})
    assert [domain["domain"] for domain in updated["domains"]] == ["new.example.com"]


def test_ruby_and_php_send_null_for_each_option_not_given(api: httpx.Client) -> None:
    organization = create(api, domains=["example.com"], allow_profiles_outside_organization=True)
    nothing = {"name": None, "domains": None, "domain_data": None, "allow_profiles_outside_organization": None}
    assert update(api, organization, nothing) == organization


def test_ruby_clears_the_external_id_with_null(api: httpx.Client) -> None:
    organization = create(api, external_id="42")
    assert update(api, organization, {"external_id": None})["external_id"] is None


def test_ruby_sends_both_cursors_and_after_counts(api: httpx.Client) -> None:
    oldest, middle, newest = (create(api) for _ in range(3))
    query = f"order=desc&after={middle['id']}&before={newest['id']}"
    assert listed(api, query) == [oldest]


def test_ruby_sends_a_conflict_again_with_a_fresh_key(
    server: Server, unique: Access, shared_database: Database
) -> None:
    with client(server.base_url, unique.key) as api:
        create(api, domains=["example.com"])
        answers = [
            api.post(
                "/organizations",
                json={"name": "Other", "domains": ["free.example.com", "example.com"]},
                headers={"Idempotency-Key": f"ruby-{attempt}"},
            )
            for attempt in range(3)
        ]
        assert [answer.status_code for answer in answers] == [409, 409, 409]
        assert {answer.text for answer in answers} == {
            '{"message":"An Organization with the domain example.com already exists."}'
        }
        assert len(listed(api)) == 1
        assert listed(api, "domains=free.example.com") == []
    made = [event["event"] for event in events_of(shared_database, unique.environment_id)]
    assert made == ["organization.created", "organization_domain.created"]


def test_ruby_sends_a_key_with_a_put_where_it_has_no_meaning(api: httpx.Client) -> None:
    organization = create(api)
    for name in ("First", "Second"):
        answer = api.put(
            f"/organizations/{organization['id']}", json={"name": name}, headers={"Idempotency-Key": "put"}
        )
        assert answer.json()["name"] == name


def test_elixir_sends_a_body_with_delete(api: httpx.Client) -> None:
    organization = create(api)
    answer = api.request("DELETE", f"/organizations/{organization['id']}", json={})
    assert answer.status_code == 202
    # The body that nobody read does not get in the way of what follows on the connection.
    assert listed(api) == []


def test_php_needs_a_delete_to_answer_with_an_empty_body(api: httpx.Client) -> None:
    answer = api.delete(f"/organizations/{create(api)['id']}")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (202, b"", "0")
    assert "content-type" not in answer.headers


@pytest.mark.parametrize(
    "spelling",
    [
        "domains=one.example.com,two.example.com",
        "domains=one.example.com%2Ctwo.example.com",
        "domains=one.example.com&domains=two.example.com",
        "domains[]=one.example.com&domains[]=two.example.com",
        "domains%5B%5D=one.example.com&domains%5B%5D=two.example.com",
        "domains[0]=one.example.com&domains[1]=two.example.com",
        "domains%5B0%5D=one.example.com&domains%5B1%5D=two.example.com",
        "domains[]=one.example.com,two.example.com",
        "domains=one.example.com,%20two.example.com,",
    ],
)
def test_each_client_spells_a_list_in_its_way(api: httpx.Client, spelling: str) -> None:
    one, two, _ = (create(api, domains=[f"{name}.example.com"]) for name in ("one", "two", "three"))
    assert listed(api, f"order=asc&{spelling}") == [one, two]


def test_kotlin_and_java_derive_a_key_that_merges_no_creates(api: httpx.Client) -> None:
    key = "retry-" + hashlib.sha256(b"POST /organizations").hexdigest()
    first, second = (
        api.post("/organizations", json={"name": "Acme"}, headers={"Idempotency-Key": key}) for _ in range(2)
    )
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] != second.json()["id"]


def test_kotlin_asks_for_no_order_and_walks_to_older_ones_by_before(api: httpx.Client) -> None:
    created = [create(api)["id"] for _ in range(5)]
    first = api.get("/organizations?limit=2").json()
    assert [organization["id"] for organization in first["data"]] == created[:2:-1]
    assert first["list_metadata"] == {"before": created[3], "after": None}
    second = api.get(f"/organizations?limit=2&before={created[3]}").json()
    assert [organization["id"] for organization in second["data"]] == [created[2], created[1]]
    assert second["list_metadata"] == {"before": created[1], "after": created[2]}


def test_java_posts_without_a_body_and_without_its_type(api: httpx.Client) -> None:
    answer = api.post("/organizations")
    assert "content-type" not in answer.request.headers
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "name", "code": "name should not be empty"}]


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json;charset=utf-8",
        "application/json; charset=UTF-8",
        'application/json; charset="utf-8"',
        "Application/JSON",
    ],
)
def test_clients_name_json_in_their_ways(api: httpx.Client, content_type: str) -> None:
    answer = api.post(
        "/organizations", content='{"name": "Größe"}'.encode(), headers={"content-type": content_type}
    )
    assert answer.json()["name"] == "Größe"


def test_dotnet_repeats_the_body_of_a_put_in_the_query(api: httpx.Client) -> None:
    organization = create(api)
    answer = api.put(
        f"/organizations/{organization['id']}?name=Query&domains%5B%5D=query.example.com&limit=abc",
        json={"name": "Body", "domains": ["body.example.com"]},
    )
    assert answer.status_code == 200
    assert answer.json()["name"] == "Body"
    assert [domain["domain"] for domain in answer.json()["domains"]] == ["body.example.com"]


def test_dotnet_and_node_need_json_named_with_the_one_encoding_they_know(api: httpx.Client) -> None:
    organization = create(api)
    for answer in (
        api.get("/organizations"),
        api.get(f"/organizations/{organization['id']}"),
        api.put(f"/organizations/{organization['id']}", json={}),
        api.get(f"/organizations/{_UNKNOWN_ID}"),
    ):
        assert answer.headers["content-type"] == "application/json; charset=utf-8"


def test_strict_clients_find_every_field_in_every_answer(api: httpx.Client) -> None:
    organization = create(api)
    by_external_id = create(api, external_id="42")
    for answer in (
        organization,
        update(api, organization, {"name": "New"}),
        api.get(f"/organizations/{organization['id']}").json(),
        api.get(f"/organizations/external_id/{by_external_id['external_id']}").json(),
        *listed(api),
    ):
        assert set(answer) == _FIELDS
    with_customer = update(api, organization, {"stripe_customer_id": "cus_1"})
    assert set(with_customer) == {*_FIELDS, "stripe_customer_id"}


def test_older_node_sends_an_external_id_as_a_path(api: httpx.Client) -> None:
    organization = create(api, external_id="region/eu/42")
    for spelling in ("region/eu/42", "region%2Feu%2F42", "region%2feu/42"):
        assert api.get(f"/organizations/external_id/{spelling}").json() == organization


def test_a_create_sent_again_with_its_key_gets_the_first_answer(
    api: httpx.Client, access: Access, shared_database: Database
) -> None:
    first, second = (
        api.post("/organizations", json={"name": "Acme"}, headers={"Idempotency-Key": "once"}) for _ in range(2)
    )
    assert (second.status_code, second.content) == (201, first.content)
    assert len(events_of(shared_database, access.environment_id)) == 1


def test_a_key_sent_again_with_another_body_is_refused(api: httpx.Client) -> None:
    headers = {"Idempotency-Key": "bar"}
    create(api)
    assert api.post("/organizations", json={"name": "Acme"}, headers=headers).status_code == 201
    answer = api.post("/organizations", json={"name": "Other"}, headers=headers)
    assert answer.status_code == 400
    assert answer.json() == {
        "message": "Another idempotency key (bar) with different request parameters was found. "
        "Please use a different idempotency key."
    }
    assert len(listed(api)) == 2


def test_a_key_means_nothing_in_another_environment(api: httpx.Client, server: Server, unique: Access) -> None:
    headers = {"Idempotency-Key": "shared"}
    with client(server.base_url, unique.key) as other:
        ours, theirs = (
            caller.post("/organizations", json={"name": "Acme"}, headers=headers) for caller in (api, other)
        )
    assert (ours.status_code, theirs.status_code) == (201, 201)
    assert ours.json()["id"] != theirs.json()["id"]


def test_creates_at_once_with_one_key_are_one(
    api: httpx.Client, access: Access, shared_database: Database
) -> None:
    answers = at_once(
        lambda _: api.post("/organizations", json={"name": "Acme"}, headers={"Idempotency-Key": "race"})
    )
    statuses = {answer.status_code for answer in answers}
    assert 201 in statuses
    assert statuses <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert len(listed(api)) == 1
    assert len(events_of(shared_database, access.environment_id)) == 1


def test_creates_at_once_with_a_derived_key_are_all_made(api: httpx.Client) -> None:
    key = "retry-" + "0" * 64
    answers = at_once(
        lambda _: api.post("/organizations", json={"name": "Acme"}, headers={"Idempotency-Key": key})
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len(listed(api)) == _AT_ONCE


def test_creates_at_once_with_one_external_id_have_one_winner(api: httpx.Client) -> None:
    answers = at_once(
        lambda number: api.post(
            "/organizations",
            json={"name": "Acme", "external_id": "42"},
            headers={"Idempotency-Key": f"race-{number}"},
        )
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [400] * (_AT_ONCE - 1)
    assert {answer.json().get("code") for answer in answers} == {None, "external_id_already_used"}
    assert len(listed(api)) == 1


def test_a_missing_organization_is_named(api: httpx.Client) -> None:
    for answer in (
        api.get(f"/organizations/{_UNKNOWN_ID}"),
        api.put(f"/organizations/{_UNKNOWN_ID}", json={"name": "Acme"}),
        api.delete(f"/organizations/{_UNKNOWN_ID}"),
        api.get(f"/organizations/external_id/{_UNKNOWN_ID}"),
    ):
        assert answer.status_code == 404
        assert answer.json() == {
            "message": f"Organization not found: '{_UNKNOWN_ID}'.",
            "code": "entity_not_found",
            "entity_id": _UNKNOWN_ID,
        }


def test_a_missing_route_is_no_missing_organization(api: httpx.Client) -> None:
    for answer in (api.get("/nowhere"), api.patch("/organizations"), api.get("/organizations/a/b/c")):
        assert answer.status_code == 404
        assert answer.json() == {"message": "Not Found"}


def test_a_stranger_learns_nothing(server: Server) -> None:
    for headers in (
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer sk_wrong"},
        {"authorization": "Basic c2tfd3Jvbmc6"},
    ):
        for path in ("/organizations", f"/organizations/{_UNKNOWN_ID}", "/nowhere"):
            answer = httpx.get(f"{server.base_url}{path}", headers=headers)
            assert answer.status_code == 401
            assert answer.json() == {"message": "Unauthorized"}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEARER"])
def test_the_scheme_of_the_key_may_be_written_in_any_case(server: Server, access: Access, scheme: str) -> None:
    answer = httpx.get(f"{server.base_url}/organizations", headers={"authorization": f"{scheme} {access.key}"})
    assert answer.status_code == 200


def test_every_answer_names_its_request(
    api: httpx.Client, server: Server, read_only: Access, access: Access, throttled_server: Server
) -> None:
    organization = create(api, external_id="42")
    path = f"/organizations/{organization['id']}"
    with (
        client(server.base_url, read_only.key) as reader,
        client(throttled_server.base_url, access.key) as hurried,
    ):
        answers = [
            api.get("/health"),
            api.get(path),
            api.head(path),
            api.post("/organizations", json={"name": "Acme"}),
            api.delete(path),
            api.post("/organizations", content=b"{", headers={"content-type": "application/json"}),
            httpx.get(f"{server.base_url}/organizations"),
            reader.post("/organizations", json={"name": "Acme"}),
            api.get(path),
            api.get("/nowhere"),
            api.post("/organizations", content=b" " * (1 << 21), headers={"content-type": "application/json"}),
            api.post("/organizations", content=b"x", headers={"content-type": "text/plain"}),
            api.post("/organizations", json={}),
            api.get("/auth/factors/auth_factor_1"),
            *(hurried.get("/organizations") for _ in range(3)),
        ]
    assert {answer.status_code for answer in answers} == {
        *(200, 201, 202),
        *(400, 401, 403, 404, 413, 415, 422, 429),
        501,
    }
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert [request_id for request_id in ids if not _UUID.fullmatch(request_id)] == []
    assert len(set(ids)) == len(ids)
