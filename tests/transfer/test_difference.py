"""Telling where two places differ."""

from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from tenantry.domains.service import DEFAULT_RULES
from tenantry.organizations import service
from tenantry.organizations.wire import UpdateOrganization
from tenantry.transfer.difference import Difference, differences, sorted_by_id
from tenantry.transfer.files import CsvSource, NdjsonSource
from tenantry.transfer.service import take_all
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


def test_metadata_keys_that_a_table_does_not_name_are_not_compared(here: Place, tmp_path: Path) -> None:
    made = here.create("Acme", metadata={"tier": "gold", "seats": "5"})
    ours = DatabaseSource(here.database, here.caller, "here")
    path = tmp_path / "table.csv"
    path.write_text(f"id,metadata.tier,metadata.other\n{made['id']},gold,\n")
    assert found(CsvSource(str(path), {}, "pending"), ours, tmp_path) == [None]
    assert found(ours, CsvSource(str(path), {}, "pending"), tmp_path) == [None]
    path.write_text(f"id,metadata.tier,metadata.seats\n{made['id']},lead,\n")
    (difference,) = found(CsvSource(str(path), {}, "pending"), ours, tmp_path)
    assert difference is not None
    assert difference.fields == {"metadata": ({"tier": "lead", "seats": None}, {"tier": "gold", "seats": "5"})}


def test_two_tables_are_compared_by_the_metadata_keys_that_both_name(tmp_path: Path) -> None:
    sources = []
    for name, text in (
        ("a", "metadata.x,metadata.y\norg_01JG0,1,2"),
        ("b", "metadata.y,metadata.z\norg_01JG0,3,4"),
    ):
        path = tmp_path / f"{name}.csv"
        path.write_text(f"id,{text}\n".replace("org_01JG0", f"org_01JG{1:022d}"))
        sources.append(CsvSource(str(path), {}, "pending"))
    (difference,) = found(sources[0], sources[1], tmp_path)
    assert difference is not None
    assert difference.fields == {"metadata": ({"y": "2"}, {"y": "3"})}


def test_what_an_import_leaves_as_it_is_does_not_differ(here: Place, tmp_path: Path) -> None:
    """Other spellings of a domain, empty text for null, domains of which the record has the names alone."""
    made = here.create("Acme", domains=["d1.example.com", "bücher.example"])
    line = {
        "id": made["id"],
        "name": "Acme",
        "external_id": "",
        "stripe_customer_id": "",
        "allow_profiles_outside_organization": None,
        "domains": [{"domain": "D1.Example.com."}, {"domain": "bücher.example"}],
    }
    path = tmp_path / "some.ndjson"
    path.write_bytes(msgspec.json.encode(line))
    source, ours = NdjsonSource(str(path)), DatabaseSource(here.database, here.caller, "here")
    batches = take_all(here.database, here.caller, source, DEFAULT_RULES, after=None, dry_run=False)
    assert [taken.outcome for batch in batches for taken in batch.taken] == ["unchanged"]
    assert found(source, ours, tmp_path) == [None]


def test_of_a_domain_what_both_say_is_compared(here: Place, tmp_path: Path) -> None:
    made = here.create("Acme", domain_data=[{"domain": "acme.com", "state": "pending"}])
    (domain,) = made["domains"]
    path = tmp_path / "some.ndjson"
    ours = DatabaseSource(here.database, here.caller, "here")

    def fields(said: dict[str, str]) -> object:
        path.write_bytes(msgspec.json.encode({"id": made["id"], "domains": [{"domain": "acme.com"} | said]}))
        (difference,) = found(NdjsonSource(str(path)), ours, tmp_path)
        return difference and difference.fields["domains"]

    assert fields({"id": domain["id"]}) is None
    for said in ({"state": "verified"}, {"id": domain["id"], "state": "verified"}):
        shown = {field: domain[field] for field in said}
        assert fields(said) == ({"acme.com": said}, {"acme.com": shown})


def test_what_has_no_id_cannot_be_compared(here: Place, tmp_path: Path) -> None:
    path = tmp_path / "some.ndjson"
    path.write_text('{"external_id":"a","name":"Acme"}\n')
    with pytest.raises(SourceFailed, match="has no id"):
        found(NdjsonSource(str(path)), NdjsonSource(str(path)), tmp_path)
