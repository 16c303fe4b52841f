"""/audit_logs/exports and the files behind their links (wire.md section 6.3)."""

import csv
import io
import json
import time
import zlib
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, LiteralString
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_events import ACTIONS, declare, exported, new_organization, random_event, value_of, write
from support import Server, caller_in, client, grant, open_migrated, seal_all
from tenantry.audit_logs import exports, links, sheet
from tenantry.audit_logs.export_store import Kind
from tenantry.audit_logs.exports import InvalidLink, Part, Work
from tenantry.audit_logs.links import Link
from tenantry.audit_logs.stored import public_keys
from tenantry.audit_logs.verify import Checked, check, checkpoints_in
from tenantry.audit_logs.wire import AuditLogExport, CreateAuditLogExport, OccurredAt
from tenantry.core.caller import Caller
from tenantry.core.cells import original
from tenantry.core.clock import timestamp
from tenantry.core.db import Database
from tenantry.organizations import service as organizations

Json = dict[str, Any]
PATH = "/audit_logs/exports"
UNKNOWN = "org_01EHQMYV6MBK39QC5PZXHY59C3"
WHOLE = {"range_start": "2020-01-01T00:00:00.000Z", "range_end": "2099-01-01T00:00:00.000Z"}
KEEP_DAYS = 7
LEASE = 60_000
DAY = 24 * 60 * 60 * 1000
_SECONDS = 30.0


def wait_until_made(api: httpx.Client, export_id: str) -> Json:
    """Return an export once it is no longer pending."""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        made: Json = api.get(f"{PATH}/{export_id}").json()
        if made["state"] != "pending":
            return made
        assert "url" not in made
        time.sleep(0.05)
    raise AssertionError("the export is still pending")


def export(api: httpx.Client, organization_id: str, **body: Any) -> httpx.Response:
    """Return the file of an export of everything, but for what `body` says."""
    answer = api.post(PATH, json={"organization_id": organization_id} | WHOLE | body)
    assert answer.status_code == 201, answer.text
    made = wait_until_made(api, answer.json()["id"])
    assert made["state"] == "ready"
    return httpx.get(made["url"])


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def send(api: httpx.Client, organization_id: str, event: Json) -> None:
    answer = api.post("/audit_logs/events", json={"organization_id": organization_id, "event": event})
    assert answer.is_success, answer.text


def test_an_export_is_a_csv_behind_a_link_that_needs_no_key(
    api: httpx.Client, organization_id: str, event: Json
) -> None:
    send(api, organization_id, event)
    answer = api.post(PATH, json={"organization_id": organization_id} | WHOLE)
    asked = answer.json()
    assert answer.status_code == 201
    assert asked == {
        "object": "audit_log_export",
        "id": asked["id"],
        "state": "pending",
        "created_at": asked["created_at"],
        "updated_at": asked["created_at"],
    }
    made = wait_until_made(api, asked["id"])
    file = httpx.get(made["url"])
    assert file.status_code == 200
    assert file.headers["content-type"] == "text/csv; charset=utf-8"
    assert file.headers["content-disposition"].startswith(f'attachment; filename="audit-log-{organization_id}-')
    (row,) = rows_of(file.text)
    assert row | {"id": ""} == {
        "id": "",
        "organization_id": organization_id,
        "action": "invoice.paid",
        "version": "1",
        "occurred_at": event["occurred_at"],
        "actor_type": "user",
        "actor_id": "user_1",
        "actor_name": "Ann",
        "actor_metadata": '{"role":"admin"}',
        "targets": '[{"id":"user_2","type":"user"},{"id":"invoice_1","metadata":{"cost":12.5},"type":"invoice"}]',
        "context_location": "192.0.2.1",
        "context_user_agent": "curl/8",
        "metadata": '{"plan":"paid"}',
    }


