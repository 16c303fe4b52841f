"""Processes that have a share of a core each, so that on few cores others need not wait for theirs.

Two workers on a machine of two cores take turns with PostgreSQL and the client that asks them. With a part of a
core each they do not, and it shows what a second one adds.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_PERIOD_MICROSECONDS = 10_000


class NoShares(Exception):
    """This machine does not let us limit what a process takes of the processor."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"A share of a core needs cgroups, and to be root: {error}")


@contextlib.contextmanager
def shared(pids: Sequence[int], share: float) -> Iterator[None]:
    """Let each process take at most a `share` of a core meanwhile. Raises NoShares."""
    with contextlib.ExitStack() as stack:
        for pid in pids:
            stack.enter_context(_limited(pid, share))
        yield


@contextlib.contextmanager
def _limited(pid: int, share: float) -> Iterator[None]:
    """Have a process in a group of its own meanwhile, of cgroups version 1 or 2."""
    quota = round(share * _PERIOD_MICROSECONDS)
    is_old = (_ROOT / "cpu").is_dir()
    group = (_ROOT / "cpu" if is_old else _ROOT) / f"tenantry-bench-{pid}"
    try:
        group.mkdir()
        if is_old:
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD_MICROSECONDS))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (group / "cpu.max").write_text(f"{quota} {_PERIOD_MICROSECONDS}")
        (group / "cgroup.procs").write_text(str(pid))
    except OSError as error:
        raise NoShares(error) from error
    try:
        yield
    finally:
        (group.parent / "cgroup.procs").write_text(str(pid))
        group.rmdir()
