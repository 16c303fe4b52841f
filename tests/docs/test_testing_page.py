"""What docs/testing.md prints for pytest and Node runs as it is printed; its other files are well formed."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import ROOT, Server

PAGE = (ROOT / "docs" / "testing.md").read_text("utf-8")
COMPOSE = ROOT / "docs" / "compose.yaml"
NODE_SDK = ROOT / "tests/sdk/node/node_modules/workos-newest"
_SECONDS = 120


def snippet(heading: str, language: str, number: int = 0) -> str:
    """Return a piece of code under a heading."""
    section = re.search(rf"^##+ {heading}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert section, f"the page has no heading «{heading}»"
    found = re.findall(rf"^```{language}\n(.*?)^```$", section[1], re.MULTILINE | re.DOTALL)
    assert len(found) > number, f"there is no such {language} under «{heading}»"
    return str(found[number])


def run(line: list[str], folder: Path, **environment: str) -> str:
    done = subprocess.run(
        line,
        cwd=folder,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture
def dev_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server("sqlite://", tmp_path_factory.mktemp("dev"), command="dev")
    yield started
    assert started.stop() == 0


def test_the_tests_for_pytest_pass(tmp_path: Path) -> None:
    (tmp_path / "test_app.py").write_text(snippet("Python", "python"))
    assert "4 passed" in run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], tmp_path)


def test_a_server_without_pytest_starts_and_stops(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(snippet("Python", "python", 1))
    assert "universe_" in run([sys.executable, "app.py"], tmp_path)


def test_the_tests_for_node_pass(dev_server: Server, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None or not NODE_SDK.is_dir():
        pytest.skip("NO NODE: install Node.js 20 or newer with npm, then run: npm ci --prefix tests/sdk/node")
    (tmp_path / "universe.mjs").write_text(snippet("Node", "js"))
    (tmp_path / "acme.test.mjs").write_text(snippet("Node", "js", 1))
    (tmp_path / "node_modules" / "@workos-inc").mkdir(parents=True)
    (tmp_path / "node_modules" / "@workos-inc" / "node").symlink_to(NODE_SDK)
    said = run([node, "--test", "--test-reporter=tap"], tmp_path, TENANTRY_URL=dev_server.base_url)
    assert "# pass 2" in said


def test_the_workflow_is_yaml_whose_commands_exist(tmp_path: Path) -> None:
    workflow = yaml.safe_load(snippet("In CI", "yaml"))
    script = next(
        step["run"] for step in workflow["jobs"]["tests"]["steps"] if step.get("name") == "Start Tenantry"
    )
    assert "tenantry dev --database sqlite://" in script
    (tmp_path / "tenantry.yaml").write_text("organizations: []")
    assert run([sys.executable, "-m", "tenantry", "seed", "check"], tmp_path) == "tenantry.yaml can be used.\n"


def test_the_compose_file_starts_what_it_says(tmp_path: Path) -> None:
    service: dict[str, Any] = yaml.safe_load(COMPOSE.read_text("utf-8"))["services"]["tenantry"]
    command = re.search(r"exec tenantry (.*)\"", service["command"])
    assert command
    arguments = command[1].replace("sqlite:////data", f"sqlite:///{tmp_path}").split()
    assert arguments[0] == "dev"
    server = Server(arguments[arguments.index("--database") + 1], tmp_path, "--host", "127.0.0.1", command="dev")
    probe = service["healthcheck"]["test"]
    run([sys.executable, *probe[2:-1], probe[-1].replace("4100", str(server.port))], tmp_path)
    assert server.stop() == 0