def test_each_fetch_has_a_link_of_its_own(api: httpx.Client, organization_id: str) -> None:
    made = wait_until_made(api, api.post(PATH, json={"organization_id": organization_id} | WHOLE).json()["id"])
    time.sleep(0.002)
    again = api.get(f"{PATH}/{made['id']}").json()
    assert again["url"] != made["url"]
    assert [httpx.get(each["url"]).status_code for each in (made, again)] == [200, 200]
    assert httpx.head(made["url"]).status_code == 200


def test_an_organization_without_events_has_an_export_with_the_columns_alone(
    api: httpx.Client, organization_id: str
) -> None:
    assert export(api, organization_id).text == ",".join(sheet.COLUMNS) + "\r\n"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, 2),
        ({"actions": ["invoice.paid"]}, 2),
        ({"actions": ["other", "another"]}, 0),
        ({"actors": ["Ann"]}, 1),
        ({"actor_names": ["Ann"], "actors": ["Smith, Jörg"]}, 2),
        ({"actor_ids": ["user_9", "user_10"]}, 1),
        ({"actor_types": ["machine"]}, 0),
        ({"targets": ["invoice"]}, 2),
        ({"targets": ["team"]}, 0),
        ({"target_ids": ["invoice_1"], "targets": ["invoice"]}, 2),
        ({"search": "jörg"}, 1),
        ({"actions": [], "actor_names": None}, 2),
        ({"range_end": "2020-02-01T00:00:00+02:00"}, 0),
    ],
)
def test_an_export_holds_what_its_filters_ask_for(
    api: httpx.Client, organization_id: str, event: Json, body: Json, expected: int
) -> None:
    send(api, organization_id, event)
    send(api, organization_id, event | {"actor": {"id": "user_9", "type": "user", "name": "Smith, Jörg"}})
    assert len(rows_of(export(api, organization_id, **body).text)) == expected


def test_a_range_that_ends_before_it_begins_is_refused(api: httpx.Client, organization_id: str) -> None:
    body = {
        "organization_id": organization_id,
        "range_start": WHOLE["range_end"],
        "range_end": WHOLE["range_start"],
    }
    answer = api.post(PATH, json=body)
    assert answer.status_code == 400
    assert answer.json() == {"message": "Invalid date range", "code": "invalid_audit_log_export_range_date"}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"organization_id": None}, ["organization_id"]),
        ({"range_start": "yesterday", "range_end": 7}, ["range_start", "range_end"]),
        ({"actions": "user.signed_in"}, ["actions"]),
        ({"actor_ids": [1]}, ["actor_ids"]),
        ({"targets": ["a"] * 101}, ["targets"]),
        ({"format": "xml"}, ["format"]),
    ],
)
def test_wrong_fields_are_told_with_a_400(
    api: httpx.Client, organization_id: str, body: Json, fields: list[str]
) -> None:
    answer = api.post(PATH, json={"organization_id": organization_id} | WHOLE | body)
    assert answer.status_code == 400
    assert answer.json()["message"] == "Validation failed"
    assert [error["field"].partition(".")[0] for error in answer.json()["errors"]] == fields


def test_what_is_not_there_is_not_found(
    api: httpx.Client, organization_id: str, server: Server, shared_database: Database
) -> None:
    unknown = api.post(PATH, json={"organization_id": UNKNOWN} | WHOLE)
    assert (unknown.status_code, unknown.json()["message"]) == (404, f"Organization not found: '{UNKNOWN}'.")
    made = api.post(PATH, json={"organization_id": organization_id} | WHOLE).json()
    with client(server.base_url, grant(shared_database).key) as other:
        answer = other.get(f"{PATH}/{made['id']}")
        assert (answer.status_code, answer.json()["code"]) == (404, "entity_not_found")
        assert answer.json()["message"] == f"Audit Log Export not found: '{made['id']}'."
        assert other.post(PATH, json={"organization_id": organization_id} | WHOLE).status_code == 404


