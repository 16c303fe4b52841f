"""GET /events: the feed that an app follows."""

from typing import Any

import httpx
import pytest

NAMES = "organization.created,organization.updated,organization.deleted"
CREATED = "organization.created"


@pytest.fixture
def ids(api: httpx.Client) -> list[str]:
    """The ids of seven organizations, in the order of their creation."""
    return [api.post("/organizations", json={"name": f"Org {n}"}).json()["id"] for n in range(7)]


def get(api: httpx.Client, events: str = NAMES, **query: object) -> dict[str, Any]:
    answer = api.get("/events", params={"events": events} | {name: str(value) for name, value in query.items()})
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def subjects(page: dict[str, Any]) -> list[str]:
    return [event["data"]["id"] for event in page["data"]]


def test_events_are_needed_by_name(api: httpx.Client) -> None:
    for query in ("", "?events=", "?events=,", "?limit=5"):
        answer = api.get(f"/events{query}")
        assert answer.status_code == 400
        assert answer.json() == {
            "message": "One or more event names (e.g. dsync.user.created) must be provided "
            "using the events parameter.",
            "code": "invalid_events_request",
        }


def test_an_unknown_name_is_named(api: httpx.Client) -> None:
    answer = api.get("/events?events=organization.created,organization.exploded")
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {
            "field": "events",
            "code": "each value in events must be the name of an event; 'organization.exploded' is not",
        }
    ]


def test_names_that_tenantry_does_not_make_are_known(api: httpx.Client) -> None:
    assert get(api, "dsync.user.created,vault.data.created")["data"] == []


def test_an_empty_feed_has_its_cursor(api: httpx.Client) -> None:
    assert get(api) == {"object": "list", "data": [], "list_metadata": {"after": None}}


@pytest.mark.parametrize("order", ["desc", "asc", "normal", "whatever"])
def test_events_come_oldest_first_whatever_order_says(api: httpx.Client, ids: list[str], order: str) -> None:
    assert subjects(get(api, order=order)) == ids


def test_pages_lead_on_by_after(api: httpx.Client, ids: list[str]) -> None:
    first = get(api, limit=3)
    assert subjects(first) == ids[:3]
    assert first["list_metadata"]["after"] == first["data"][-1]["id"]
    second = get(api, limit=3, after=first["list_metadata"]["after"])
    last = get(api, limit=3, after=second["list_metadata"]["after"])
    assert subjects(second) + subjects(last) == ids[3:]
    assert last["list_metadata"] == {"after": None}


def test_a_consumer_polls_with_the_last_id_it_saw(api: httpx.Client, ids: list[str]) -> None:
    last = get(api)["data"][-1]["id"]
    assert get(api, after=last)["data"] == []
    made = api.post("/organizations", json={"name": "New"}).json()
    assert subjects(get(api, after=last)) == [made["id"]]


@pytest.mark.parametrize(
    "spelling",
    [
        "events=organization.created,organization.deleted",
        "events=organization.created&events=organization.deleted",
        "events[]=organization.created&events[]=organization.deleted",
        "events[0]=organization.created&events[1]=organization.deleted&events[2]=organization.deleted",
    ],
)
def test_every_spelling_of_names_is_any_of(api: httpx.Client, spelling: str) -> None:
    made = api.post("/organizations", json={"name": "A", "domains": ["a.com"]}).json()
    api.put(f"/organizations/{made['id']}", json={"name": "B"})
    api.delete(f"/organizations/{made['id']}")
    names = [event["event"] for event in api.get(f"/events?{spelling}").json()["data"]]
    assert names == ["organization.created", "organization.deleted"]


def test_an_organizations_events_are_its_domains_too(api: httpx.Client, ids: list[str]) -> None:
    made = api.post("/organizations", json={"name": "A", "domains": ["a.com"]}).json()
    page = get(api, f"{NAMES},organization_domain.created", organization_id=made["id"])
    assert subjects(page) == [made["id"], made["domains"][0]["id"]]
    assert get(api, organization_id="org_unknown")["data"] == []


def test_a_range_of_time_holds_both_its_ends(api: httpx.Client, ids: list[str]) -> None:
    times = [event["created_at"] for event in get(api)["data"]]
    within = get(api, range_start=times[2], range_end=times[4])["data"]
    assert [event["created_at"] for event in within] == [time for time in times if times[2] <= time <= times[4]]
    assert get(api, range_start="2100-01-01T00:00:00Z")["data"] == []
    assert get(api, range_end="2000-01-01")["data"] == []
    assert subjects(get(api, range_start="2000-01-01T00:00:00Z")) == ids
    assert subjects(get(api, range_start="0001-01-01", range_end="9999-12-31")) == ids
    assert get(api, range_end="0999-12-31")["data"] == []


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("range_start=2026-01-01T00:00:00%2B02:00", "range_start must be an ISO 8601 time in UTC"),
        ("range_end=yesterday", "range_end must be an ISO 8601 time in UTC"),
        ("range_end=2026-13-01T00:00:00Z", "range_end must be an ISO 8601 time in UTC"),
        ("after=org_01EHQMYV6MBK39QC5PZXHY59C3", "after must be an id that begins with event_"),
        ("limit=0", "limit must not be less than 1"),
        (
            "after=event_01EHQMYV6MBK39QC5PZXHY59C3&range_start=2026-01-01T00:00:00Z",
            "range_start must not be given together with after",
        ),
    ],
)
def test_a_wrong_parameter_is_told(api: httpx.Client, query: str, sentence: str) -> None:
    answer = api.get(f"/events?events={CREATED}&{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"].startswith(sentence)


def test_a_cursor_whose_event_is_gone_leads_on_from_its_time(api: httpx.Client, ids: list[str]) -> None:
    assert subjects(get(api, after="event_01EHQMYV6MBK39QC5PZXHY59C3")) == ids


def test_nothing_crosses_an_environment(api: httpx.Client, ids: list[str], unique_api: httpx.Client) -> None:
    assert get(unique_api)["data"] == []
    assert get(unique_api, after=get(api)["data"][0]["id"])["data"] == []
