"""Taking organizations in from a second server process that speaks the wire, with its faults."""

import http.server
import socket
from contextlib import ExitStack, closing
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from support import Access, Server, client
from tenantry.domains.service import DEFAULT_RULES
from tenantry.transfer.remote import RemoteSource
from tenantry.transfer.service import take_all
from tenantry.transfer.sources import SourceFailed
from transfer_places import Place, faulty

_FAST = 1000.0


@pytest.fixture
def filled(server: Server, access: Access) -> list[dict[str, Any]]:
    """What a server has: more than two pages, with domains, metadata and external ids."""
    with client(server.base_url, access.key) as api:
        made = []
        for number in range(230):
            body: dict[str, Any] = {"name": f"Acme {number}", "external_id": f"crm-{number}"}
            if number % 50 == 0:
                body |= {"domain_data": [{"domain": f"acme{number}.com"}], "metadata": {"tier": "gold"}}
            made.append(api.post("/organizations", json=body).json())
    return made


def taken_in(here: Place, base_url: str, access: Access, after: str | None = None) -> list[str]:
    with closing(RemoteSource(access.key, base_url, _FAST, print)) as source:
        batches = take_all(here.database, here.caller, source, DEFAULT_RULES, after=after, dry_run=False)
        return [taken.outcome for batch in batches for taken in batch.taken]


def test_everything_comes_as_it_is_there(
    here: Place, server: Server, access: Access, filled: list[dict[str, Any]]
) -> None:
    assert taken_in(here, server.base_url, access) == ["created"] * 230
    assert here.shown() == filled
    assert taken_in(here, server.base_url, access) == ["unchanged"] * 230


def test_refusals_and_cut_connections_are_tried_again(
    here: Place, server: Server, access: Access, filled: list[dict[str, Any]]
) -> None:
    asked = []

    def fault(request: http.server.BaseHTTPRequestHandler) -> bool:
        asked.append(request.path)
        if len(asked) == 1:
            request.send_response(429)
            request.send_header("retry-after", "0")
            request.send_header("content-length", "0")
            request.end_headers()
        elif len(asked) == 3:
            request.close_connection = True
        return len(asked) in {1, 3}

    with faulty(server.base_url, fault) as base_url:
        assert taken_in(here, base_url, access) == ["created"] * 230
    assert here.shown() == filled
    assert len(asked) == 5


def test_pages_that_change_meanwhile_lose_nothing_that_stays(
    here: Place, server: Server, access: Access, filled: list[dict[str, Any]]
) -> None:
    """What is deleted, at the end of a page too, and what is added does not shift the pages after it."""
    asked = []

    def fault(request: http.server.BaseHTTPRequestHandler) -> bool:
        asked.append(request.path)
        if len(asked) == 2:
            with client(server.base_url, access.key) as api:
                for number in (0, 99, 100, 150):
                    api.delete(f"/organizations/{filled[number]['id']}")
                api.post("/organizations", json={"name": "Last"})
        return False

    with faulty(server.base_url, fault) as base_url:
        assert len(taken_in(here, base_url, access)) == 229
    names = [each["name"] for each in here.shown()]
    stay = [each["name"] for number, each in enumerate(filled) if number not in {100, 150}]
    assert names == [*stay, "Last"]


def test_when_the_server_stays_away_what_came_is_kept_and_it_goes_on_from_there(
    here: Place, server: Server, access: Access, filled: list[dict[str, Any]]
) -> None:
    def fault(request: http.server.BaseHTTPRequestHandler) -> bool:
        if "after" in request.path:
            request.send_response(401)
            request.send_header("content-length", "0")
            request.end_headers()
            return True
        return False

    with faulty(server.base_url, fault) as base_url, pytest.raises(SourceFailed, match="does not give"):
        taken_in(here, base_url, access)
    assert len(here.shown()) == 100
    assert taken_in(here, server.base_url, access, after=filled[99]["id"]) == ["created"] * 130
    assert here.shown() == filled


def answering(data: list[dict[str, Any]], after: str | None) -> bytes:
    return msgspec.json.encode({"object": "list", "data": data, "list_metadata": {"before": None, "after": after}})


def test_a_short_page_is_not_the_end_but_one_without_a_cursor_is() -> None:
    pages = {
        None: answering([{"id": "org_1", "name": "One"}], "org_1"),
        "org_1": answering([], "org_2"),
        "org_2": answering([{"id": "org_3", "name": "Three"}], None),
    }

    def fault(request: http.server.BaseHTTPRequestHandler) -> bool:
        text = pages[parse_qs(urlsplit(request.path).query).get("after", [None])[0]]
        request.send_response(200)
        request.send_header("content-length", str(len(text)))
        request.end_headers()
        request.wfile.write(text)
        return True

    with faulty("", fault) as base_url, closing(RemoteSource("sk_test", base_url, _FAST, print)) as source:
        assert [item.cursor for item in source.items(None)] == ["org_1", "org_3"]


def test_accounts_are_told_apart_without_their_keys() -> None:
    keys = ["sk_test_a2V5XzAxSE1", "sk_test_a2V5XzAxSE2"]
    with ExitStack() as stack:
        names = [stack.enter_context(closing(RemoteSource(key, None, 1, print))).name for key in keys]
    assert names[0] != names[1]
    assert all("sk_test" not in name for name in names)


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:abc", "http://[::1", "http://", "https://a b", "http://x?y=1"]
)
def test_what_is_no_address_is_refused_before_anything_is_sent(address: str) -> None:
    with pytest.raises(SourceFailed, match="is not the address of a server"):
        RemoteSource("sk_test", address, 1, print)


@pytest.mark.parametrize("key", ["sk_tést", "sk_test\nb", " "])
def test_what_is_no_key_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(SourceFailed, match="Copy it again") as failed:
        RemoteSource(key, None, 1, print)
    assert "sk_" not in str(failed.value)


def test_a_server_that_is_not_there_is_asked_three_times_and_each_wait_is_told() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    told: list[str] = []
    source = RemoteSource("sk_test\n", f"http://127.0.0.1:{port}", _FAST, told.append)
    with closing(source), pytest.raises(SourceFailed, match="does not give its organizations"):
        next(source.items(None))
    assert len(told) == 2
    assert all("Trying again in" in each for each in told)
