"""Examining a domain: which questions are asked, in which order, and how many at most."""

import asyncio
from functools import partial
from typing import Protocol

import msgspec

from tenantry.core.addresses import Network, Server
from tenantry.core.clock import Clock
from tenantry.domains.doctor import UNWILLING, Verdict, found, judge, weight, wrong_names
from tenantry.domains.questions import Question, shortened
from tenantry.domains.records import Expected

_MOST_QUESTIONS = 16
_MOST_AUTHORITIES = 2
# Further questions are begun only while those before took no longer, one after the other.
_PATIENCE_MILLISECONDS = 15_000


class ResolverOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to ask: which resolvers (none: the system's), seconds to wait for an answer, how often to try each.

    `rate` is the questions a second of this process. `networks` may be asked directly although they are not
    public, and `authority_port` is where a zone's name servers are asked: 53, but for tests.
    """

    servers: tuple[Server, ...] = ()
    timeout: float = 3.0
    tries: int = 2
    rate: float = 50.0
    networks: tuple[Network, ...] = ()
    authority_port: int = 53


class Authority(msgspec.Struct, frozen=True):
    """A name server of a zone, by its name and one of its addresses."""

    name: str
    address: str


class Asker(Protocol):
    """What asks the DNS: `resolver.Resolver`, whose library is loaded only when it is needed."""

    async def ask(
        self, name: str, type_: str, *, authority: Authority | None = None, checking_disabled: bool = False
    ) -> Question:
        """Return what came of a question; never raises what the network did."""


class Examination(msgspec.Struct, frozen=True):
    """What an examination came to. `found` is None when it could not be told: neither proof nor miss."""

    found: bool | None
    verdict: Verdict
    questions: tuple[Question, ...]


async def examine(asker: Asker, expected: Expected, clock: Clock) -> Examination:
    """Look whether a domain publishes what is expected, and when it does not, find out why.

    A domain that does costs two questions; another at most sixteen. What is returned is bounded, whatever
    the zone serves: records that say nothing to the matter are counted rather than kept.
    """
    inquiry = _Inquiry(asker, expected)
    await inquiry.run()
    return Examination(
        found(expected, inquiry.questions),
        judge(expected, inquiry.questions, clock()),
        tuple(inquiry.questions),
    )


class _Inquiry:
    """The questions of one examination. Each step asks what the answers so far leave open."""

    def __init__(self, asker: Asker, expected: Expected) -> None:
        self.questions: list[Question] = []
        self._asker = asker
        self._expected = expected
        self._spent = 0

    async def run(self) -> None:
        expected = self._expected
        deciding = await self._ask([(expected.domain, "TXT"), (expected.challenge, "TXT")])
        if found(expected, deciding) or not await self._resolver_answers(deciding):
            return
        if deciding[0].rcode == "SERVFAIL":
            await self._ask([(expected.domain, "TXT")], checking_disabled=True)
        elif any(question.conclusive for question in deciding):
            await self._ask([(name, "TXT") for name in wrong_names(expected)])
        for authority in await self._authorities(deciding):
            await self._ask([(expected.domain, "TXT"), (expected.challenge, "TXT")], authority=authority)

    async def _ask(
        self, wanted: list[tuple[str, str]], *, authority: Authority | None = None, checking_disabled: bool = False
    ) -> list[Question]:
        """Ask all at once, as far as number and patience allow."""
        if self._spent > _PATIENCE_MILLISECONDS:
            return []
        asked = await asyncio.gather(
            *(
                self._asker.ask(name, type_, authority=authority, checking_disabled=checking_disabled)
                for name, type_ in wanted[: _MOST_QUESTIONS - len(self.questions)]
            )
        )
        kept = [shortened(question, partial(weight, self._expected)) for question in asked]
        self.questions += kept
        self._spent += max((question.milliseconds for question in kept), default=0)
        return kept

    async def _resolver_answers(self, deciding: list[Question]) -> bool:
        """Return whether our resolver works at all: when it says nothing about a domain, the root tells."""
        if any(question.rcode is not None for question in deciding):
            return any(question.rcode not in UNWILLING for question in deciding)
        root = await self._ask([(".", "SOA")])
        return any(question.conclusive for question in root)

    async def _authorities(self, deciding: list[Question]) -> list[Authority]:
        """Return some name servers of the zone that the domain is in, with an address each."""
        expected = self._expected
        at_domain = await self._ask([(expected.domain, "NS")])
        names = [name for question in at_domain for name in _name_servers(question, expected.domain)]
        # What an alias leads to names the zone of its target.
        own = [question for question in (*at_domain, *reversed(deciding)) if question.alias is None]
        zone = next((question.zone for question in own if question.zone), None)
        # A zone of one label is a top-level domain: it has no records of its customers.
        if not names and zone is not None and "." in zone:
            names = [name for each in await self._ask([(zone, "NS")]) for name in _name_servers(each, zone)]
        return await self._addresses(names[:_MOST_AUTHORITIES])

    async def _addresses(self, names: list[str]) -> list[Authority]:
        known = _addresses_of(await self._ask([(name, "A") for name in names]))
        rest = [name for name in names if name not in known]
        known |= _addresses_of(await self._ask([(name, "AAAA") for name in rest])) if rest else {}
        return [Authority(name, known[name]) for name in names if name in known]


def _name_servers(question: Question, zone: str) -> list[str]:
    return [answer.value for answer in question.answers if answer.type == "NS" and answer.name == zone]


def _addresses_of(questions: list[Question]) -> dict[str, str]:
    """Return one address for each name that has any."""
    return {
        question.name: answer.value
        for question in questions
        for answer in reversed(question.answers)
        if answer.type in {"A", "AAAA"}
    }
