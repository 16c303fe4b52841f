"""Answers that are files or streams, and clients that go away."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tenantry.core import faces
from tenantry.core.faces import ClientGone, unless_gone


async def never() -> None:
    await asyncio.Event().wait()


async def test_work_is_done_while_the_client_is_there() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    assert await unless_gone(work(), never) == 7


async def test_what_work_raises_is_raised() -> None:
    async def work() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await unless_gone(work(), never)


async def test_work_is_cancelled_when_the_client_goes() -> None:
    cancelled = False

    async def work() -> None:
        nonlocal cancelled
        try:
            await never()
        except asyncio.CancelledError:
            cancelled = True
            raise

    with pytest.raises(ClientGone):
        await unless_gone(work(), lambda: asyncio.sleep(0.01))
    assert cancelled


async def test_a_file_that_was_sent_is_emptied_before_its_number_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that opens it late finds nothing, never another file."""
    monkeypatch.setattr(faces, "_OPENED_SECONDS", 0.2)
    file: Any = tempfile.TemporaryFile()  # noqa: SIM115 (it is closed by what is tested)
    file.write(b"secret")
    file.flush()
    path = Path(f"/dev/fd/{file.fileno()}")
    faces._empty(file)
    assert await asyncio.to_thread(path.read_bytes) == b""
    await asyncio.sleep(0.5)
    assert file.closed
