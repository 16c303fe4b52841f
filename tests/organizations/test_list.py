"""GET /organizations: pages, orders, filters."""

from typing import Any

import httpx
import pytest


@pytest.fixture
def ids(api: httpx.Client) -> list[str]:
    """The ids of seven organizations, oldest first."""
    return [api.post("/organizations", json={"name": f"Org {n}"}).json()["id"] for n in range(7)]


def get(api: httpx.Client, **query: object) -> dict[str, Any]:
    answer = api.get("/organizations", params={name: str(value) for name, value in query.items()})
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def shown(page: dict[str, Any]) -> list[str]:
    return [organization["id"] for organization in page["data"]]


def names(page: dict[str, Any]) -> set[str]:
    return {organization["name"] for organization in page["data"]}


def test_an_empty_list_has_both_cursors(api: httpx.Client) -> None:
    assert get(api) == {"object": "list", "data": [], "list_metadata": {"before": None, "after": None}}


def test_ten_is_the_default_limit_and_newest_come_first(api: httpx.Client, ids: list[str]) -> None:
    more = [api.post("/organizations", json={"name": "More"}).json()["id"] for _ in range(5)]
    assert shown(get(api)) == [*ids, *more][:-11:-1]


def test_descending_pages_lead_on_by_after_and_back_by_before(api: httpx.Client, ids: list[str]) -> None:
    newest = ids[::-1]
    first = get(api, order="desc", limit=3)
    assert shown(first) == newest[:3]
    assert first["list_metadata"] == {"before": None, "after": newest[2]}
    second = get(api, order="desc", limit=3, after=newest[2])
    assert shown(second) == newest[3:6]
    assert second["list_metadata"] == {"before": newest[3], "after": newest[5]}
    last = get(api, order="desc", limit=3, after=newest[5])
    assert (shown(last), last["list_metadata"]) == (newest[6:], {"before": newest[6], "after": None})
    assert get(api, order="desc", limit=3, before=newest[3]) == first
    assert get(api, order="desc", limit=2, before=newest[3]) == get(api, order="desc", limit=2, after=newest[0])


def test_ascending_pages_are_the_same_the_other_way_round(api: httpx.Client, ids: list[str]) -> None:
    assert shown(get(api, order="asc", limit=3)) == ids[:3]
    assert shown(get(api, order="asc", limit=3, after=ids[2])) == ids[3:6]
    assert shown(get(api, order="asc", limit=3, before=ids[3])) == ids[:3]


@pytest.mark.parametrize("order", [{}, {"order": "normal"}])
def test_normal_order_swaps_the_cursors(api: httpx.Client, ids: list[str], order: dict[str, str]) -> None:
    newest = ids[::-1]
    first = get(api, limit=3, **order)
    assert (shown(first), first["list_metadata"]) == (newest[:3], {"before": newest[2], "after": None})
    second = get(api, limit=3, before=newest[2], **order)
    assert shown(second) == newest[3:6]
    assert second["list_metadata"] == {"before": newest[5], "after": newest[3]}
    assert get(api, limit=3, after=newest[3], **order) == first


def test_a_cursor_works_after_its_row_is_gone(api: httpx.Client, ids: list[str]) -> None:
    api.delete(f"/organizations/{ids[3]}")
    assert shown(get(api, order="asc", after=ids[3])) == ids[4:]
    assert shown(get(api, order="desc", after=ids[3])) == ids[2::-1]
    assert get(api, order="desc", after=ids[3])["list_metadata"]["before"] == ids[2]


def test_a_cursor_whose_row_is_gone_leads_back_only_where_rows_are(api: httpx.Client, ids: list[str]) -> None:
    api.delete(f"/organizations/{ids[6]}")
    page = get(api, order="desc", after=ids[6])
    assert (shown(page), page["list_metadata"]["before"]) == (ids[5::-1], None)
    page = get(api, order="asc", before=ids[6])
    assert (shown(page), page["list_metadata"]["after"]) == (ids[:6], None)


def test_after_counts_when_both_cursors_are_given(api: httpx.Client, ids: list[str]) -> None:
    assert get(api, order="desc", after=ids[3], before=ids[5]) == get(api, order="desc", after=ids[3])


