"""The client connects to addresses that were checked, whatever a name server says when."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from receivers import Receiver
from tenantry.core.addresses import networks
from tenantry.core.client import Client, Resolve
from tenantry.core.outgoing import Outcome
from tenantry.core.targets import TargetPolicy

PRODUCTION_BUT_HTTP = TargetPolicy(http=True)
LOCAL = TargetPolicy(http=True, networks=networks("127.0.0.0/8"))


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    started = Receiver(tmp_path)
    yield started
    started.kill()


def answering(*answers: list[str]) -> tuple[Resolve, list[str]]:
    """Return a resolver that gives one answer after the other, the last one again, and what it was asked."""
    left, asked = list(answers), []

    async def resolve(name: str) -> list[str]:
        asked.append(name)
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve, asked


async def send(policy: TargetPolicy, resolve: Resolve, *urls: str, seconds: float = 2.0) -> list[Outcome]:
    client = Client(policy, seconds, resolve)
    try:
        return [await client.send(url, b"{}", {}) for url in urls]
    finally:
        await client.close()


async def test_a_name_is_connected_to_at_the_address_it_was_resolved_to(receiver: Receiver) -> None:
    resolve, asked = answering(["127.0.0.1"])
    (outcome,) = await send(LOCAL, resolve, f"http://receiver.example:{receiver.port}/hook")
    assert (outcome.status, outcome.answer, outcome.error) == (200, b"thanks", None)
    (got,) = receiver.received()
    assert got["headers"]["host"] == f"receiver.example:{receiver.port}"
    assert asked == ["receiver.example"]


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "0.0.0.0"],
)
async def test_a_name_that_leads_inside_is_refused(receiver: Receiver, address: str) -> None:
    resolve, _ = answering([address])
    (outcome,) = await send(PRODUCTION_BUT_HTTP, resolve, f"http://rebound.example:{receiver.port}")
    assert outcome.status is None
    assert "is not a public address" in (outcome.error or "")
    assert receiver.received() == []


async def test_an_answer_that_changes_between_checks_does_not_help(receiver: Receiver) -> None:
    """Public when it is first asked for, this machine ever after: no request gets there."""
    resolve, asked = answering(["192.0.2.1"], ["127.0.0.1"])
    urls = [f"http://rebound.example:{receiver.port}"] * 3
    outcomes = await send(PRODUCTION_BUT_HTTP, resolve, *urls, seconds=0.5)
    assert [outcome.status for outcome in outcomes] == [None] * 3
    assert len(asked) == 3
    assert receiver.received() == []


async def test_of_several_addresses_only_allowed_ones_are_tried(receiver: Receiver) -> None:
    resolve, _ = answering(["10.0.0.1", "127.0.0.1", "::1"])
    (outcome,) = await send(LOCAL, resolve, f"http://mixed.example:{receiver.port}")
    assert outcome.status == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "localhost."])
async def test_a_literal_that_was_stored_before_the_policy_changed_is_refused(
    receiver: Receiver, host: str
) -> None:
    resolve, _ = answering(["127.0.0.1"])
    (outcome,) = await send(PRODUCTION_BUT_HTTP, resolve, f"http://{host}:{receiver.port}")
    assert outcome.status is None
    assert receiver.received() == []


async def test_a_receiver_that_does_not_answer_in_time_has_failed(tmp_path: Path) -> None:
    slow = Receiver(tmp_path, seconds=5)
    try:
        resolve, _ = answering(["127.0.0.1"])
        (outcome,) = await send(LOCAL, resolve, slow.url, seconds=0.3)
        assert (outcome.status, outcome.error) == (None, "no answer in time")
        assert not outcome.delivered
    finally:
        slow.kill()


async def test_no_more_than_four_kibibytes_of_an_answer_are_kept() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 1_000_000)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        resolve, _ = answering(["127.0.0.1"])
        (outcome,) = await send(LOCAL, resolve, f"http://127.0.0.1:{port}")
    assert outcome.answer == b"x" * 4096
    assert outcome.delivered


async def test_a_name_without_an_address_is_told() -> None:
    async def resolve(_name: str) -> list[str]:
        raise OSError("no such name")

    (outcome,) = await send(LOCAL, resolve, "http://nowhere.example")
    assert outcome.status is None
    assert "no such name" in (outcome.error or "")
