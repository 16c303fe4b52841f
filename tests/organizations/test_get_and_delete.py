"""GET and DELETE of one organization."""

import httpx
import pytest

from support import Server, client, grant
from tenantry.core.db import Database

UNKNOWN = "org_01EHQMYV6MBK39QC5PZXHY59C3"


def not_found(identity: str) -> dict[str, str]:
    return {
        "message": f"Organization not found: '{identity}'.",
        "code": "entity_not_found",
        "entity_id": identity,
    }


@pytest.mark.parametrize("external_id", ["17", "a b", "a/b", "/", "a%2Fb", "?x=1#y", "..", "%", "+", ";"])
def test_an_organization_is_found_by_its_external_id(api: httpx.Client, external_id: str) -> None:
    made = api.post("/organizations", json={"name": "Acme", "external_id": external_id}).json()
    encoded = "".join(f"%{byte:02X}" for byte in external_id.encode())
    assert api.get(f"/organizations/external_id/{encoded}").json() == made


@pytest.mark.parametrize("path", [UNKNOWN, "x", "external_id", f"{UNKNOWN.lower()}"])
def test_an_unknown_id_is_not_found(api: httpx.Client, path: str) -> None:
    answer = api.get(f"/organizations/{path}")
    assert (answer.status_code, answer.json()) == (404, not_found(path))


def test_an_unknown_external_id_is_not_found(api: httpx.Client) -> None:
    answer = api.get("/organizations/external_id/17")
    assert (answer.status_code, answer.json()) == (404, not_found("17"))


@pytest.mark.parametrize("path", ["%00", "%FF", "external_id/%00", "external_id/%C3%28"])
def test_a_path_that_no_object_can_have_is_not_found(api: httpx.Client, path: str) -> None:
    answer = api.get(f"/organizations/{path}")
    assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})


def test_a_deleted_organization_is_gone(api: httpx.Client) -> None:
    made = api.post("/organizations", json={"name": "Acme", "domains": ["acme.com"]}).json()
    answer = api.delete(f"/organizations/{made['id']}")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (202, b"", "0")
    assert api.get(f"/organizations/{made['id']}").status_code == 404
    assert api.get("/organizations?domains=acme.com").json()["data"] == []
    again = api.delete(f"/organizations/{made['id']}")
    assert (again.status_code, again.json()) == (404, not_found(made["id"]))


def test_nothing_crosses_an_environment(api: httpx.Client, server: Server, shared_database: Database) -> None:
    made = api.post("/organizations", json={"name": "Acme", "external_id": "17", "domains": ["acme.com"]}).json()
    with client(server.base_url, grant(shared_database).key) as stranger:
        path = f"/organizations/{made['id']}"
        assert stranger.get(path).status_code == 404
        assert stranger.get("/organizations/external_id/17").status_code == 404
        assert stranger.put(path, json={"name": "Mine"}).status_code == 404
        assert stranger.delete(path).status_code == 404
        assert stranger.get("/organizations").json()["data"] == []
        assert stranger.get("/organizations?domains=acme.com&search=acme").json()["data"] == []
        assert stranger.post("/organizations", json={"name": "Acme", "external_id": "17"}).status_code == 201
    assert api.get(path).json() == made
