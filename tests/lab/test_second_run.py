"""The official Node SDK in sixteen universes at once; and a second run of the same tests on the same database."""

from pathlib import Path

import pytest

from node_tests import VERSIONS, run_node_tests
from support import Server

MAIN_KEY = "sk_test_default"


@pytest.mark.parametrize("sdk", VERSIONS)
def test_sixteen_universes_at_once_never_meet(dev: Server, sdk: str) -> None:
    run_node_tests("universes.test.js", sdk, BASE_URL=dev.base_url, MAIN_KEY=MAIN_KEY)


def test_a_second_run_on_the_same_database_finds_what_the_first_found(tmp_path: Path) -> None:
    (tmp_path / "tenantry.yaml").write_text("organizations: [{name: Seeded, domains: [{domain: seeded.com}]}]")
    arguments = ("--seed", str(tmp_path / "tenantry.yaml"))
    for _ in range(2):
        server = Server(f"sqlite:///{tmp_path / 'kept.db'}", tmp_path, *arguments, command="dev")
        try:
            run_node_tests("universes.test.js", VERSIONS[0], BASE_URL=server.base_url, MAIN_KEY=MAIN_KEY)
        finally:
            server.kill()  # as a run that is cut off leaves it
