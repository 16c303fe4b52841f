"""Metadata keys that are declared for some operations, which come after all others."""

import time

import httpx

from bench.operations import DECLARED, FOR_DECLARED, Loaded, Operation

_LOOK_SECONDS = 0.5
_ANSWER_SECONDS = 30
_KEYS = "/tenantry/metadata_keys"


def declare_for(operation: Operation[Loaded], base_url: str, key: str) -> None:
    """Declare the keys if `operation` is for declared ones; return when all organizations are checked."""
    if operation not in FOR_DECLARED:
        return
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=base_url, headers=headers, timeout=_ANSWER_SECONDS) as client:
        for name in DECLARED:
            client.put(f"{_KEYS}/{name}", json={}).raise_for_status()
            while client.get(f"{_KEYS}/{name}").raise_for_status().json()["state"] == "checking":
                time.sleep(_LOOK_SECONDS)
