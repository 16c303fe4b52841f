"""Requests made up from our own OpenAPI document: no 5xx, no answer that the document does not describe."""

from typing import Any

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

schema = schemathesis.openapi.from_dict(openapi.document(RESOURCES, __version__))


@pytest.fixture(scope="session")
def fuzzed_key(shared_database: Database) -> str:
    """A key of an environment that all made-up requests share, so that they meet each other's objects."""
    return grant(shared_database).key


@schema.parametrize()
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_operation_stands_made_up_requests(case: Case, server: Server, fuzzed_key: str) -> None:
    headers = {"authorization": f"Bearer {fuzzed_key}"}
    case.call_and_validate(base_url=server.base_url, headers=headers, checks=CHECKS)
