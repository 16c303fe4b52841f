"""Copies of a file that are made before anybody wants them: whoever does then waits for no copying."""

import asyncio
import shutil
from pathlib import Path

_READY = 2


class Spares:
    """Some copies of a file that nobody changes, made in a thread, one after the other."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._ready: list[Path] = []
        self._made = 0
        self._making: asyncio.Task[None] | None = None

    async def take(self, to: Path) -> None:
        """Put a copy at `to`: one that is ready, or else one that is made now."""
        if self._ready:
            self._ready.pop().rename(to)
        else:
            await asyncio.to_thread(shutil.copyfile, self._file, to)
        self.make()

    def make(self) -> None:
        """Begin to make copies, as many as are kept ready, on the running event loop."""
        if self._making is None or self._making.done():
            self._making = asyncio.get_running_loop().create_task(self._make())

    async def _make(self) -> None:
        while len(self._ready) < _READY:
            self._made += 1
            spare = self._file.with_name(f"{self._file.name}.{self._made}")
            await asyncio.to_thread(shutil.copyfile, self._file, spare)
            self._ready.append(spare)

    async def stop(self) -> None:
        """Return when no copy is being made."""
        if self._making is not None:
            await asyncio.wait([self._making])
