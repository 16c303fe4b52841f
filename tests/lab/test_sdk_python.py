"""The official Python SDK meets every fault: as the documented exception, or not at all after its retries."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
import workos
from workos import WorkOSClient
from workos._errors import APIError, WorkOSTimeoutError

from support import Server

FAULTS = "/tenantry/lab/faults"
REQUESTS = "/tenantry/lab/requests"
AT_ONCE = {"Retry-After": "0"}
"""So that nobody waits: without it the SDK waits a second before its first retry, and no option changes that."""

Sdk = Callable[..., WorkOSClient]


@pytest.fixture
def sdk(dev: Server, universe: httpx.Client) -> Iterator[Sdk]:
    """Makes clients of the test's universe."""
    with ExitStack() as stack:

        def make(**options: Any) -> WorkOSClient:
            key = universe.headers["authorization"].removeprefix("Bearer ")
            return stack.enter_context(WorkOSClient(api_key=key, base_url=dev.base_url, **options))

        yield make


def let(universe: httpx.Client, **rule: Any) -> None:
    made = universe.post(FAULTS, json=rule)
    assert made.status_code == 201, made.text


def names(universe: httpx.Client) -> list[str]:
    return [each["name"] for each in universe.get("/organizations").json()["data"]]


def creates(universe: httpx.Client) -> list[dict[str, Any]]:
    """Return the creates of the universe's log, the oldest first."""
    parameters = {"operation": "organizations.create", "order": "asc"}
    found: list[dict[str, Any]] = universe.get(REQUESTS, params=parameters).json()["data"]
    return found


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, workos.BadRequestError),
        (401, workos.AuthenticationError),
        (403, workos.AuthorizationError),
        (404, workos.NotFoundError),
        (409, workos.ConflictError),
        (422, workos.UnprocessableEntityError),
        (500, workos.ServerError),
        (503, workos.ServerError),
    ],
)
def test_a_status_is_the_documented_exception(
    universe: httpx.Client, sdk: Sdk, status: int, error: type[APIError]
) -> None:
    let(universe, fault="status", method="POST", status=status, body={"message": "As it was set.", "code": "set"})
    with pytest.raises(error) as raised:
        sdk(max_retries=0).organizations.create_organization(name="Acme")
    assert (raised.value.message, raised.value.code, raised.value.status_code) == ("As it was set.", "set", status)
    assert raised.value.request_id == creates(universe)[0]["request_id"]
    assert names(universe) == []


def test_a_rate_limit_is_the_documented_exception_with_its_wait(universe: httpx.Client, sdk: Sdk) -> None:
    let(universe, fault="rate_limit", retry_after=7)
    with pytest.raises(workos.RateLimitExceededError) as raised:
        sdk(max_retries=0).organizations.create_organization(name="Acme")
    assert raised.value.retry_after == 7


@pytest.mark.parametrize(
    "rule",
    [
        {"fault": "rate_limit", "retry_after": 0},
        *({"fault": "status", "status": status, "headers": AT_ONCE} for status in (500, 502, 503, 504)),
        {"fault": "status", "status": 502, "body": "<h1>502 Bad Gateway</h1>", "headers": AT_ONCE},
    ],
    ids=["rate_limit", "500", "502", "503", "504", "html"],
)
def test_what_is_over_after_three_times_is_retried_away(
    universe: httpx.Client, sdk: Sdk, rule: dict[str, Any]
) -> None:
    let(universe, times=3, **rule)
    assert sdk().organizations.create_organization(name="Acme").name == "Acme"
    found = creates(universe)
    assert [entry["answer"]["status"] for entry in found][3:] == [201]
    assert len({entry["headers"]["idempotency-key"] for entry in found}) == 1
    assert names(universe) == ["Acme"]


@pytest.mark.parametrize(("fault", "executed"), [("drop", 1), ("lose", 2), ("truncate", 2)])
def test_a_connection_that_ends_is_retried_away_and_makes_one_organization(
    universe: httpx.Client, sdk: Sdk, fault: str, executed: int
) -> None:
    let(universe, fault=fault, method="POST", times=1)
    made = sdk().organizations.create_organization(name="Acme")
    assert names(universe) == ["Acme"]
    found = creates(universe)
    assert [entry["sent"] for entry in found] == ["part" if fault == "truncate" else "none", "all"]
    answered = [entry["answer"] for entry in found if entry["answer"]]
    assert [answer["body"]["id"] for answer in answered] == [made.id] * executed
    assert answered[-1]["headers"].get("tenantry-idempotent-replay") == ("true" if executed == 2 else None)


@pytest.mark.parametrize("fault", ["drop", "lose", "truncate"])
def test_a_connection_that_ends_each_time_is_the_documented_exception(
    universe: httpx.Client, sdk: Sdk, fault: str
) -> None:
    let(universe, fault=fault)
    with pytest.raises(workos.WorkOSError, match="Network error"):
        sdk(max_retries=0).organizations.create_organization(name="Acme")


def test_an_answer_that_is_too_late_is_the_documented_exception(universe: httpx.Client, sdk: Sdk) -> None:
    let(universe, fault="latency", latency={"milliseconds": 2000}, times=1)
    with pytest.raises(WorkOSTimeoutError):
        sdk(max_retries=0, request_timeout=1).organizations.create_organization(name="Acme")


def test_a_lost_answer_makes_two_organizations_without_a_key_and_one_with_it(
    universe: httpx.Client, sdk: Sdk
) -> None:
    client = sdk(max_retries=0)
    options = workos.RequestOptions(idempotency_key="signup-1")
    for name, request_options in (("Without", None), ("With", options)):
        let(universe, fault="lose", method="POST", times=1)
        with pytest.raises(workos.WorkOSError):
            client.organizations.create_organization(name=name, request_options=request_options)
        client.organizations.create_organization(name=name, request_options=request_options)
    # By itself the SDK makes a new key for each call, and repeats it only over the retries of that call.
    assert sorted(names(universe)) == ["With", "Without", "Without"]
