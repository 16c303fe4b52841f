"""The pages of docs/ that are made from the code are in step with it."""

import re
import subprocess
import sys

from support import ROOT

DOCS = ROOT / "docs"


def check() -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "scripts/docs.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_the_generated_pages_are_in_step_with_the_code() -> None:
    checked = check()
    assert checked.returncode == 0, checked.stderr


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "README.md").read_text("utf-8")
    for page in DOCS.glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in index, page.name


def test_every_link_between_pages_leads_somewhere() -> None:
    for page in DOCS.glob("*.md"):
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
