"""The order of imports: what stands left is lower and never imports what stands right (architecture.md)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import ROOT

ORDER = [
    *("core", "environments", "events", "webhooks", "domains", "organizations", "audit_logs", "transfer"),
    *("portal", "console", "lab", "worker", "settings", "app", "node", "server", "dev", "cli"),
    *("testing", "pytest_plugin"),
]
CORE_ORDER = [
    *("clock", "entropy", "retry", "ids", "errors", "parsing", "effort", "cells", "addresses", "targets"),
    *(
        "outgoing",
        "signature",
        "client",
        "log",
        "caller",
        "hints",
        "db",
        "forms",
        "page",
        "routing",
        "throttle",
        "watch",
    ),
    *("endpoints", "validation", "decode", "idempotency", "faces", "exchange", "http", "openapi", "reference"),
]
SOURCE = ROOT / "src" / "tenantry"
FILES = sorted(SOURCE.rglob("*.py"))
SHARED = {"service", "wire", "imports", "positions"}


def parts_of(path: Path) -> list[str]:
    return list(path.relative_to(SOURCE).with_suffix("").parts)


def imports_of(path: Path) -> Iterator[list[str]]:
    """Yield each module of Tenantry that a file imports, as its parts below the package."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tenantry":
            base = (node.module or "").split(".")[1:]
            for alias in node.names:
                yield base if len(base) > 1 else [*base, alias.name]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1:] for alias in node.names if alias.name.startswith("tenantry."))


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(parts_of(path)))
def test_no_file_imports_what_stands_above_it(path: Path) -> None:
    own = parts_of(path)[0]
    if own in {"__init__", "__main__"}:
        return
    for imported in imports_of(path):
        if imported[0] == "__version__":
            continue
        assert ORDER.index(imported[0]) <= ORDER.index(own), f"{own} imports {'.'.join(imported)}"


@pytest.mark.parametrize("path", sorted((SOURCE / "core").glob("*.py")), ids=lambda path: path.stem)
def test_the_core_has_an_order_too(path: Path) -> None:
    if path.stem == "__init__":
        return
    for imported in imports_of(path):
        if imported[0] == "__version__":
            continue
        assert CORE_ORDER.index(imported[1]) < CORE_ORDER.index(path.stem), imported


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(parts_of(path)))
def test_resources_meet_only_where_they_show_themselves(path: Path) -> None:
    own = parts_of(path)[0]
    resources = {parts[0] for file in FILES if len(parts := parts_of(file)) == 2 and parts[1] == "service"}
    for imported in imports_of(path):
        if own in resources and imported[0] in resources - {own}:
            assert imported[1] in SHARED, f"{own} reaches into {'.'.join(imported)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(parts_of(path)))
def test_no_import_is_hidden_in_a_function(path: Path) -> None:
    functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    hidden = [
        node.lineno
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert hidden == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(parts_of(path)))
def test_only_the_top_reads_settings(path: Path) -> None:
    if parts_of(path)[0] not in {"settings", "app", "node", "server", "dev", "cli"}:
        assert all(imported[0] != "settings" for imported in imports_of(path))
