"""Metadata keys that a server is to have declared for some operations, and not for the others."""

import time

import httpx

from bench.operations import DECLARED, FOR_DECLARED, Loaded, Operation

_LOOK_SECONDS = 0.5
_ANSWER_SECONDS = 30
_KEYS = "/tenantry/metadata_keys"


def prepare_for(operation: Operation[Loaded], base_url: str, key: str) -> None:
    """Have the keys declared if `operation` is for declared ones, and else not; return when that is done."""
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=base_url, headers=headers, timeout=_ANSWER_SECONDS) as client:
        if operation in FOR_DECLARED:
            _declare(client)
        else:
            _undeclare(client)


def _declare(client: httpx.Client) -> None:
    for name in DECLARED:
        client.put(f"{_KEYS}/{name}", json={}).raise_for_status()
    while any(each["state"] == "checking" for each in _declared(client)):
        time.sleep(_LOOK_SECONDS)


def _undeclare(client: httpx.Client) -> None:
    for each in _declared(client):
        client.delete(f"{_KEYS}/{each['key']}").raise_for_status()
    while _declared(client):
        time.sleep(_LOOK_SECONDS)


def _declared(client: httpx.Client) -> list[dict[str, str]]:
    found: list[dict[str, str]] = client.get(_KEYS).raise_for_status().json()["data"]
    return found
