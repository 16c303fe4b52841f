"""Tests written for Node, which run one version of the official Node SDK with node's own test runner."""

import os
import re
import shutil
import subprocess

import pytest

from support import ROOT

FOLDER = ROOT / "tests" / "sdk" / "node"
VERSIONS = ("workos-newest", "workos-old")

_INSTALL = f"npm ci --prefix {FOLDER.relative_to(ROOT)}"
_SECONDS = 90


def run_node_tests(file: str, sdk: str, **given: str) -> None:
    """Run a file of tests with a version of the SDK and what it is given as environment; all of them must pass."""
    node = shutil.which("node")
    if node is None:
        pytest.skip(f"NO NODE: install Node.js 20 or newer with npm, then run: {_INSTALL}")
    if not (FOLDER / "node_modules").is_dir():
        pytest.skip(f"NO NODE SDK: run: {_INSTALL}")
    run = subprocess.run(
        [node, "--test", "--test-reporter=tap", file],
        cwd=FOLDER,
        env={"PATH": os.environ["PATH"], "SDK": sdk} | given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    counts = {name: int(number) for name, number in re.findall(r"^# (\w+) (\d+)$", run.stdout, re.MULTILINE)}
    assert run.returncode == 0, run.stdout
    assert counts["pass"] == counts["tests"] > 0, run.stdout
