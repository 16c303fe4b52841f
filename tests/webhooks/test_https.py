"""Over https a receiver is who its name says, by a trusted certificate, at the address that was checked."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme

from hooks import create, subscribe, wait_until_settled
from receivers import Receiver
from tenantry.core.db import Database
from tenantry.core.outgoing import Outcome

NAME = "receiver.example"
# In a process of its own, since the authorities that are trusted are read once, when the client is loaded.
SEND = """
import asyncio, sys
import msgspec
from tenantry.core.addresses import networks
from tenantry.core.client import Client
from tenantry.core.targets import TargetPolicy

async def resolve(name):
    return ["127.0.0.1"]

async def send(url):
    client = Client(TargetPolicy(networks=networks("127.0.0.0/8")), 5.0, resolve)
    try:
        return await client.send(url, b"{}", {})
    finally:
        await client.close()

sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(send(sys.argv[1]))))
"""


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def issued(authority: trustme.CA, name: str, folder: Path) -> Path:
    """Return a file with a certificate for `name` and its key."""
    path = folder / f"{name}.pem"
    authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(str(path))
    return path


def trusted(authority: trustme.CA, folder: Path) -> dict[str, str]:
    """Return the environment of a process that trusts `authority`."""
    path = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return {"SSL_CERT_FILE": str(path)}


def send(receiver: Receiver, environment: dict[str, str]) -> Outcome:
    """Return what comes of a webhook to the receiver by its name, which leads to this machine."""
    run = subprocess.run(
        [sys.executable, "-c", SEND, f"https://{NAME}:{receiver.port}/hook"],
        env=os.environ | environment,
        capture_output=True,
        timeout=30,
        check=True,
    )
    return msgspec.json.decode(run.stdout, type=Outcome)


def test_the_certificate_is_for_the_name_and_the_connection_to_the_address_it_leads_to(
    authority: trustme.CA, receive: Any, tmp_path: Path
) -> None:
    receiver = receive(certificate=issued(authority, NAME, tmp_path))
    outcome = send(receiver, trusted(authority, tmp_path))
    assert (outcome.status, outcome.error) == (200, None)
    (got,) = receiver.received()
    assert got["server_name"] == NAME
    assert got["headers"]["host"] == f"{NAME}:{receiver.port}"


def test_a_certificate_for_another_name_is_a_failure_that_says_so(
    authority: trustme.CA, receive: Any, tmp_path: Path
) -> None:
    receiver = receive(certificate=issued(authority, "other.example", tmp_path))
    outcome = send(receiver, trusted(authority, tmp_path))
    assert outcome.status is None
    assert outcome.error is not None
    assert outcome.error.startswith("its certificate is not trusted: Hostname mismatch")
    assert NAME in outcome.error
    assert receiver.received() == []


def test_a_certificate_of_an_authority_that_is_not_trusted_is_a_failure_that_says_so(
    authority: trustme.CA, receive: Any, tmp_path: Path
) -> None:
    receiver = receive(certificate=issued(authority, NAME, tmp_path))
    outcome = send(receiver, trusted(trustme.CA(), tmp_path))
    assert outcome.status is None
    assert outcome.error == "its certificate is not trusted: unable to get local issuer certificate"
    assert receiver.received() == []


def test_a_certificate_that_signs_itself_is_a_failure_that_says_so(
    authority: trustme.CA, receive: Any, tmp_path: Path
) -> None:
    path = tmp_path / "itself.pem"
    path.write_bytes(authority.private_key_pem.bytes() + authority.cert_pem.bytes())
    receiver = receive(certificate=path)
    outcome = send(receiver, trusted(trustme.CA(), tmp_path))
    assert outcome.status is None
    assert outcome.error == "its certificate is not trusted: self-signed certificate"
    assert receiver.received() == []


def test_a_server_trusts_the_authorities_of_ssl_cert_file(
    authority: trustme.CA, serve_hooks: Any, receive: Any, hook_database: Database, tmp_path: Path
) -> None:
    receiver = receive(certificate=issued(authority, "localhost", tmp_path))
    hooks = serve_hooks(TENANTRY_WEBHOOK_HTTP="false", **trusted(authority, tmp_path))
    subscribe(hooks, f"https://localhost:{receiver.port}")
    (made,) = create(hooks)
    (got,) = receiver.wait_for(1)
    assert got["server_name"] == "localhost"
    assert json.loads(got["body"])["data"]["id"] == made
    assert wait_until_settled(hook_database) == [("delivered", 1)]


def test_a_failed_attempt_says_that_the_certificate_was_not_trusted(
    authority: trustme.CA, serve_hooks: Any, receive: Any, hook_database: Database, tmp_path: Path
) -> None:
    receiver = receive(certificate=issued(authority, "localhost", tmp_path))
    hooks = serve_hooks(TENANTRY_WEBHOOK_HTTP="false")
    endpoint = subscribe(hooks, f"https://localhost:{receiver.port}")
    create(hooks)
    assert wait_until_settled(hook_database) == [("failed", 4)]
    (delivery,) = hooks.get(f"/tenantry/webhook_endpoints/{endpoint['id']}/deliveries").json()["data"]
    attempts = hooks.get(f"/tenantry/webhook_deliveries/{delivery['id']}/attempts").json()["data"]
    assert [attempt["response_status"] for attempt in attempts] == [None] * 4
    assert all(attempt["error"].startswith("its certificate is not trusted: ") for attempt in attempts)
    assert receiver.received() == []
