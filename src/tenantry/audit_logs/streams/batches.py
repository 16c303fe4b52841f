"""What is sent: a batch of events, the request that carries it, and how its answer is read."""

import msgspec

from tenantry.audit_logs.streams.policy import Verdict
from tenantry.core.outgoing import Method, Outcome

_LONGEST_TOLD = 300
_REFUSED = frozenset({401, 403})
_TOO_LARGE = 413


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """The events of a range of a trail, each as its JSON, in order (at least one).

    The range is the same however often it is sent, and so is `id`.
    """

    stream_id: str
    organization_id: str
    first: int
    last: int
    events: list[bytes]
    is_test: bool = False

    @property
    def id(self) -> str:
        """What tells this batch of this stream from any other."""
        return f"{self.stream_id}-{'test' if self.is_test else f'{self.first:012d}-{self.last:012d}'}"


class Request(msgspec.Struct, frozen=True):
    """One HTTP request. Header names are lower case."""

    url: str
    headers: dict[str, str]
    body: bytes
    method: Method = "POST"


class Answer(msgspec.Struct, frozen=True):
    """What came of a batch, and what went wrong as a line for people."""

    verdict: Verdict
    error: str | None = None


def read(outcome: Outcome) -> Answer:
    """Return what an outcome means to receivers that say everything by the status."""
    if outcome.delivered:
        return Answer("taken")
    if outcome.status in _REFUSED:
        return Answer("refused", told(outcome))
    if outcome.status == _TOO_LARGE:
        return Answer("too_large", told(outcome))
    return Answer("failed", told(outcome))


def told(outcome: Outcome) -> str:
    """Return an outcome as a line for people: what went wrong, or the status and the beginning of the answer."""
    if outcome.error is not None:
        return _line(outcome.error)
    answer = _line(outcome.answer.decode(errors="replace"))
    return f"it answered {outcome.status}" + (f": {answer}" if answer else "")


def _line(text: str) -> str:
    """Return the beginning of a text as one line, without what a database does not take."""
    return " ".join(text.replace("\0", " ").split())[:_LONGEST_TOLD]