def test_a_link_that_was_tampered_with_opens_nothing(api: httpx.Client, organization_id: str) -> None:
    made, other = (
        wait_until_made(api, api.post(PATH, json={"organization_id": organization_id} | WHOLE).json()["id"])
        for _ in range(2)
    )
    url = made["url"]
    expires = dict(pair.split("=") for pair in urlsplit(url).query.split("&"))["expires"]
    for wrong in (
        url.replace(expires, str(int(expires) + 1)),
        url[:-1] + ("A" if url[-1] != "A" else "B"),
        url.replace(made["id"], other["id"]),
        url.replace(made["id"], "audit_log_export_01EHQMYV6MBK39QC5PZXHY59C3"),
    ):
        answer = httpx.get(wrong)
        assert (answer.status_code, answer.json()["code"]) == (403, "invalid_link")
    assert httpx.get(urlsplit(url)._replace(query="").geturl()).status_code == 422


@pytest.mark.parametrize(
    ("base_url", "headers", "expected"),
    [
        ("", {"host": "tenantry.example.com"}, "http://tenantry.example.com"),
        ("", {"host": "127.0.0.1:4100"}, "http://127.0.0.1:4100"),
        ("", {"host": "[::1]:4100"}, "http://[::1]:4100"),
        ("", {"host": "a.example.com", "x-forwarded-proto": "https"}, "https://a.example.com"),
        ("", {"host": "a.example.com", "x-forwarded-proto": "javascript"}, "http://a.example.com"),
        ("", {"host": "a.example.com/evil?"}, "http://here:1"),
        ("", {"host": "user@a.example.com"}, "http://here:1"),
        ("", {}, "http://here:1"),
        ("https://t.example.com/", {"host": "other.example.com"}, "https://t.example.com"),
        ("https://t.example.com/directory", {}, "https://t.example.com/directory"),
    ],
)
def test_a_link_begins_where_clients_reach_the_server(
    base_url: str, headers: dict[str, str], expected: str
) -> None:
    assert links.origin_of(base_url, headers.get, "http://here:1") == expected


def test_the_host_of_a_request_is_that_of_its_link(api: httpx.Client, organization_id: str) -> None:
    made = api.post(PATH, json={"organization_id": organization_id} | WHOLE).json()
    wait_until_made(api, made["id"])
    headers = {"host": "audit.example.com", "x-forwarded-proto": "https"}
    url = api.get(f"{PATH}/{made['id']}", headers=headers).json()["url"]
    assert url.startswith(f"https://audit.example.com/tenantry/audit_logs/exports/{made['id']}/download?expires=")


_CELLS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
_FORMULAS = st.sampled_from(["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1", '"', ",", "\r\n", "a\nb"])


@given(
    wires=st.lists(
        st.builds(
            lambda cells, numbers: msgspec.json.encode(
                {
                    "id": "a",
                    "organization_id": "b",
                    "action": cells[0],
                    "version": 1,
                    "occurred_at": "c",
                    "actor": {"id": cells[1], "type": cells[2], "name": cells[3], "metadata": {"k": cells[4]}},
                    "targets": [{"id": cells[5], "type": cells[6]}],
                    "context": {"location": cells[7], "user_agent": cells[8]},
                    "metadata": {"n": numbers},
                }
            ),
            st.lists(_CELLS | _FORMULAS, min_size=9, max_size=9),
            st.integers(),
        ),
        max_size=5,
    )
)
def test_a_csv_is_read_back_as_it_was_and_no_cell_of_it_is_a_formula(wires: list[bytes]) -> None:
    text = (sheet.head() + sheet.lines(wires)).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert len(rows) == len(wires)
    for row, wire in zip(rows, wires, strict=True):
        event = json.loads(wire)
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) for cell in row.values())
        assert {name: original(cell) for name, cell in row.items()} == {
            "id": "a",
            "organization_id": "b",
            "action": event["action"],
            "version": "1",
            "occurred_at": "c",
            "actor_type": event["actor"]["type"],
            "actor_id": event["actor"]["id"],
            "actor_name": event["actor"]["name"],
            "actor_metadata": row["actor_metadata"],
            "targets": row["targets"],
            "context_location": event["context"]["location"],
            "context_user_agent": event["context"]["user_agent"],
            "metadata": row["metadata"],
        }
        for name, value in (
            ("actor_metadata", event["actor"]["metadata"]),
            ("targets", event["targets"]),
            ("metadata", event["metadata"]),
        ):
            assert json.loads(row[name]) == value


