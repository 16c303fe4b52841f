"""Organizations that are filled in without a server are those that a server makes."""

from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from bench.bulk import fill
from bench.load import SEED

from bench import generate
from support import open_migrated
from tenantry.core.page import Order
from tenantry.organizations import service
from tenantry.organizations.wire import ListOrganizations

_COUNT = 700


def test_what_is_filled_in_is_served_like_what_is_created(database_url: str, tmp_path: Path) -> None:
    database = open_migrated(database_url)
    caller = fill(database_url, "filled", _COUNT, folder=tmp_path)

    def listed(**query: Any) -> list[dict[str, Any]]:
        asked = ListOrganizations(order=Order.ASC, limit=_COUNT, **query)
        page = database.read(lambda tx: service.list_page(tx, caller, asked))
        return [msgspec.json.decode(each) for each in page.data]

    everything = listed()
    made = [generate.organization(SEED, index) for index in range(_COUNT)]
    assert [(each["name"], each["external_id"]) for each in everything] == [
        (each.name, each.external_id) for each in made
    ]
    for shown, organization in zip(everything[::100], made[::100], strict=True):
        domains = [(each["domain"], each["state"]) for each in shown["domains"]]
        assert domains == [(each.domain, each.state) for each in organization.domain_data]
        got = database.read(partial(service.get, caller=caller, organization_id=shown["id"]))
        assert msgspec.json.decode(got) == shown
        assert shown in listed(search=organization.name)
        assert listed(domains=[organization.domain_data[0].domain]) == [shown]
    database.close()
