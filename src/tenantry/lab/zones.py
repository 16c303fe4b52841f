"""The DNS of a universe, as values: what is set for names, and what a question is answered.

No socket and no clock is here. Checks of domains ask it in the process (`zone_asker`), others over the
network (`dns_server`); both get the same answer.
"""

import re
from typing import Annotated, Literal, Self

import msgspec
from msgspec import Meta

from tenantry.core.parsing import ParsedText

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\Z")
_LONGEST_NAME = 253
_LONGEST_CHAIN = 8
_LONGEST_TEXT = 4000
MOST_NAMES = 10_000

Failure = Literal["nxdomain", "servfail", "refused", "timeout", "empty"]
"""What a question gets instead of records. `timeout`: no answer at all; `empty`: the name, without records."""

Others = Literal["nxdomain", "servfail", "refused", "timeout", "empty", "resolver"]
"""What names get that are not set; `resolver` asks the real DNS."""

RCODES: dict[str, str] = {"nxdomain": "NXDOMAIN", "servfail": "SERVFAIL", "refused": "REFUSED", "empty": "NOERROR"}


class ZoneName(ParsedText):
    """A name of the DNS: lower case, without the dot at its end."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the name. Raises ValueError."""
        name = text.strip().lower().removesuffix(".")
        if len(name) > _LONGEST_NAME or not all(_LABEL.match(label) for label in name.split(".")):
            raise ValueError("must be a name of the DNS, as _challenge.acme.com, of 253 characters at most")
        return cls(name)


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is set for a name: records, or a failure instead of them."""

    txt: Annotated[
        list[Annotated[str, Meta(max_length=_LONGEST_TEXT)]],
        Meta(max_length=100, description="Its TXT records.", examples=[["acme-domain-verification-x=token"]]),
    ] = msgspec.field(default_factory=list)
    cname: Annotated[ZoneName, Meta(description="The name that it is an alias of.")] | None = None
    fails: Annotated[Failure, Meta(description="What every question gets instead of records.")] | None = None
    every_second_fails: (
        Annotated[Failure, Meta(description="What every second question gets: the answers flap.")] | None
    ) = None
    delay_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=60_000,
            description="Milliseconds until the answer; past a resolver's patience it comes too late.",
        ),
    ] = 0
    ttl: Annotated[int, Meta(ge=0, le=604_800, description="Seconds for which it may be remembered.")] = 300


class Datum(msgspec.Struct, frozen=True):
    """One record of an answer: `value` is the text of a TXT record, or the target of a CNAME."""

    name: str
    type: Literal["TXT", "CNAME"]
    ttl: int
    value: str


class Reply(msgspec.Struct, frozen=True):
    """What a question is answered: `rcode` is None when nothing comes, `milliseconds` when it comes."""

    rcode: str | None
    data: tuple[Datum, ...] = ()
    milliseconds: int = 0


class Zones:
    """What is set in one universe. A question counts, since answers may flap."""

    def __init__(self, others: Others) -> None:
        self.others: Others = others
        self._rules: dict[str, Rule] = {}
        self._asked: dict[str, int] = {}

    def put(self, name: str, rule: Rule) -> None:
        """Set what a name answers from now on, in place of what it did. Raises TooManyNames."""
        if name not in self._rules and len(self._rules) >= MOST_NAMES:
            raise TooManyNames
        self._rules[name] = rule
        self._asked.pop(name, None)

    def get(self, name: str) -> Rule | None:
        """Return what is set for a name."""
        return self._rules.get(name)

    def remove(self, name: str) -> bool:
        """Forget a name; return whether it was set."""
        self._asked.pop(name, None)
        return self._rules.pop(name, None) is not None

    def clear(self) -> None:
        """Forget every name."""
        self._rules.clear()
        self._asked.clear()

    def names(self) -> list[tuple[str, Rule]]:
        """Return every name with what is set for it, in order."""
        return sorted(self._rules.items())

    def answer(self, name: str, type_: str) -> Reply | None:
        """Return what a question is answered; None when the real DNS is to be asked."""
        name = name.lower().removesuffix(".")
        data: list[Datum] = []
        spent = 0
        for _ in range(_LONGEST_CHAIN):
            rule = self._rules.get(name)
            if rule is None:
                return self._unset(name, data, spent)
            spent += rule.delay_ms
            failure = rule.fails or self._flap(name, rule)
            if failure is not None:
                return _failed(failure, tuple(data), spent)
            if rule.cname is None or type_ == "CNAME":
                return Reply("NOERROR", (*data, *_records(name, type_, rule)), spent)
            data.append(Datum(name, "CNAME", rule.ttl, str(rule.cname)))
            name = str(rule.cname)
        return Reply("SERVFAIL", (), spent)

    def _flap(self, name: str, rule: Rule) -> Failure | None:
        if rule.every_second_fails is None:
            return None
        asked = self._asked[name] = self._asked.get(name, 0) + 1
        return rule.every_second_fails if asked % 2 == 0 else None

    def _unset(self, name: str, data: list[Datum], spent: int) -> Reply | None:
        """Return the answer for a name that is not set; one with others below it exists (RFC 8020)."""
        if any(each.endswith(f".{name}") for each in self._rules):
            return Reply("NOERROR", tuple(data), spent)
        return None if self.others == "resolver" else _failed(self.others, tuple(data), spent)


class TooManyNames(ValueError):
    """More names are set than may be."""


def _failed(failure: Failure, data: tuple[Datum, ...], spent: int) -> Reply:
    if failure == "timeout":
        return Reply(None, (), spent)
    return Reply(RCODES[failure], data if failure in {"nxdomain", "empty"} else (), spent)


def _records(name: str, type_: str, rule: Rule) -> list[Datum]:
    if type_ == "CNAME" and rule.cname is not None:
        return [Datum(name, "CNAME", rule.ttl, str(rule.cname))]
    return [Datum(name, "TXT", rule.ttl, text) for text in rule.txt] if type_ in {"TXT", "ANY"} else []


def strings_of(text: str) -> list[bytes]:
    """Return a text as the strings that a TXT record holds, 255 bytes each at most."""
    encoded = text.encode()
    return [encoded[first : first + 255] for first in range(0, len(encoded), 255)] or [b""]


def zone_file_form(datum: Datum) -> str:
    """Return a record's data as a zone file would say it."""
    if datum.type == "CNAME":
        return f"{datum.value}."
    return " ".join(f'"{_escaped(string)}"' for string in strings_of(datum.value))


def _escaped(string: bytes) -> str:
    return "".join(
        f"\\{chr(byte)}" if byte in b'"\\' else chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03d}"
        for byte in string
    )