class Trail:
    """An organization with some events, whose exports are made step by step by the test."""

    def __init__(self, database: Database, now: list[int]) -> None:
        self.database = database
        self.now = now
        environment_id = grant(database).environment_id
        self.caller: Caller = caller_in(environment_id)
        declare(database, environment_id)
        self.organization_id = new_organization(database, environment_id)
        random = Random(3)
        self.events = [random_event(random, now[0] - random.randrange(20)) for _ in range(50)]
        write(database, environment_id, self.organization_id, self.events)

    def ask(self, **body: Any) -> str:
        wanted = CreateAuditLogExport(
            organization_id=self.organization_id,
            range_start=OccurredAt(timestamp(0)),
            range_end=OccurredAt(timestamp(self.now[0])),
            **body,
        )
        return self.database.write(lambda tx: exports.create(tx, self.caller, wanted)).id

    def claim(self) -> Work | None:
        return self.database.write(lambda tx: exports.claim(tx, LEASE, KEEP_DAYS, None))

    def look(self, work: Work, most: int) -> Part:
        part = self.database.read(lambda tx: exports.look_on(tx, work, work.place, most))
        if part is None:
            part = self.database.read(lambda tx: exports.look_at_last(tx, work, work.place, most))
        return Part(zlib.compress(part.content), part.end)

    def record(self, work: Work, part: Part) -> None:
        self.database.write(lambda tx: exports.record(tx, work, part, KEEP_DAYS))

    def make(self, most: int) -> None:
        """Make whatever is asked for, `most` events a step."""
        while (work := self.claim()) is not None:
            self.record(work, self.look(work, most))

    def get(self, export_id: str) -> AuditLogExport:
        return self.database.read(lambda tx: exports.get(tx, self.caller, export_id, "http://t"))

    def download(self, export_id: str) -> str:
        """Return the text behind a link that was just made."""
        url = self.get(export_id).url
        assert url is not None
        query = dict(pair.split("=") for pair in urlsplit(url).query.split("&"))
        return self.open(export_id, Link(int(query["expires"]), query["signature"]))

    def open(self, export_id: str, link: Link) -> str:
        with self.database.read(lambda tx: exports.download(tx, export_id, link)).file as file:
            return file.read().decode()

    def link(self, export_id: str) -> Link:
        row = self.database.read(
            lambda tx: tx.one("SELECT secret FROM audit_log_exports WHERE id = :id", id=export_id)
        )
        assert row is not None
        return links.link(row[0], export_id, self.now[0])


@pytest.fixture
def trail(database: Database, now: list[int]) -> Trail:
    return Trail(database, now)


@pytest.mark.parametrize("most", [1, 7, 50, 51, 1000])
def test_a_file_made_in_steps_is_whole_and_in_order(trail: Trail, most: int) -> None:
    export_id, filtered = trail.ask(), trail.ask(actions=[ACTIONS[0]])
    trail.make(most)
    expected = sorted((value_of(each) for each in trail.events), key=lambda each: str(each["occurred_at"]))
    rows = rows_of(trail.download(export_id))
    assert [(row["occurred_at"], row["action"]) for row in rows] == [
        (each["occurred_at"], each["action"]) for each in expected
    ]
    ids = [row["id"] for row in rows_of(trail.download(filtered))]
    assert ids == [row["id"] for row in rows if row["action"] == ACTIONS[0]]


