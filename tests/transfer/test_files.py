"""Files of organizations: NDJSON and CSV, there and back."""

import io
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.core.cells import neutral, original
from tenantry.domains.service import DEFAULT_RULES
from tenantry.transfer.files import ClaimedState, CsvSource, NdjsonSource
from tenantry.transfer.service import Format, export, take_all
from tenantry.transfer.sources import DatabaseSource, Source, SourceFailed
from transfer_places import Place


def exported(place: Place, form: Format) -> bytes:
    file = io.BytesIO()
    place.database.read(lambda tx: export(tx, place.caller, form, file, lambda _: None))
    return file.getvalue()


def outcomes(place: Place, source: Source, after: str | None = None) -> list[str]:
    batches = take_all(place.database, place.caller, source, DEFAULT_RULES, after=after, dry_run=False)
    return [taken.outcome for batch in batches for taken in batch.taken]


def table(
    folder: Path, text: str, columns: dict[str, str] | None = None, state: ClaimedState = "pending"
) -> CsvSource:
    path = folder / "table.csv"
    path.write_text(text, "utf-8")
    return CsvSource(str(path), columns or {}, state)


def filled(place: Place) -> None:
    place.create("Acme", external_id="crm-1", metadata={"tier": "=1+1"}, domains=["acme.com", "acme.io"])
    place.create('Bébé, «quoted» "and"\nlines', metadata={"seats": "5"})
    place.create("@formula")


def test_ndjson_comes_back_as_it_was(here: Place, there: Place, tmp_path: Path) -> None:
    filled(there)
    path = tmp_path / "all.ndjson"
    path.write_bytes(exported(there, "ndjson"))
    source = NdjsonSource(str(path))
    assert source.total() == path.stat().st_size
    assert outcomes(here, source) == ["created"] * 3
    assert here.shown() == there.shown()
    assert outcomes(here, source) == ["unchanged"] * 3


def test_csv_comes_back_but_for_the_state_of_domains(here: Place, there: Place, tmp_path: Path) -> None:
    filled(there)
    source = table(tmp_path, exported(there, "csv").decode())
    assert outcomes(here, source) == ["created"] * 3
    for ours, theirs in zip(here.shown(), there.shown(), strict=True):
        ours_domains, theirs_domains = ours.pop("domains"), theirs.pop("domains")
        assert [each["domain"] for each in ours_domains] == [each["domain"] for each in theirs_domains]
        assert ours == theirs
    assert outcomes(there, source) == ["unchanged"] * 3


def test_columns_are_mapped_and_new_domains_may_be_taken_at_your_word(here: Place, tmp_path: Path) -> None:
    text = "Account,Company,Sites,Plan,Owner\nA-1,Acme,acme.com; acme.io,gold,Ana\n"
    columns = {"external_id": "Account", "name": "Company", "domains": "Sites", "metadata.plan": "Plan"}
    assert outcomes(here, table(tmp_path, text, columns, "verified")) == ["created"]
    (shown,) = here.shown()
    assert (shown["external_id"], shown["name"], shown["metadata"]) == ("A-1", "Acme", {"plan": "gold"})
    assert [(each["domain"], each["state"]) for each in shown["domains"]] == [
        ("acme.com", "verified"),
        ("acme.io", "verified"),
    ]


@pytest.mark.parametrize(
    ("text", "columns", "reason"),
    [
        ("name\nAcme\n", {}, "neither a column id nor external_id"),
        ("id,name\n", {"name": "Company"}, "no column 'Company'"),
        ('id,name\n1,"Acme\n', {}, "line 2"),
        ("id,name,name\n", {}, "more than one column 'name'"),
        ("id,Company,Company\n", {"name": "Company"}, "more than one column 'Company'"),
    ],
)
def test_a_table_that_cannot_be_read_says_why(
    here: Place, tmp_path: Path, text: str, columns: dict[str, str], reason: str
) -> None:
    with pytest.raises(SourceFailed, match=reason):
        outcomes(here, table(tmp_path, text, columns))


def test_lines_that_are_no_organizations_are_refused_and_the_others_come(here: Place, tmp_path: Path) -> None:
    good = b'{"external_id":"a","name":"Acme"}'
    lines = [b"{", good, b"[]", b'{"id":"org_1","name":"x"}', b'{"external_id":"b","name":"\\u0000"}', b"\xff"]
    path = tmp_path / "some.ndjson"
    path.write_bytes(b"\n".join(lines))
    batches = list(
        take_all(here.database, here.caller, NdjsonSource(str(path)), DEFAULT_RULES, after=None, dry_run=False)
    )
    told = [taken for batch in batches for taken in batch.taken]
    assert [each.outcome == "refused" for each in told] == [True, False, True, True, True, True]
    assert all(each.problems for each in told if each.outcome == "refused")


