"""Write the pages of docs/ that are made from the code, or check that they are in step with it.

python scripts/docs.py            writes them
python scripts/docs.py --check    exits with 1 when one is out of step, and names it
"""

import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

import click

import tenantry
from tenantry import app, settings
from tenantry.cli import main
from tenantry.core.errors import ApiError

DOCS = Path(__file__).parents[1] / "docs"
MEND = "make docs"
_NOTE = f"<!-- Made from the code by scripts/docs.py. After a change there, run: {MEND} -->"
_WIDTH = 88

_ABOUT_SETTINGS = """\
Each setting is an environment variable. Those that a command uses are its options too, and an option counts before
the variable: `--database` before `TENANTRY_DATABASE`. `tenantry settings` shows the values in force."""

_ABOUT_OPERATIONS = """\
Tenantry has **{present} of {all}**. Each of the others answers 501 with its name, so that a missing operation
never looks like a missing object:

```json
{{"message": "Tenantry does not have this operation yet: GET /events.", "code": "not_implemented"}}
```"""

_ABOUT_ERRORS = """\
The body of an error is `{"message": …}`, with a `code` where the table has one. A 422 has `errors` too, one
`{"field": …, "code": …}` for each wrong field, and a 404 of an object has its `entity_id`. Every answer carries an
`X-Request-ID`; the server's log has the same id."""

Lines = Iterator[str]


def settings_page() -> Lines:
    """Yield every setting: its variable, default and help."""
    yield "# Settings"
    yield ""
    yield _ABOUT_SETTINGS
    yield ""
    yield "| Variable | Default | What it is |"
    yield "|---|---|---|"
    for setting in settings.describe():
        yield f"| `{setting.variable}` | `{setting.default}` | {setting.help} |"


def operations_page() -> Lines:
    """Yield every operation of the public API, and whether Tenantry has it."""
    present = {app.shape(endpoint.method, endpoint.path) for endpoint in app.endpoints()}
    listed = [(method, path, app.shape(method, path) in present) for method, path in app.public_operations()]
    yield "# Operations of the public API"
    yield ""
    yield _ABOUT_OPERATIONS.format(present=sum(has for *_, has in listed), all=len(listed))
    for group, members in groupby(listed, key=lambda operation: operation[1].split("/")[1]):
        yield from _operation_group(group, list(members))


def _operation_group(group: str, members: list[tuple[str, str, bool]]) -> Lines:
    yield ""
    yield f"## {group}: {sum(has for *_, has in members)} of {len(members)}"
    yield ""
    yield "| Operation | |"
    yield "|---|---|"
    for method, path, has in members:
        yield f"| `{method} {path}` | {'**yes**' if has else '501'} |"


def commands_page() -> Lines:
    """Yield the help of every command."""
    yield "# Commands"
    yield ""
    yield "After `make install` the command is `.venv/bin/tenantry`."
    for name, command in _commands("tenantry", main):
        yield ""
        yield f"## {name}"
        yield ""
        yield "```"
        yield _help(name, command)
        yield "```"


def _commands(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """Yield a command and all below it."""
    yield name, command
    for below, child in getattr(command, "commands", {}).items():
        yield from _commands(f"{name} {below}", child)


def _help(name: str, command: click.Command) -> str:
    with click.Context(command, info_name=name, terminal_width=_WIDTH, **main.context_settings) as context:
        return command.get_help(context)


def errors_page() -> Lines:
    """Yield every error that a caller can be sent."""
    yield "# Errors"
    yield ""
    yield _ABOUT_ERRORS
    yield ""
    yield "| Status | Code | When |"
    yield "|---|---|---|"
    for error in sorted(_errors(), key=lambda error: (error.status, error.code or "", error.__name__)):
        code = f"`{error.code}`" if error.code else ""
        yield f"| {error.status} | {code} | {_first_line(error)} |"


def _errors() -> set[type[ApiError]]:
    for module in pkgutil.walk_packages(tenantry.__path__, "tenantry."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return {error for error in _below(ApiError) if hasattr(error, "status")}


def _below(kind: type[ApiError]) -> Iterator[type[ApiError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _below(child)


def _first_line(error: type[ApiError]) -> str:
    """Return when an error is raised: the first line of its docstring up to the status."""
    line = (error.__doc__ or "").splitlines()[0]
    return line.partition(f": {error.status}")[0].rstrip(".") + "."


PAGES: dict[str, Callable[[], Lines]] = {
    "settings.md": settings_page,
    "operations.md": operations_page,
    "commands.md": commands_page,
    "errors.md": errors_page,
}


def text(page: Callable[[], Lines]) -> str:
    """Return a page as it stands in its file."""
    title, *rest = page()
    return "\n".join([title, "", _NOTE, *rest]) + "\n"


def out_of_step() -> list[str]:
    """Return the names of the pages that are not what the code makes of them."""
    files = {name: DOCS / name for name in PAGES}
    return [
        name
        for name, page in PAGES.items()
        if not files[name].is_file() or files[name].read_text("utf-8") != text(page)
    ]


def check() -> int:
    """Name each page that is out of step; return the exit code."""
    wrong = out_of_step()
    for name in wrong:
        print(f"docs/{name} is out of step with the code. Run: {MEND}", file=sys.stderr)
    return 1 if wrong else 0


def write() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(text(page), "utf-8")


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(check())
    write()