@pytest.mark.parametrize("most", [1, 2, 5, 100])
@pytest.mark.parametrize("kind", ["csv", "ndjson"])
def test_a_file_goes_on_from_month_to_month(database: Database, now: list[int], kind: Kind, most: int) -> None:
    environment_id = grant(database).environment_id
    declare(database, environment_id)
    organization_id = new_organization(database, environment_id)
    random, month = Random(most), 30 * DAY
    days = [random.choice([0, 1, 2, 40, 41, 100, 101, 102, 103]) for _ in range(40)]
    times = [now[0] - 6 * month + day * DAY + random.randrange(3) for day in days]
    write(database, environment_id, organization_id, [random_event(random, time) for time in times])
    lines = database.read(lambda tx: exported(tx, environment_id, organization_id, kind, at_once=most))
    text = b"".join(lines).decode()
    told = (
        [row["occurred_at"] for row in rows_of(text)]
        if kind == "csv"
        else [json.loads(line)["event"]["occurred_at"] for line in lines[1:]]
    )
    assert told == sorted(timestamp(time) for time in times)


def test_exports_take_turns(trail: Trail) -> None:
    """A large one holds up no small one: each goes to the end of the queue after a step."""
    large, small = trail.ask(), trail.ask(actor_ids=["nobody"])
    turns = []
    for _ in range(3):
        work = trail.claim()
        assert work is not None
        turns.append(work.export_id)
        trail.now[0] += 1
        trail.record(work, trail.look(work, 20))
    assert turns == [large, small, large]
    assert trail.get(small).state == "ready"


def test_a_step_whose_maker_died_is_made_again_when_its_lease_ends(trail: Trail) -> None:
    export_id = trail.ask()
    died = trail.claim()
    assert trail.claim() is None
    trail.now[0] += LEASE
    work = trail.claim()
    assert work is not None
    trail.record(work, trail.look(work, 30))
    assert died is not None
    trail.record(died, trail.look(died, 10))  # it was only slow: what it made comes too late
    trail.make(30)
    assert len(rows_of(trail.download(export_id))) == 50


def test_an_export_that_fails_five_times_is_given_up(trail: Trail) -> None:
    export_id = trail.ask()
    for _ in range(5):
        assert trail.get(export_id).state == "pending"
        work = trail.claim()
        assert work is not None
        trail.database.write(partial(exports.put_off, work=work))
        trail.now[0] += LEASE
    assert trail.claim() is None
    failed = trail.get(export_id)
    assert (failed.state, failed.url) == ("error", None)


def test_a_link_opens_for_ten_minutes(trail: Trail) -> None:
    export_id = trail.ask()
    trail.make(1000)
    link = trail.link(export_id)
    trail.now[0] += 10 * 60 * 1000 - 1
    assert trail.open(export_id, link)
    trail.now[0] += 1
    with pytest.raises(InvalidLink):
        trail.open(export_id, link)
    assert trail.open(export_id, trail.link(export_id))


def test_a_link_to_a_pending_export_opens_nothing(trail: Trail) -> None:
    export_id = trail.ask()
    with pytest.raises(InvalidLink):
        trail.open(export_id, trail.link(export_id))


def test_a_file_is_deleted_when_its_days_are_over_and_its_export_says_so(trail: Trail) -> None:
    export_id = trail.ask()
    trail.make(2)  # 25 steps, more parts than are deleted at once
    prune(trail.database)
    assert trail.get(export_id).state == "ready"
    trail.now[0] += KEEP_DAYS * DAY
    prune(trail.database)
    expired = trail.get(export_id)
    assert (expired.state, expired.url) == ("expired", None)
    assert count(trail.database, "SELECT count(*) FROM audit_log_export_parts") == 0
    with pytest.raises(InvalidLink):
        trail.open(export_id, trail.link(export_id))
    trail.now[0] += 91 * DAY
    prune(trail.database)
    assert count(trail.database, "SELECT count(*) FROM audit_log_exports") == 0


def prune(database: Database) -> None:
    while database.write(exports.prune):
        pass


def count(database: Database, sql: LiteralString) -> int:
    row = database.read(lambda tx: tx.one(sql))
    assert row is not None
    number: int = row[0]
    return number


def test_the_events_of_a_deleted_organization_can_be_exported(trail: Trail) -> None:
    trail.database.write(lambda tx: organizations.delete(tx, trail.caller, trail.organization_id))
    export_id = trail.ask()
    trail.make(1000)
    assert len(rows_of(trail.download(export_id))) == 50


