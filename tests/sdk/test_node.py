"""The official Node SDK, unmodified: the newest and an old major, against a real server.

What is asked of them stands in `node/organizations.test.js`, which node's own test runner runs.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support import ROOT, Access, Server

_FOLDER = Path(__file__).with_name("node")
_INSTALL = f"npm ci --prefix {_FOLDER.relative_to(ROOT)}"
_SECONDS = 90


@pytest.fixture
def node() -> str:
    """The node to run, where it and the SDKs are installed."""
    found = shutil.which("node")
    if found is None:
        pytest.skip(f"NO NODE: install Node.js 20 or newer with npm, then run: {_INSTALL}")
    if not (_FOLDER / "node_modules").is_dir():
        pytest.skip(f"NO NODE SDK: run: {_INSTALL}")
    return found


@pytest.mark.parametrize("sdk", ["workos-newest", "workos-old"])
def test_the_node_sdk_can_do_all_it_does(
    node: str,
    sdk: str,
    server: Server,
    throttled_server: Server,
    access: Access,
    read_only: Access,
    unique: Access,
) -> None:
    run = subprocess.run(
        [node, "--test", "--test-reporter=tap", "organizations.test.js"],
        cwd=_FOLDER,
        env={
            "PATH": os.environ["PATH"],
            "SDK": sdk,
            "BASE_URL": server.base_url,
            "THROTTLED_BASE_URL": throttled_server.base_url,
            "API_KEY": access.key,
            "READ_ONLY_KEY": read_only.key,
            "UNIQUE_KEY": unique.key,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    counts = {name: int(number) for name, number in re.findall(r"^# (\w+) (\d+)$", run.stdout, re.MULTILINE)}
    assert run.returncode == 0, run.stdout
    assert counts["pass"] == counts["tests"] > 0, run.stdout


def test_the_lock_pins_every_package_and_names_no_registry() -> None:
    """Installs follow the registry that npm is set to; what arrives is held to its hash."""
    lock = json.loads((_FOLDER / "package-lock.json").read_text("utf-8"))
    packages = {path: package for path, package in lock["packages"].items() if path}
    assert packages
    assert [path for path, package in packages.items() if "integrity" not in package] == []
    assert [path for path, package in packages.items() if "resolved" in package] == []
