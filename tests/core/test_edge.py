"""What the edge does with every request, good or bad: a clear 4xx, never a 5xx."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support import Access, Server, client, fresh_database_url, grant, open_migrated
from tenantry.app import endpoints, missing_endpoints, public_operations, shape
from tenantry.core.db import Database

REQUEST_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
JSON = {"content-type": "application/json"}


def url_of(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "x", path)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"name": "Acme"',
        b"{'name': 1}",
        b'{"name": "\xff"}',
        b'{"name": "\\ud800"}',
        b'{"name": "\\udc00x"}',
        b'{"name": "a\x00b"}',
        b"[" * 100_000,
        b'{"name": "Acme", "x": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"name": 1e999}',
        b"NaN",
        b"\xef\xbb\xbf",
        b"{} {}",
    ],
)
def test_a_body_that_is_not_json_is_told_so(api: httpx.Client, body: bytes) -> None:
    answer = api.post("/organizations", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request_body")


@pytest.mark.parametrize("body", [b"[]", b'"Acme"', b"7", b"null", b"true"])
def test_a_body_that_is_no_object_is_told_so(api: httpx.Client, body: bytes) -> None:
    answer = api.post("/organizations", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["errors"]) == (
        422,
        [{"field": "", "code": "body must be an object"}],
    )


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "multipart/form-data; boundary=x", "application/json; charset=utf-16", "x", "application/xml"],
)
def test_another_content_type_is_refused(api: httpx.Client, content_type: str) -> None:
    answer = api.post("/organizations", content=b'{"name": "Acme"}', headers={"content-type": content_type})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        'APPLICATION/JSON;charset="UTF-8"',
        "application/x+json",
    ],
)
def test_json_is_read_under_each_of_its_names(api: httpx.Client, content_type: str) -> None:
    answer = api.post("/organizations", content=b'{"name": "Acme"}', headers={"content-type": content_type})
    assert answer.status_code == 201


@pytest.mark.parametrize("content_type", [b"text/pl\xe9in", b"application/json; charset=\xff"])
def test_a_content_type_that_cannot_be_read_is_refused(api: httpx.Client, content_type: bytes) -> None:
    answer = api.post("/organizations", content=b'{"name": "Acme"}', headers=[(b"content-type", content_type)])
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_half_a_surrogate_pair_is_named(api: httpx.Client) -> None:
    answer = api.post("/organizations", content=b'{"name": "\\uD800"}', headers=JSON)
    assert answer.json()["message"] == (
        "The request body is not valid JSON: a string holds half of a surrogate pair."
    )


def test_a_body_without_a_content_type_is_read_as_json(api: httpx.Client) -> None:
    assert api.post("/organizations", content=b'{"name": "Acme"}').status_code == 201


def test_no_body_stands_for_an_object_without_keys(api: httpx.Client) -> None:
    answer = api.post("/organizations")
    assert answer.json()["errors"] == [{"field": "name", "code": "name should not be empty"}]


def test_an_oversized_body_is_refused(api: httpx.Client) -> None:
    answer = api.post("/organizations", content=b'{"name": "' + b"a" * (1 << 20) + b'"}', headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "request_body_too_large")
    assert api.get("/organizations").status_code == 200


def test_an_oversized_body_of_unknown_length_is_refused(api: httpx.Client) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(40):
            yield b"a" * (1 << 15)

    answer = api.post("/organizations", content=chunks(), headers=JSON)
    assert answer.status_code == 413


def test_a_body_of_the_largest_size_is_read(api: httpx.Client) -> None:
    body = b'{"name": "Acme", "ignored": "'
    body += b"a" * ((1 << 20) - len(body) - 2) + b'"}'
    assert api.post("/organizations", content=body, headers=JSON).status_code == 201


@pytest.mark.parametrize("query", ["search=%FF", "search=%C3%28", "domains=%ED%A0%80"])
def test_a_query_that_is_not_utf8_is_refused(api: httpx.Client, query: str) -> None:
    answer = api.get(f"/organizations?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == "parameters must be percent-encoded UTF-8"


@pytest.mark.parametrize("name", ["search", "domains"])
def test_a_nul_in_a_parameter_is_refused(api: httpx.Client, name: str) -> None:
    answer = api.get(f"/organizations?{name}=a%00b")
    assert answer.status_code == 422
    assert "must not contain NUL characters" in answer.json()["errors"][0]["code"]


def test_a_nul_anywhere_in_a_body_is_named(api: httpx.Client) -> None:
    body = {"name": "a\0", "metadata": {"k\0": "v", "k": "\0"}, "domains": ["a.com", "\0"]}
    answer = api.post("/organizations", json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [
        "name",
        "metadata.k\\0",
        "metadata.k",
        "domains.1",
    ]


def test_a_thousand_parameters_are_enough(api: httpx.Client) -> None:
    answer = api.get("/organizations?" + "&".join("a=1" for _ in range(1001)))
    assert answer.status_code == 422


def test_a_form_that_is_none_is_refused(api: httpx.Client) -> None:
    answer = api.post(
        "/organizations", content=b"name=\xff", headers={"content-type": "application/x-www-form-urlencoded"}
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request_body")


@pytest.mark.parametrize("endpoint", [*endpoints(), *missing_endpoints()], ids=lambda each: each.name)
def test_every_operation_needs_a_key_but_those_that_a_link_opens(server: Server, endpoint: object) -> None:
    if getattr(endpoint, "keyless", False):
        assert httpx.get(server.base_url + url_of(getattr(endpoint, "path", ""))).status_code == 422
        return
    path = url_of(getattr(endpoint, "path", ""))
    for headers in ({}, {"authorization": "Bearer sk_unknown"}, {"authorization": "Basic eDp5"}):
        answer = httpx.request(getattr(endpoint, "method", ""), server.base_url + path, headers=headers)
        assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"})


@pytest.mark.parametrize(("method", "path"), public_operations())
def test_no_public_operation_looks_like_a_missing_object(api: httpx.Client, method: str, path: str) -> None:
    if shape(method, path) in {shape(each.method, each.path) for each in endpoints()}:
        return
    answer = api.request(method, url_of(path))
    assert answer.status_code == 501
    assert answer.json() == {
        "message": f"Tenantry does not have this operation yet: {method} {path}.",
        "code": "not_implemented",
    }


@pytest.mark.parametrize("path", ["/", "/nothing", "/organizations/", "/organizations/x/y", "//organizations"])
def test_what_nobody_knows_is_not_found(api: httpx.Client, server: Server, path: str) -> None:
    answer = api.get(path)
    assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})
    assert httpx.get(server.base_url + path).status_code == 401


def test_a_method_that_a_path_does_not_have_is_not_found(api: httpx.Client) -> None:
    assert api.patch("/organizations/x", json={}).json() == {"message": "Not Found"}


@pytest.mark.parametrize("path", ["/Organizations", "/ORGANIZATIONS", "/organizations"])
def test_literal_segments_match_in_any_case(api: httpx.Client, path: str) -> None:
    made = api.post(path, json={"name": "Acme", "external_id": "X"}).json()
    assert api.get(f"{path}/{made['id']}").json() == made
    assert api.get(f"{path}/External_ID/X").json() == made
    assert api.get(f"{path}/external_id/x").status_code == 404


@pytest.mark.parametrize("path", ["/health", "/docs", "/organizations", "/nothing", "/organizations/x"])
def test_every_answer_has_a_request_id_of_its_own(api: httpx.Client, path: str) -> None:
    ids = [api.get(path, headers={"x-request-id": "mine"}).headers["x-request-id"] for _ in range(2)]
    assert all(REQUEST_ID.fullmatch(each) for each in ids)
    assert ids[0] != ids[1]


def test_head_answers_as_get_without_a_body(api: httpx.Client) -> None:
    made = api.post("/organizations", json={"name": "Acme"}).json()
    answer = api.head(f"/organizations/{made['id']}")
    assert (answer.status_code, answer.content) == (200, b"")
    assert api.head("/organizations/x").status_code == 404


def test_a_read_only_key_reads_and_changes_nothing(server: Server, shared_database: Database) -> None:
    with client(server.base_url, grant(shared_database, read_only=True).key) as reader:
        assert reader.get("/organizations").status_code == 200
        for method, path in (("POST", ""), ("PUT", "/x"), ("DELETE", "/x")):
            answer = reader.request(method, f"/organizations{path}")
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_a_client_that_hangs_up_halfway_harms_nobody(server: Server, api: httpx.Client, access: Access) -> None:
    lines = (
        "POST /organizations HTTP/1.1",
        "host: x",
        f"authorization: Bearer {access.key}",
        "content-length: 99",
    )
    head = "\r\n".join(lines) + "\r\n\r\n"
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head.encode() + b'{"name"')
    assert api.get("/organizations").json()["data"] == []


def test_a_key_over_its_rate_limit_is_told_when_to_come_back(
    engine: str, postgres: str | None, tmp_path: Path
) -> None:
    with fresh_database_url(engine, tmp_path, postgres) as url:
        database = open_migrated(url)
        access, other = grant(database), grant(database)
        limited = Server(url, tmp_path, "--rate-limit", "3")
        with client(limited.base_url, access.key) as api:
            answers = [api.get("/organizations") for _ in range(9)]
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.json() == {"message": "Too many requests.", "code": "rate_limit_exceeded"}
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        with client(limited.base_url, other.key) as api:
            assert api.get("/organizations").status_code == 200
        limited.stop()
        database.close()


def test_every_reference_of_the_api_description_leads_somewhere(server: Server) -> None:
    document = httpx.get(f"{server.base_url}/openapi.json").json()
    names = re.findall(r'"#/components/schemas/(\w+)"', httpx.get(f"{server.base_url}/openapi.json").text)
    assert set(names) <= set(document["components"]["schemas"])
