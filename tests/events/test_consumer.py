"""The consumer of docs/events.md, as it is printed, killed at any of its lines, ends with an exact copy."""

import json
import random
import re
import sqlite3
import sys
import time
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import httpx
import pytest

from registry import RULES, examination
from support import ROOT, Access, Server, caller_in
from tenantry.core.db import Database, Transaction
from tenantry.domains import checks
from tenantry.domains import service as domains
from tenantry.domains.checks import Check, Result
from tenantry.domains.service import DEFAULT_RULES
from tenantry.domains.wire import CreateOrganizationDomain, DomainName
from tenantry.organizations import service
from tenantry.organizations.wire import CreateOrganization, UpdateOrganization

PAGE = (ROOT / "docs" / "events.md").read_text("utf-8")
FILE = "consumer.py"
STEPS = 60

Copy = dict[str, dict[str, Any]]


def printed() -> CodeType:
    """Return the consumer of the page: all of its Python but the endless program."""
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return compile("\n".join(block for block in blocks if "while True" not in block), FILE, "exec")


class Killed(BaseException):
    """The consumer was killed. No handler of its own sees it."""


class Consumer:
    """A process of the printed consumer, as far as one that dies can be had within a test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, server: Server, access: Access, copy: Path) -> None:
        monkeypatch.setenv("TENANTRY_URL", server.base_url)
        monkeypatch.setenv("TENANTRY_KEY", access.key)
        monkeypatch.setenv("COPY", str(copy))
        self._copy, self._code = copy, printed()
        self._start()

    def _start(self) -> None:
        self.names: dict[str, Any] = {}
        exec(self._code, self.names)
        self.names["api"].timeout = 2

    def run(self, name: str, lines: int | None = None, **arguments: object) -> Any:
        """Call a function of the consumer; kill it after so many of its lines, and start it anew."""
        try:
            return self._traced(name, lines, arguments)
        except (Killed, httpx.TransportError):
            self.close()
            self._start()
            return None

    def _traced(self, name: str, lines: int | None, arguments: dict[str, object]) -> Any:
        before = sys.gettrace()
        try:
            if lines is not None:
                sys.settrace(_killer(lines))
            return self.names[name](**arguments)
        finally:
            sys.settrace(before)

    def close(self) -> None:
        # As at the end of a process: what was not committed is gone.
        self.names["db"].close()
        self.names["api"].close()

    def copy(self) -> Copy:
        with sqlite3.connect(self._copy) as opened:
            rows = opened.execute("SELECT id, data FROM organizations").fetchall()
        opened.close()
        return {row[0]: json.loads(row[1]) for row in rows}


def _killer(lines: int) -> Any:
    left = lines

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename != FILE:
            return None
        if event == "line":
            left -= 1
            if left < 0:
                raise Killed
        return trace

    return trace


class Owner:
    """Changes organizations at random."""

    def __init__(self, database: Database, environment_id: str, chance: random.Random) -> None:
        self._database, self._chance = database, chance
        self._environment_id = environment_id
        self._caller = caller_in(environment_id)

    def change(self) -> None:
        ids = list(self.truth())
        choice = self._chance.random()
        name = str(self._chance.random())
        if not ids or choice < 0.45:
            self._database.write(lambda tx: service.create(tx, self._caller, CreateOrganization(name=name)))
        elif choice < 0.7:
            identity = self._chance.choice(ids)
            self._database.write(
                lambda tx: service.update(tx, self._caller, identity, UpdateOrganization(name=name))
            )
        elif choice < 0.9:
            self.change_domains(self._chance.choice(ids))
        else:
            identity = self._chance.choice(ids)
            self._database.write(lambda tx: service.delete(tx, self._caller, identity))

    def change_domains(self, organization_id: str) -> None:
        """Give an organization a domain, or let the one that it has be proved or taken away."""
        present = self.truth()[organization_id]["domains"]
        if not present:
            name = DomainName.parse(f"acme{self._chance.random()}.com".replace("0.", "-"))
            body = CreateOrganizationDomain(organization_id=organization_id, domain=name)
            self._database.write(
                lambda tx: domains.create(tx, self._caller, body, DEFAULT_RULES, service.refresh_domains)
            )
        elif present[0]["state"] == "pending" and self._chance.random() < 0.5:
            self.prove(present[0]["id"])
        else:
            domain_id = present[0]["id"]
            self._database.write(lambda tx: domains.delete(tx, self._caller, domain_id, service.refresh_domains))

    def prove(self, domain_id: str) -> None:
        def work(tx: Transaction) -> None:
            row = domains.get_row(tx, self._caller, domain_id)
            expected = checks.expected(row.domain, self._caller.slug)
            check = Check(self._environment_id, row.domain.organization_id, domain_id, expected)
            result = Result(check, examination(found=True), self._chance.random())
            checks.record(tx, [result], RULES, service.refresh_domains)

        self._database.write(work)

    def truth(self) -> Copy:
        rows = self._database.read(
            lambda tx: tx.all(
                "SELECT id, wire FROM organizations WHERE environment_id = :e", e=self._environment_id
            )
        )
        return {row[0]: json.loads(row[1]) for row in rows}


def spoil(copy: Path, chance: random.Random) -> None:
    """Damage a copy as a fault of its owner would: rows lost, rows made up, rows of another time."""
    with sqlite3.connect(copy) as opened:
        opened.execute(
            "DELETE FROM organizations WHERE id IN (SELECT id FROM organizations ORDER BY RANDOM() LIMIT 2)"
        )
        opened.execute(
            "UPDATE organizations SET updated_at = '2000-01-01T00:00:00.000Z', data = '{}'"
            " WHERE id IN (SELECT id FROM organizations ORDER BY RANDOM() LIMIT 2)"
        )
        opened.execute(
            "INSERT INTO organizations VALUES (?, ?, '{}')", (f"org_{chance.random()}", "2020-01-01T00:00:00.000Z")
        )
    opened.close()


def finish(consumer: Consumer, owner: Owner) -> None:
    """Follow, unharmed, until there is nothing more; on PostgreSQL the last events may be held back a while."""
    deadline = time.monotonic() + 20
    while consumer.run("follow", wait=0) or (consumer.copy() != owner.truth() and time.monotonic() < deadline):
        pass


@pytest.mark.parametrize("seed", range(6))
def test_a_consumer_killed_at_any_line_ends_with_an_exact_copy(
    monkeypatch: pytest.MonkeyPatch,
    server: Server,
    shared_database: Database,
    access: Access,
    tmp_path: Path,
    seed: int,
) -> None:
    chance = random.Random(seed)
    owner = Owner(shared_database, access.environment_id, chance)
    consumer = Consumer(monkeypatch, server, access, tmp_path / "copy.db")
    while consumer.run("position") is None:
        owner.change()
        consumer.run("snapshot", chance.randrange(60))
    for _ in range(STEPS):
        for _ in range(chance.randrange(4)):
            owner.change()
        name = chance.choice(["follow", "follow", "follow", "stream", "snapshot", "reconcile"])
        arguments = {"wait": chance.choice([0, 0, 1])} if name == "follow" else {}
        consumer.run(name, chance.randrange(80), **arguments)
    finish(consumer, owner)
    assert consumer.copy() == owner.truth()
    assert consumer.run("reconcile") == 0
    consumer.close()


@pytest.mark.parametrize("seed", range(3))
def test_reconciling_mends_a_copy_that_was_spoilt(
    monkeypatch: pytest.MonkeyPatch,
    server: Server,
    shared_database: Database,
    access: Access,
    tmp_path: Path,
    seed: int,
) -> None:
    chance = random.Random(seed)
    owner = Owner(shared_database, access.environment_id, chance)
    consumer = Consumer(monkeypatch, server, access, tmp_path / "copy.db")
    for _ in range(40):
        owner.change()
    consumer.run("snapshot")
    spoil(tmp_path / "copy.db", chance)
    assert consumer.run("reconcile") > 0
    assert consumer.copy() == owner.truth()
    finish(consumer, owner)
    assert consumer.copy() == owner.truth()
    assert consumer.run("reconcile") == 0
    consumer.close()


def test_a_snapshot_that_is_cut_off_is_thrown_away(
    monkeypatch: pytest.MonkeyPatch,
    server: Server,
    shared_database: Database,
    access: Access,
    tmp_path: Path,
) -> None:
    owner = Owner(shared_database, access.environment_id, random.Random(1))
    consumer = Consumer(monkeypatch, server, access, tmp_path / "copy.db")
    for _ in range(20):
        owner.change()
    whole = httpx.get(
        f"{server.base_url}/tenantry/snapshot", headers={"authorization": f"Bearer {access.key}"}
    ).content
    cut = whole[: whole.rindex(b"\n", 0, -1) + 1]
    consumer.names["api"].close()
    consumer.names["api"] = httpx.Client(
        base_url=server.base_url, transport=httpx.MockTransport(lambda _: httpx.Response(200, content=cut))
    )
    with pytest.raises(EOFError):
        consumer.run("snapshot")
    assert (consumer.copy(), consumer.run("position")) == ({}, None)
    consumer.close()
