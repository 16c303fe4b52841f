"""Questions to the DNS with what came of them, as values: they are asked, judged, stored and shown."""

from collections.abc import Callable
from typing import Literal

import msgspec

_MOST_ANSWERS = 20
_LONGEST_VALUE = 512

Transport = Literal["udp", "tcp"]


class Answer(msgspec.Struct, frozen=True):
    """One record of an answer. `ttl` is in seconds. Names are lower case and have no dot at the end.

    `value` is the data as text, of a TXT record its strings joined; `raw` is what a zone file would say.
    """

    name: str
    type: str
    ttl: int
    value: str
    raw: str


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A question that was asked, and what came of it.

    `rcode` is what the server said (`NOERROR`, `NXDOMAIN`, `SERVFAIL`, …); it is None when no server gave an
    answer that can be read, and then `error` says in words why. `server` is the address that was asked last,
    `authority` the name of the zone's own server that it belongs to; None for a resolver of ours.

    `answers` has the records in the order of the answer, the aliases that led to them first; `left_out` of
    them were not kept. `remarks` are the server's own on a failure (RFC 8914). `zone` is the one that says that
    there is nothing, and `negative_ttl` for how many seconds that may be remembered. `authentic` is the AD flag:
    the resolver has checked the signatures.
    """

    name: str
    type: str
    server: str | None = None
    authority: str | None = None
    transport: Transport | None = None
    checking_disabled: bool = False
    rcode: str | None = None
    error: str | None = None
    answers: tuple[Answer, ...] = ()
    left_out: int = 0
    remarks: tuple[str, ...] = ()
    zone: str | None = None
    negative_ttl: int | None = None
    authentic: bool = False
    milliseconds: int = 0

    @property
    def conclusive(self) -> bool:
        """Whether it is known now what there is at the name."""
        return self.rcode in {"NOERROR", "NXDOMAIN"}

    @property
    def alias(self) -> str | None:
        """The name that the asked name is an alias of, if it is one."""
        return next((each.value for each in self.answers if each.type == "CNAME" and each.name == self.name), None)

    @property
    def remembered(self) -> int | None:
        """For how many seconds the answer may be remembered; None when that is not known."""
        negative = [] if self.negative_ttl is None else [self.negative_ttl]
        return min([*(each.ttl for each in self.answers), *negative], default=None)

    @property
    def texts(self) -> tuple[Answer, ...]:
        """The TXT records of the answer, also those that an alias led to."""
        return tuple(each for each in self.answers if each.type == "TXT")


def shortened(question: Question, weight: Callable[[Answer], int]) -> Question:
    """Return the question with at most 20 of its answers, the heaviest, each cut at 512 characters.

    Whoever owns a zone may serve as much as fits into a message, which is 64 KiB.
    """
    numbered = sorted(enumerate(question.answers), key=lambda each: -weight(each[1]))[:_MOST_ANSWERS]
    kept = tuple(_cut(answer) for _, answer in sorted(numbered, key=lambda each: each[0]))
    left_out = question.left_out + len(question.answers) - len(kept)
    return msgspec.structs.replace(question, answers=kept, left_out=left_out)


def _cut(answer: Answer) -> Answer:
    if len(answer.raw) <= _LONGEST_VALUE:
        return answer
    return msgspec.structs.replace(answer, value=answer.value[:_LONGEST_VALUE], raw=answer.raw[:_LONGEST_VALUE])
