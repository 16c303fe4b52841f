"""The lab as it crosses the network: ours alone, in the shapes of the rest of the API."""

import re
from typing import Annotated, Self

import msgspec
from msgspec import Meta

from tenantry.core.page import AFTER, BEFORE, Cursor, Page, PageQuery
from tenantry.core.parsing import Moment, ParsedText

PREFIX = "universe"
MAIN = "main"
ALL = "all"

_UNIT_SECONDS = {"d": 24 * 60 * 60, "h": 60 * 60, "m": 60, "s": 1}
_SPAN = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?\Z", re.ASCII)
_MOST_SECONDS = 100 * 365 * 24 * 60 * 60

IdleSeconds = Annotated[
    int, Meta(ge=1, le=7 * 24 * 60 * 60, description="Seconds without a request after which it is dropped.")
]


class Span(ParsedText):
    """A span of time: `90s`, `15m`, `36h`, `30d`, `1d12h`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the span. Raises ValueError."""
        if not text or not _SPAN.match(text) or not cls(text).milliseconds <= _MOST_SECONDS * 1000:
            raise ValueError("must be a span of time, as 90s, 15m, 36h, 30d or 1d12h, of 36500 days at most")
        return cls(text)

    @property
    def milliseconds(self) -> int:
        """Its length."""
        found = _SPAN.match(self)
        assert found
        counts = zip(found.groups(), _UNIT_SECONDS.values(), strict=True)
        return 1000 * sum(int(count) * seconds for count, seconds in counts if count)


class UniverseCursor(Cursor):
    """A place in the list of universes."""

    __slots__ = ()
    prefix = PREFIX


class ListUniverses(PageQuery, kw_only=True, frozen=True):
    """The parameters of the list of universes."""

    before: Annotated[UniverseCursor, BEFORE] | None = None
    after: Annotated[UniverseCursor, AFTER] | None = None


class LabClock(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="clock"):
    """What the clock of a universe shows, and whether it stands still."""

    universe: str
    now: str
    frozen: bool


class Universe(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="universe"):
    """A universe. `expires_at`, by the machine's clock, is when it is dropped unless it is used until then."""

    id: str
    name: str | None
    api_key: str
    base_url: str
    forked_from: str
    clock: LabClock
    idle_seconds: int | None
    created_at: str
    expires_at: str | None


UniverseList = Page[Universe]


class CreateUniverse(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """The body of a create. Everything may be left out."""

    name: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    from_: Annotated[
        str, Meta(description="`seed`, or the universe whose present state is taken: its id, or `main`.")
    ] = "seed"
    idle_seconds: IdleSeconds | None = None
    clock: Annotated[Moment, Meta(description="What its clock shows at first.")] | None = None
    frozen: Annotated[bool, Meta(description="Whether its clock stands still.")] | None = None


class OfUniverse(msgspec.Struct, frozen=True, kw_only=True):
    """Which universe is meant."""

    universe: (
        Annotated[str, Meta(description="The universe, when it is another than the key's: an id, or `main`.")]
        | None
    ) = None


class OfUniverses(msgspec.Struct, frozen=True, kw_only=True):
    """Which universes are meant."""

    universe: (
        Annotated[
            str, Meta(description="The universe, when it is another than the key's: an id, `main`, or `all`.")
        ]
        | None
    ) = None


class Advance(msgspec.Struct, frozen=True, kw_only=True):
    """Where to put the clock: one of the two."""

    to: Annotated[Moment, Meta(description="A time, no earlier than the clock's.")] | None = None
    by: Annotated[Span, Meta(description="A span of time: 90s, 15m, 36h, 30d, 1d12h.")] | None = None