def test_a_link_opens_at_every_server_of_the_database(database_url: str, engine: str, tmp_path: Path) -> None:
    """On SQLite that is the one that comes after a restart."""
    database = open_migrated(database_url)
    access = grant(database)
    organization_id = new_organization(database, access.environment_id)
    database.close()
    first = Server(database_url, tmp_path)
    with client(first.base_url, access.key) as api:
        made = api.post(PATH, json={"organization_id": organization_id} | WHOLE).json()
        url = wait_until_made(api, made["id"])["url"]
    if engine == "sqlite":
        assert first.stop() == 0
    second = Server(database_url, tmp_path)
    assert httpx.get(url.replace(str(first.port), str(second.port))).status_code == 200
    assert second.stop() == 0
    if engine == "postgres":
        assert first.stop() == 0


def checked(text: str, known: dict[str, bytes]) -> Checked:
    lines = [line + b"\n" for line in text.encode().split(b"\n")[:-1]]
    return check(lines, checkpoints_in(lines, known))


@pytest.mark.parametrize("most", [1, 7, 50, 1000])
def test_an_export_of_all_as_ndjson_can_be_proved_whole(trail: Trail, most: int) -> None:
    seal_all(trail.database)
    export_id = trail.ask(format="ndjson")
    trail.make(most)
    found = checked(trail.download(export_id), trail.database.read(public_keys))
    assert (found.filtered, found.events, found.first, found.last, found.unsealed) == (False, 50, 1, 50, 0)
    assert found.signed is not None
    assert found.signed.sequence == 50


@pytest.mark.parametrize("most", [1, 7, 1000])
def test_an_export_of_some_as_ndjson_holds_each_as_it_was_sealed(trail: Trail, most: int) -> None:
    seal_all(trail.database)
    export_id = trail.ask(format="ndjson", actions=[ACTIONS[0]])
    trail.make(most)
    text = trail.download(export_id)
    found = checked(text, trail.database.read(public_keys))
    assert found.filtered
    assert found.events == sum(each.action == ACTIONS[0] for each in trail.events)
    assert {json.loads(line)["event"]["action"] for line in text.splitlines() if "event" in json.loads(line)} == {
        ACTIONS[0]
    }


@pytest.mark.parametrize("body", [{}, {"actor_ids": ["user_1"]}])
def test_what_is_not_sealed_yet_is_exported_too(trail: Trail, body: Json) -> None:
    export_id = trail.ask(format="ndjson", **body)
    trail.make(20)
    found = checked(trail.download(export_id), {})
    assert found.unsealed == sum(not body or each.actor.id == "user_1" for each in trail.events)


def test_what_a_file_ends_with_is_left_to_a_look_that_sees_one_state(trail: Trail) -> None:
    trail.ask(format="ndjson", actor_ids=["user_1"])
    work = trail.claim()
    assert work is not None

    def found(most: int) -> tuple[Part | None, Part]:
        """Return what each of the two looks finds."""
        return trail.database.read(
            lambda tx: (exports.look_on(tx, work, None, most), exports.look_at_last(tx, work, None, most))
        )

    some, some_at_last = found(5)
    assert some == some_at_last
    everything, everything_at_last = found(1000)
    assert everything is None
    assert everything_at_last.end is None
    assert some_at_last.content.split(b"\n")[1] in everything_at_last.content


def test_an_export_as_ndjson_holds_the_events_as_they_are_read(
    api: httpx.Client, organization_id: str, event: Json
) -> None:
    send(api, organization_id, event)
    file = export(api, organization_id, format="ndjson")
    assert file.headers["content-type"] == "application/x-ndjson"
    read = api.get("/tenantry/audit_logs/events", params={"organization_id": organization_id}).json()["data"]
    head, *lines = [json.loads(line) for line in file.text.splitlines()]
    assert (head["format"], head["organization_id"]) == ("tenantry-audit-log/1", organization_id)
    for each in read:
        del each["seal"]
    assert [line["event"] for line in lines if "event" in line] == read
