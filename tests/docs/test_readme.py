"""The README's snippets for curl, Node and Python run as they are printed."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import ROOT, Server

README = (ROOT / "README.md").read_text("utf-8")
NODE_SDK = ROOT / "tests/sdk/node/node_modules/workos-newest"
PRINTED_PORT = "4100"
_SECONDS = 60


def snippet(heading: str, language: str) -> str:
    """Return the README's code under a heading."""
    section = re.search(rf"^### {heading}\n(.*?)(?=^##)", README, re.MULTILINE | re.DOTALL)
    assert section, f"the README has no heading «### {heading}»"
    code = re.search(rf"^```{language}\n(.*?)^```$", section[1], re.MULTILINE | re.DOTALL)
    assert code, f"there is no {language} under «### {heading}» in the README"
    return code[1]


def run(command: list[str], server: Server, folder: Path, *, name: str, code: str) -> str:
    """Run a snippet against `server` and return what it prints."""
    assert code.count(PRINTED_PORT) > 0
    file = folder / name
    file.write_text(code.replace(PRINTED_PORT, str(server.port)), "utf-8")
    done = subprocess.run(
        [*command, str(file)], cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dev_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server("sqlite://", tmp_path_factory.mktemp("dev"), command="dev")
    yield started
    assert started.stop() == 0


def test_the_curl_snippet_creates_and_lists(dev_server: Server, tmp_path: Path) -> None:
    printed = run(["bash", "-e"], dev_server, tmp_path, name="curl.sh", code=snippet("curl", "sh"))
    assert '"object":"organization"' in printed
    assert '"object":"list"' in printed


def test_the_python_snippet_creates_and_lists(dev_server: Server, tmp_path: Path) -> None:
    code = snippet("Python", "python")
    first, *names = run([sys.executable], dev_server, tmp_path, name="acme.py", code=code).split()
    assert first.startswith("org_")
    assert set(names) == {"Acme"}


def test_the_node_snippet_creates_and_lists(dev_server: Server, tmp_path: Path) -> None:
    if shutil.which("node") is None or not NODE_SDK.is_dir():
        pytest.skip("NO NODE SDK: install nodejs and npm, then `make test`")
    modules = tmp_path / "node_modules" / "@workos-inc"
    modules.mkdir(parents=True)
    (modules / "node").symlink_to(NODE_SDK)
    code = snippet("Node", "js")
    first, *names = run(["node"], dev_server, tmp_path, name="acme.mjs", code=code).split()
    assert first.startswith("org_")
    assert set(names) == {"Acme"}


@pytest.mark.parametrize("heading", ["Ruby", "Go", "PHP", "Java", "Kotlin", r"\.NET"])
def test_every_client_of_the_public_reference_has_its_snippet(heading: str) -> None:
    code = snippet(heading, r"\w+")
    assert f"http://127.0.0.1:{PRINTED_PORT}" in code
    assert "sk_test_default" in code


def test_every_link_of_the_readme_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", README):
        assert (ROOT / target).exists(), target
