"""Where domains are unique: of those who claim one in the same moment, one has it."""

from concurrent.futures import ThreadPoolExecutor

import httpx


def test_of_many_creates_with_one_domain_at_once_one_is_made(unique_api: httpx.Client) -> None:
    def create(number: int) -> int:
        body = {"name": f"Number {number}", "domain_data": [{"domain": "acme.com", "state": "pending"}]}
        return unique_api.post("/organizations", json=body).status_code

    with ThreadPoolExecutor(16) as threads:
        statuses = sorted(threads.map(create, range(32)))
    assert statuses == [201] + [409] * 31


def test_a_domain_that_was_given_up_may_be_claimed_by_another(unique_api: httpx.Client) -> None:
    body = {"name": "First", "domains": ["acme.com"]}
    first = unique_api.post("/organizations", json=body).json()
    assert unique_api.post("/organizations", json=body).status_code == 409
    unique_api.delete(f"/organizations/{first['id']}")
    assert unique_api.post("/organizations", json=body).status_code == 201
