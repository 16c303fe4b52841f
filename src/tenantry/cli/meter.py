"""How far a command has come, on a terminal: a bar with count, rate and the time left. Elsewhere nothing."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _Count(ProgressColumn):
    def render(self, task: Task) -> Text:
        share = "" if task.total is None else f" ({task.percentage:.0f} %)"
        return Text(f"{task.fields['done']:,}{share}")


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(
            f"{(task.fields['done'] - task.fields['before']) / task.elapsed:,.0f}/s" if task.elapsed else ""
        )


class Tell(Protocol):
    """What is told how many more are done, and how much of the total is by now if that is in another unit."""

    def __call__(self, more: int, of_total: int | None = None, /) -> None: ...


@contextmanager
def meter(label: str, total: int | None, done: int = 0) -> Iterator[Tell]:
    """Yield what is to be told how many more are done."""
    left = () if total is None else (TimeRemainingColumn(compact=True),)
    columns = (TextColumn("{task.description}"), BarColumn(), _Count(), _Rate(), TimeElapsedColumn(), *left)
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(label, total=total, completed=done, done=done, before=done)
        yield partial(_advance, bar, task)


def _advance(bar: Progress, task: TaskID, more: int, of_total: int | None = None, /) -> None:
    done = bar.tasks[0].fields["done"] + more
    bar.update(task, completed=done if of_total is None else of_total, done=done)
