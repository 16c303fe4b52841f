"""Telling where two places differ."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from tenantry.organizations import service
from tenantry.organizations.wire import UpdateOrganization
from tenantry.transfer.difference import Difference, differences, sorted_by_id
from tenantry.transfer.files import CsvSource, NdjsonSource
from tenantry.transfer.sources import DatabaseSource, Source, SourceFailed
from transfer_places import Place


def found(a: Source, b: Source, folder: Path) -> list[Difference | None]:
    with ExitStack() as stack:
        return list(differences(*(stack.enter_context(sorted_by_id(each, folder)) for each in (a, b))))


def test_each_organization_is_told_once_in_the_order_of_ids(here: Place, tmp_path: Path) -> None:
    made = [here.create(f"Acme {number}", external_id=str(number)) for number in range(4)]
    ours = DatabaseSource(here.database, here.caller, "here")
    before = tmp_path / "before.ndjson"
    lines = [f'{{"id":"{each["id"]}","name":"{each["name"]}"}}\n' for each in reversed(made[:3])]
    before.write_text("".join(lines))
    body = UpdateOrganization(name="Changed")
    here.database.write(lambda tx: service.update(tx, here.caller, made[1]["id"], body))
    here.database.write(lambda tx: service.delete(tx, here.caller, made[2]["id"]))
    assert found(NdjsonSource(str(before)), ours, tmp_path) == [
        None,
        Difference(id=made[1]["id"], side="both", fields={"name": ("Acme 1", "Changed")}),
        Difference(id=made[2]["id"], side="a"),
        Difference(id=made[3]["id"], side="b"),
    ]


def test_what_a_table_does_not_say_is_not_compared(here: Place, tmp_path: Path) -> None:
    made = here.create("Acme", domains=["acme.com"], metadata={"a": "1"})
    path = tmp_path / "table.csv"
    path.write_text(f"id,domains\n{made['id']},acme.com\n")
    ours = DatabaseSource(here.database, here.caller, "here")
    assert found(CsvSource(str(path), {}, "pending"), ours, tmp_path) == [None]
    path.write_text(f"id,domains\n{made['id']},acme.io\n")
    (difference,) = found(CsvSource(str(path), {}, "pending"), ours, tmp_path)
    assert difference is not None
    assert difference.fields == {"domains": (["acme.io"], ["acme.com"])}


def test_what_has_no_id_cannot_be_compared(here: Place, tmp_path: Path) -> None:
    path = tmp_path / "some.ndjson"
    path.write_text('{"external_id":"a","name":"Acme"}\n')
    with pytest.raises(SourceFailed, match="has no id"):
        found(NdjsonSource(str(path)), NdjsonSource(str(path)), tmp_path)
