"""Ctrl-C while a source is read: what was read before is not lost."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tenantry.transfer.sources import Item, Source, SourceFailed

_TOLD = b"\nEnding after what is on its way. Again Ctrl-C ends at once.\n"


class Interrupted(SourceFailed):
    """Somebody has pressed Ctrl-C."""


class Interruptible:
    """A source that Ctrl-C makes fail: what was read before it is good. A second Ctrl-C ends at once."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._asked = False
        self._reading = False
        self.name = source.name
        self.lasts = source.lasts
        self.total = source.total
        self.position = source.position

    def items(self, after: str | None) -> Iterator[Item]:
        items = self._source.items(after)
        while True:
            self._reading = True
            if self._asked:
                raise Interrupted("Interrupted.")
            item = next(items, None)
            self._reading = False
            if item is None:
                return
            yield item

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Take Ctrl-C meanwhile."""
        before = signal.signal(signal.SIGINT, self._end)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # Not by a buffer, in which the signal may have come.
        os.write(2, _TOLD)
        self._asked = True
        # A batch is not cut short between becoming durable and being counted; waiting for a server is.
        if self._reading:
            raise Interrupted("Interrupted.")
