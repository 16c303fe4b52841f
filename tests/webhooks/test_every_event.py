"""Every event that Tenantry makes, made by what makes it, is verified and read by the official SDKs."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from workos import WorkOSClient
from workos.events.models import EventSchemaUnknown

from hooks import subscribe
from receivers import Receiver
from registry import Registry
from support import ROOT, Access
from tenantry.core.clock import system_clock
from tenantry.core.db import Database, World, open_database
from tenantry.events.wire import EventName

NODE = ROOT / "tests/sdk/node"
READ = """
import { readFile } from 'node:fs/promises';
const { sdk, webhooks, feed } = JSON.parse(await readFile('/dev/stdin', 'utf8'));
const { WorkOS } = await import(sdk);
const workos = new WorkOS(feed.key, { apiHostname: '127.0.0.1', port: feed.port, https: false });
const arrived = {};
for (const { body, signature, secret } of webhooks) {
  const payload = JSON.parse(body);
  const event = await workos.webhooks.constructEvent({ payload, sigHeader: signature, secret });
  arrived[payload.event] = event ?? null;
}
const { data } = await workos.events.listEvents({ events: feed.names, limit: 100 });
console.log(JSON.stringify({ arrived, listed: data }));
"""

EVERY_NAME = {each.value for each in EventName}
IN_THE_FEED = EVERY_NAME - {EventName.WEBHOOK_ENDPOINT_TEST.value}
OUR_OWN = EVERY_NAME - set(files("tenantry.events").joinpath("names.txt").read_text("utf-8").split())


class Sent(msgspec.Struct):
    """A webhook as it arrived."""

    event: dict[str, Any]
    body: str
    signature: str
    secret: str


def make_every_event(hooks: httpx.Client, receiver: Receiver, gone: Receiver, registry: Registry) -> list[Sent]:
    """Let Tenantry make every event that it can make; return the first of each that the receiver got."""
    endpoint = subscribe(hooks, receiver.url, *sorted(IN_THE_FEED))
    subscribe(hooks, gone.url, "organization.created")
    domain = {"domain": "a.com", "state": "pending"}
    made = hooks.post("/organizations", json={"name": "Müller & Söhne", "domain_data": [domain]}).json()
    path = f"/organizations/{made['id']}"
    hooks.put(path, json={"name": "New", "domain_data": [domain | {"state": "verified"}]})
    hooks.delete(path)
    hooks.post(f"/tenantry/webhook_endpoints/{endpoint['id']}/test")
    let_domains_live(registry)
    first: dict[str, Sent] = {}
    count = 0
    while set(first) != EVERY_NAME:
        count += 1
        each = receiver.wait_for(count)[count - 1]
        event = json.loads(each["body"])
        sent = Sent(event, each["body"], each["headers"]["workos-signature"], endpoint["secret"])
        first.setdefault(event["event"], sent)
    return list(first.values())


def let_domains_live(registry: Registry) -> None:
    """Let one domain be lost and found, two organizations contest another, and a third fail and be tried anew."""
    watched = registry.new_claim("watched.com")
    registry.pass_days(1, **{watched: True})
    registry.pass_days(6)
    holder = registry.new_claim("contested.com")
    registry.pass_days(1, **{watched: True, holder: True})
    challenger, failing = registry.new_claim("contested.com"), registry.new_claim("failing.com")
    registry.pass_days(1, **{watched: True, holder: True, challenger: True})
    registry.pass_days(30, **{watched: True, holder: True})
    registry.verify(failing)


@pytest.fixture
def registry(database_url: str, hook_access: Access, hook_database: Database) -> Iterator[Registry]:
    """The environment of `hooks`, in which a test may let days pass."""
    now = [system_clock()()]
    database = open_database(database_url, World(lambda: now[0], os.urandom))
    yield Registry(database, now, environment_id=hook_access.environment_id)
    database.close()


@pytest.fixture
def sent(hooks: httpx.Client, receive: Any, registry: Registry) -> list[Sent]:
    return make_every_event(hooks, receive(), receive(answer=410), registry)


def test_the_python_sdk_verifies_and_reads_each_as_it_arrives(sent: list[Sent]) -> None:
    """Those of our own, which it cannot know, it hands on as they are."""
    sdk = WorkOSClient(api_key="sk_test", base_url="http://127.0.0.1:1")
    for each in sent:
        body = each.body.encode()
        event = sdk.webhooks.verify_event(event_body=body, event_signature=each.signature, secret=each.secret)
        assert isinstance(event, EventSchemaUnknown) == (each.event["event"] in OUR_OWN)
        read = event.to_dict()
        assert (read["event"], read["id"]) == (each.event["event"], each.event["id"])
        assert each.event["data"] | read["data"] == each.event["data"]
        with pytest.raises(ValueError, match="does not match"):
            sdk.webhooks.verify_event(event_body=body + b" ", event_signature=each.signature, secret=each.secret)


def test_the_python_sdk_reads_each_in_the_feed(hooks: httpx.Client, sent: list[Sent]) -> None:
    key = hooks.headers["authorization"].removeprefix("Bearer ")
    with WorkOSClient(api_key=key, base_url=str(hooks.base_url)) as sdk:
        listed = list(sdk.events.list_events(events=sorted(IN_THE_FEED)).auto_paging_iter())
    assert {each.to_dict()["event"] for each in listed} == IN_THE_FEED
    assert {each.to_dict()["id"] for each in listed} >= {
        each.event["id"] for each in sent if each.event["event"] in IN_THE_FEED
    }


@pytest.mark.parametrize(("sdk", "unread"), [("workos-newest", set()), ("workos-old", OUR_OWN)])
def test_the_node_sdk_verifies_and_reads_each(
    hooks: httpx.Client, sent: list[Sent], sdk: str, unread: set[str]
) -> None:
    """As it arrives and in the feed. An old one verifies those of our own, and gives nothing in their place."""
    read = run_node(hooks, sdk, sent)
    assert {name for name, event in read["arrived"].items() if event is None} == unread
    for each in sent:
        event = read["arrived"][each.event["event"]]
        assert event is None or (event["event"], event["id"]) == (each.event["event"], each.event["id"])
    assert [event["event"] for event in read["listed"] if event is not None] == [
        each["event"] for each in feed(hooks) if each["event"] not in unread
    ]


def feed(hooks: httpx.Client) -> list[dict[str, Any]]:
    answer = hooks.get("/events", params={"events": ",".join(sorted(IN_THE_FEED)), "limit": 100})
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


def run_node(hooks: httpx.Client, sdk: str, sent: list[Sent]) -> dict[str, Any]:
    """Return what the SDK makes of what was sent and of the feed."""
    node = shutil.which("node")
    if node is None or not Path(NODE / "node_modules").is_dir():
        pytest.skip("NO NODE SDK: run: npm ci --prefix tests/sdk/node")
    key = hooks.headers["authorization"].removeprefix("Bearer ")
    given = {
        "sdk": sdk,
        "webhooks": sent,
        "feed": {"key": key, "port": hooks.base_url.port, "names": sorted(IN_THE_FEED)},
    }
    run = subprocess.run(
        [node, "--input-type=module", "--eval", READ],
        cwd=NODE,
        env={"PATH": os.environ["PATH"]},
        input=msgspec.json.encode(given),
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert run.returncode == 0, run.stderr.decode()
    read: dict[str, Any] = json.loads(run.stdout)
    return read
