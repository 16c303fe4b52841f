"""A POST sent again with the same key has one effect."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from support import Access, Server, client, events_of, grant
from tenantry.core import idempotency
from tenantry.core.db import Database, Transaction
from tenantry.core.idempotency import InvalidIdempotencyKey, Recorded, attempt, honoured


def post(api: httpx.Client, key: str, body: object) -> httpx.Response:
    return api.post("/organizations", json=body, headers={"idempotency-key": key})


def count(api: httpx.Client) -> int:
    return len(api.get("/organizations?limit=100").json()["data"])


def test_the_recorded_answer_is_replayed(api: httpx.Client) -> None:
    first, second = (post(api, "k1", {"name": "Acme"}) for _ in range(2))
    assert (second.status_code, second.content) == (201, first.content)
    assert "tenantry-idempotent-replay" not in first.headers
    assert second.headers["tenantry-idempotent-replay"] == "true"
    assert count(api) == 1


def test_another_body_with_the_same_key_is_refused(api: httpx.Client) -> None:
    post(api, "bar", {"name": "Acme"})
    answer = post(api, "bar", {"name": "Other"})
    assert answer.status_code == 400
    assert answer.json() == {
        "message": "Another idempotency key (bar) with different request parameters was found. "
        "Please use a different idempotency key."
    }
    assert count(api) == 1


@pytest.mark.parametrize("body", [{"name": ""}, {"name": "Acme", "external_id": "17"}])
def test_a_failure_is_replayed_too(api: httpx.Client, body: dict[str, Any]) -> None:
    holder = api.post("/organizations", json={"name": "Holder", "external_id": "17"}).json()
    first = post(api, "k1", body)
    api.delete(f"/organizations/{holder['id']}")
    second = post(api, "k1", body)
    assert first.status_code in {400, 422}
    assert (second.status_code, second.content) == (first.status_code, first.content)


@pytest.mark.parametrize("key", ["", "retry-" + "0a" * 32])
def test_keys_that_say_nothing_are_ignored(api: httpx.Client, key: str) -> None:
    assert post(api, key, {"name": "Acme"}).json()["id"] != post(api, key, {"name": "Acme"}).json()["id"]


def test_node_keys_are_honoured(api: httpx.Client) -> None:
    key = "retry-2f1f6a3e-8a55-4f0e-9c39-1de5ce5c46a1"
    assert post(api, key, {"name": "Acme"}).json() == post(api, key, {"name": "Acme"}).json()


def test_a_key_that_is_too_long_is_refused(api: httpx.Client) -> None:
    answer = post(api, "k" * 256, {"name": "Acme"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_idempotency_key")


@pytest.mark.parametrize("key", ["clé".encode(), b"\xff\xfe"])
def test_a_key_that_cannot_be_read_is_refused_and_not_ignored(api: httpx.Client, key: bytes) -> None:
    answer = api.post("/organizations", json={"name": "Acme"}, headers=[(b"idempotency-key", key)])
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_idempotency_key")
    assert count(api) == 0


def test_a_key_is_its_environments_own(api: httpx.Client, server: Server, shared_database: Database) -> None:
    made = post(api, "k1", {"name": "Acme"}).json()
    with client(server.base_url, grant(shared_database).key) as stranger:
        assert post(stranger, "k1", {"name": "Acme"}).json()["id"] != made["id"]


def test_concurrent_requests_with_one_key_have_one_effect(
    server: Server, access: Access, shared_database: Database
) -> None:
    def once(_: int) -> httpx.Response:
        with client(server.base_url, access.key) as api:
            return post(api, "k1", {"name": "Acme", "domains": ["acme.com"]})

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(once, range(16)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert len(events_of(shared_database, access.environment_id)) == 2


def test_a_key_on_another_method_is_ignored(api: httpx.Client) -> None:
    made = api.post("/organizations", json={"name": "Acme"}).json()
    for name in ("B", "C"):
        answer = api.put(f"/organizations/{made['id']}", json={"name": name}, headers={"idempotency-key": "k1"})
        assert answer.json()["name"] == name


def test_which_keys_are_honoured() -> None:
    assert not any(honoured(key) for key in (None, "", "retry-" + "0" * 64))
    assert all(honoured(key) for key in ("x", "retry-" + "0" * 63, "retry-" + "G" * 64))


@pytest.mark.parametrize("key", ["\x7f", "\0", "é"])
def test_a_key_that_is_no_printable_text_is_refused(key: str) -> None:
    with pytest.raises(InvalidIdempotencyKey):
        attempt("environment_1", "POST /x", key, b"{}")


class TestLifetime:
    """A key lives for 24 hours of the clock that is passed in."""

    def test_a_key_is_forgotten_after_a_day(self, database: Database, now: list[int]) -> None:
        made = attempt(grant(database).environment_id, "POST /x", "k1", b"{}")

        def record(tx: Transaction) -> None:
            idempotency.record(tx, made, Recorded(201, b"first"))

        database.write(record)
        now[0] += idempotency.LIFETIME_MILLISECONDS - 1
        assert database.read(lambda tx: idempotency.recall(tx, made)) == Recorded(201, b"first")
        now[0] += 1
        assert database.read(lambda tx: idempotency.recall(tx, made)) is None
        database.write(lambda tx: idempotency.record(tx, made, Recorded(201, b"second")))
        assert database.read(lambda tx: idempotency.recall(tx, made)) == Recorded(201, b"second")

    def test_what_has_expired_is_pruned(self, database: Database, now: list[int]) -> None:
        environment = grant(database).environment_id
        for key in ("old", "new"):
            made = attempt(environment, "POST /x", key, b"{}")
            database.write(lambda tx, made=made: idempotency.record(tx, made, Recorded(201, b"")))  # type: ignore[misc]
            now[0] += idempotency.LIFETIME_MILLISECONDS // 2 + 1
        assert database.write(idempotency.prune) == 1
        assert database.write(idempotency.prune) == 0


def test_what_is_recorded_of_a_part_gives_way_to_more_of_the_same_request_only(database: Database) -> None:
    environment = grant(database).environment_id
    made, other = (attempt(environment, "POST /x", "k1", body) for body in (b"{}", b"[]"))

    def record(of: idempotency.Attempt, status: int, body: bytes) -> bool:
        return database.write(lambda tx: idempotency.record(tx, of, Recorded(status, body)))

    assert record(made, idempotency.PARTLY, b"1")
    assert not record(other, 400, b"")
    assert record(made, idempotency.PARTLY, b"2")
    assert database.read(lambda tx: idempotency.recall(tx, made)) == Recorded(idempotency.PARTLY, b"2")
    assert record(made, 200, b"3")
    assert not record(made, idempotency.PARTLY, b"4")
    assert database.read(lambda tx: idempotency.recall(tx, made)) == Recorded(200, b"3")