def test_one_column_may_give_two_fields(here: Place, tmp_path: Path) -> None:
    columns = {"external_id": "Name", "name": "Name"}
    assert outcomes(here, table(tmp_path, "Name,Owner,Owner\nAcme,a,b\n", columns)) == ["created"]
    assert [(each["external_id"], each["name"]) for each in here.shown()] == [("Acme", "Acme")]


def test_a_mark_of_the_byte_order_is_not_part_of_the_first_line(here: Place, tmp_path: Path) -> None:
    path = tmp_path / "marked.ndjson"
    path.write_bytes(b'\xef\xbb\xbf{"external_id":"a","name":"Acme"}\n')
    assert outcomes(here, NdjsonSource(str(path))) == ["created"]


@pytest.mark.parametrize("depth", [600, 100_000])
def test_what_is_nested_too_deeply_is_refused_and_the_next_comes(here: Place, tmp_path: Path, depth: int) -> None:
    path = tmp_path / "deep.ndjson"
    deep = '{"external_id":"a","name":' + "[" * depth + "]" * depth + "}"
    path.write_text(deep + '\n{"external_id":"b","name":"Acme"}\n')
    assert outcomes(here, NdjsonSource(str(path))) == ["refused", "created"]


def test_only_the_rows_that_are_no_utf_8_are_refused(here: Place, tmp_path: Path) -> None:
    path = tmp_path / "latin.csv"
    path.write_bytes(b"\xef\xbb\xbfexternal_id,name\na,Acme\nb,B\xe9b\xe9\nc,Globex\n")
    assert outcomes(here, CsvSource(str(path), {}, "pending")) == ["created", "refused", "created"]


@pytest.mark.parametrize("text", ['external_id,name\na,"two\nlines"\nb,Acme', "external_id,name\n"])
def test_how_far_a_file_is_read_is_told_in_bytes(tmp_path: Path, text: str) -> None:
    source = table(tmp_path, text)
    for _ in source.items(None):
        pass
    assert source.position() == source.total() == len(text)


def test_a_pipe_has_no_size_and_does_not_last(here: Place, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    source = NdjsonSource(str(pipe))
    assert (source.total(), source.position(), source.lasts) == (None, None, False)
    writer = threading.Thread(target=pipe.write_text, args=('{"external_id":"a","name":"Acme"}\n',), daemon=True)
    writer.start()
    assert outcomes(here, source) == ["created"]


def test_the_same_table_read_otherwise_is_another_source(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("id,name\n")
    sources = [CsvSource(str(path), {}, "pending"), CsvSource(str(path), {}, "verified")]
    sources.append(CsvSource(str(path), {"name": "Company"}, "pending"))
    assert len({each.name for each in sources}) == 3
    assert CsvSource(str(path), {}, "pending").name == sources[0].name


def test_a_database_tells_how_many_records_it_has(there: Place) -> None:
    filled(there)
    assert DatabaseSource(there.database, there.caller, "there").total() == 3


def test_it_goes_on_after_a_cursor(here: Place, there: Place, tmp_path: Path) -> None:
    filled(there)
    path = tmp_path / "all.ndjson"
    path.write_bytes(exported(there, "ndjson"))
    assert outcomes(here, NdjsonSource(str(path)), after="2") == ["created"]
    assert outcomes(here, DatabaseSource(there.database, there.caller, "there"), there.shown()[1]["id"]) == [
        "unchanged"
    ]


def test_two_records_of_one_organization_are_taken_one_after_the_other(here: Place, tmp_path: Path) -> None:
    path = tmp_path / "twice.ndjson"
    path.write_text('{"external_id":"a","name":"One"}\n{"external_id":"a","name":"Two"}\n')
    assert outcomes(here, NdjsonSource(str(path))) == ["created", "updated"]
    assert [each["name"] for each in here.shown()] == ["Two"]


@given(st.text())
def test_what_a_spreadsheet_would_run_is_made_text_and_comes_back(cell: str) -> None:
    assert not neutral(cell).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert original(neutral(cell)) == cell
