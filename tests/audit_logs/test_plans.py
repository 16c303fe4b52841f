"""What an export reads next is found by an index from there on, however large the trail is."""

import re
from itertools import pairwise
from random import Random
from typing import Any, LiteralString

import pytest
from msgspec.structs import replace

from audit_events import ACTIONS, EVERYTHING, declare, exported, new_organization, random_event, write
from support import grant, seal_all
from tenantry.audit_logs.export_store import Kind
from tenantry.audit_logs.filters import Filter
from tenantry.core.db import Database, Row, Transaction

CHOSEN: dict[str, tuple[Kind, Filter]] = {
    "csv of all": ("csv", EVERYTHING),
    "csv of an action": ("csv", replace(EVERYTHING, actions=ACTIONS[:1])),
    "chain": ("chain", EVERYTHING),
    "ndjson of an action": ("ndjson", replace(EVERYTHING, actions=ACTIONS[:1])),
    "ndjson of a target": ("ndjson", replace(EVERYTHING, target_ids=["team_1"])),
    "ndjson of a text": ("ndjson", replace(EVERYTHING, text="blue")),
}
# A step that reads all events of a trail, or of all trails, their targets or their seals.
READS_ALL = {
    "sqlite": re.compile(
        r"^SCAN (audit_log_(events|targets|seals)|e|event|s|t)\b|^SEARCH (?!audit_log_c).*\(trail=\?\)"
    ),
    "postgres": re.compile(
        r"Scan.* on audit_log_(events|targets|seals)\S*( \w+)?  .*Index Cond: \(trail = [^ ]+\)$"
    ),
}


class Explained:
    """A transaction that keeps the plan of each of its queries, and runs it."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self.engine = tx.engine
        self.now = tx.now
        self.plans: dict[str, list[str]] = {}

    def all(self, sql: LiteralString, **parameters: object) -> list[Row]:
        explain: LiteralString = "EXPLAIN QUERY PLAN " if self.engine == "sqlite" else "EXPLAIN "
        self.plans[sql] = [str(row[-1]).strip() for row in self._tx.all(explain + sql, **parameters)]
        return self._tx.all(sql, **parameters)

    def one(self, sql: LiteralString, **parameters: object) -> Row | None:
        rows = self.all(sql, **parameters)
        return rows[0] if rows else None


@pytest.mark.parametrize("name", CHOSEN)
def test_no_look_of_an_export_reads_the_whole_trail(database: Database, now: list[int], name: str) -> None:
    kind, chosen = CHOSEN[name]
    environment_id = grant(database).environment_id
    declare(database, environment_id)
    organization_id = new_organization(database, environment_id)
    random = Random(1)
    write(database, environment_id, organization_id, [random_event(random, now[0] - n) for n in range(60)])
    seal_all(database)

    def work(tx: Transaction) -> tuple[int, dict[str, list[str]]]:
        if tx.engine == "postgres":
            tx.run("SET LOCAL enable_seqscan = off")  # it scans what is small
            tx.run("SET LOCAL enable_bitmapscan = off")
        explained: Any = Explained(tx)
        lines = exported(explained, environment_id, organization_id, kind, chosen, at_once=25)
        plans: dict[str, list[str]] = explained.plans
        return len(lines), plans

    lines, plans = database.write(work)
    assert lines > 5
    assert [plan for plan in plans.values() if reads_all(database.engine, plan)] == []


def reads_all(engine: str, plan: list[str]) -> bool:
    """Return whether a step of a plan reads more than a stretch of a trail."""
    steps = plan if engine == "sqlite" else [f"{step} {after}" for step, after in pairwise([*plan, ""])]
    return any(READS_ALL[engine].search(step) for step in steps)