@pytest.mark.parametrize("cursor", ["", "x", "org_1", "org_domain_01EHQMYV6MBK39QC5PZXHY59C3", "org_0'--"])
def test_a_cursor_that_is_no_id_is_refused(api: httpx.Client, cursor: str) -> None:
    answer = api.get("/organizations", params={"after": cursor, "before": cursor})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"field": "before", "code": "before must be an id that begins with org_"},
        {"field": "after", "code": "after must be an id that begins with org_"},
    ]


def test_all_wrong_parameters_are_reported_at_once(api: httpx.Client) -> None:
    answer = api.get("/organizations?limit=abc&order=up&after=x")
    assert (answer.status_code, answer.json()["message"]) == (422, "Validation failed")
    assert answer.json()["errors"] == [
        {"field": "after", "code": "after must be an id that begins with org_"},
        {"field": "limit", "code": "limit must be an integer number"},
        {"field": "order", "code": "order must be one of the following values: normal, desc, asc"},
    ]


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ("0", "must not be less than 1"),
        ("101", "must not be greater than 100"),
        ("", "must be an integer number"),
        ("1.5", "must be an integer number"),
        ("9" * 5000, "must be an integer number"),
    ],
)
def test_a_limit_out_of_bounds_is_refused(api: httpx.Client, limit: str, sentence: str) -> None:
    answer = api.get("/organizations", params={"limit": limit})
    assert (answer.status_code, answer.json()["errors"]) == (
        422,
        [{"field": "limit", "code": f"limit {sentence}"}],
    )


@pytest.mark.parametrize(
    "spelling",
    [
        "domains=a.com,b.com",
        "domains=a.com%2Cb.com",
        "domains=a.com&domains=b.com",
        "domains[]=a.com&domains[]=b.com",
        "domains%5B%5D=a.com&domains%5B%5D=b.com",
        "domains[0]=a.com&domains[1]=b.com",
        "domains[]=a.com,b.com",
        "domains=A.com.,%20,b.COM%20",
    ],
)
def test_every_spelling_of_the_domains_filter_is_any_of(api: httpx.Client, spelling: str) -> None:
    for name in ("a.com", "b.com", "c.com"):
        api.post("/organizations", json={"name": name, "domains": [name]})
    assert names(api.get(f"/organizations?{spelling}").json()) == {"a.com", "b.com"}


def test_an_organization_with_two_matching_domains_comes_once(api: httpx.Client) -> None:
    api.post("/organizations", json={"name": "Both", "domains": ["a.com", "b.com"]})
    assert len(get(api, domains="a.com,b.com")["data"]) == 1


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("acme", {"ACME Inc", "Café Acme"}),
        ("CAFÉ", {"Café Acme"}),
        ("cafe", set()),
        ("100%", {"100% Juice"}),
        ("0_0", set()),
        ("_", {"snake_case"}),
        ("\\", {"back\\slash"}),
        ("strasse", {"Straße 7"}),
        ("ß", {"Straße 7"}),
        ("🦆", {"Duck 🦆"}),
        ("'; --", set()),
        ("", {"ACME Inc", "Café Acme", "100% Juice", "snake_case", "back\\slash", "Straße 7", "Duck 🦆"}),
    ],
)
def test_search_finds_a_substring_of_the_name_whatever_the_case(
    api: httpx.Client, search: str, found: set[str]
) -> None:
    for name in ("ACME Inc", "Café Acme", "100% Juice", "snake_case", "back\\slash", "Straße 7", "Duck 🦆"):
        api.post("/organizations", json={"name": name})
    assert names(get(api, search=search)) == found


def test_filters_and_cursors_combine(api: httpx.Client) -> None:
    made = [
        api.post("/organizations", json={"name": f"Acme {n}", "domains": ["a.com" if n % 2 else "b.com"]}).json()[
            "id"
        ]
        for n in range(6)
    ]
    api.post("/organizations", json={"name": "Other", "domains": ["a.com"]})
    page = get(api, search="acme", domains="a.com", order="asc", limit=2)
    assert (shown(page), page["list_metadata"]["after"]) == ([made[1], made[3]], made[3])
    assert shown(get(api, search="acme", domains="a.com", order="asc", after=made[3])) == [made[5]]


def test_unknown_parameters_are_ignored(api: httpx.Client, ids: list[str]) -> None:
    assert len(get(api, surprise="1")["data"]) == len(ids)
