"""The official Node SDK, unmodified: the newest and an old major, against a real server.

What is asked of them stands in `node/organizations.test.js`.
"""

import json

import pytest

from node_tests import FOLDER, VERSIONS, run_node_tests
from support import Access, Server


@pytest.mark.parametrize("sdk", VERSIONS)
def test_the_node_sdk_can_do_all_it_does(
    sdk: str,
    server: Server,
    throttled_server: Server,
    access: Access,
    read_only: Access,
    unique: Access,
) -> None:
    run_node_tests(
        "organizations.test.js",
        sdk,
        BASE_URL=server.base_url,
        THROTTLED_BASE_URL=throttled_server.base_url,
        API_KEY=access.key,
        READ_ONLY_KEY=read_only.key,
        UNIQUE_KEY=unique.key,
    )


def test_the_lock_pins_every_package_and_names_no_registry() -> None:
    """Installs follow the registry that npm is set to; what arrives is held to its hash."""
    lock = json.loads((FOLDER / "package-lock.json").read_text("utf-8"))
    packages = {path: package for path, package in lock["packages"].items() if path}
    assert packages
    assert [path for path, package in packages.items() if "integrity" not in package] == []
    assert [path for path, package in packages.items() if "resolved" in package] == []
