"""Requests made up from our own OpenAPI document: no 5xx, no answer that the document does not describe."""

from typing import Any
from urllib.parse import quote

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from support import Server, grant
from tenantry import __version__
from tenantry.app import RESOURCES
from tenantry.core import openapi
from tenantry.core.db import Database

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

Case = schemathesis.Case[Any]

STREAM = "/tenantry/events/stream"
FRAMING = ("connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade")
"""Headers by which HTTP finds the ends of a message: made up, they make it one that reaches no operation."""

schema = schemathesis.openapi.from_dict(openapi.document(RESOURCES, __version__))


@pytest.fixture(scope="session")
def fuzzed_key(shared_database: Database) -> str:
    """A key of an environment that all made-up requests share, so that they meet each other's objects."""
    return grant(shared_database).key


@schema.exclude(path=STREAM).parametrize()
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_operation_stands_made_up_requests(case: Case, server: Server, fuzzed_key: str) -> None:
    headers = {"authorization": f"Bearer {fuzzed_key}"}
    if case.query.get("wait") in range(1, 26):
        case.query["wait"] = 0  # what waits rightly says nothing for a long time
    for name in FRAMING:
        case.headers.pop(name, None)
    case.call_and_validate(base_url=server.base_url, headers=headers, checks=CHECKS)


@schema.include(path=STREAM).parametrize()
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_stream_begins_or_says_what_is_wrong(case: Case, server: Server, fuzzed_key: str) -> None:
    """It has no end to wait for: its beginning is looked at."""
    headers = {"authorization": f"Bearer {fuzzed_key}"}
    if "Last-Event-Id" in case.headers:
        headers["last-event-id"] = quote(case.headers["Last-Event-Id"])
    with httpx.stream("GET", server.base_url + STREAM, params=case.query, headers=headers) as answer:
        if answer.status_code == 200:
            assert answer.headers["content-type"] == "text/event-stream"
            assert next(answer.iter_bytes()).startswith(b"retry: ")
        else:
            assert answer.status_code == 422
            answer.read()
            assert answer.json()["errors"]
