"""The doctor: from the answers of the DNS to what is so and what to do next, as pure functions of values."""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import msgspec

from tenantry.core.clock import timestamp
from tenantry.domains.questions import Answer, Question
from tenantry.domains.records import Expected, Kind, Reading, read
from tenantry.domains.wording import add_record, failure, listed, quoted, seen_by, uncapitalized, until_time

Code = Literal[
    "verified",
    "verified_with_quotes",
    "unreachable",
    "dnssec_bogus",
    "not_propagated",
    "wrong_case",
    "truncated",
    "raw_token",
    "wrong_name",
    "cname_in_the_way",
    "other_token",
    "servfail",
    "nxdomain",
    "no_record",
]

_LONGEST_NAME = 253
# What a server says who does not want to answer us at all, whatever the name.
UNWILLING = frozenset({"REFUSED", "NOTIMP", "NOTAUTH", "FORMERR"})


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the DNS says about a domain, for its admin: what is so, and what to do next.

    `until` is the time, as on the wire, until which our resolver may go on giving the answer that this rests
    on; None when that is not known. `name`, `value` and `token` are the record that the verdict speaks of.
    """

    code: Code
    sentence: str
    mend: str
    until: str | None = None
    name: str | None = None
    value: str | None = None
    token: str | None = None


class _Sighting(msgspec.Struct, frozen=True):
    """A TXT record that was seen, and what it says."""

    question: Question
    answer: Answer
    reading: Reading


class _Case(msgspec.Struct, frozen=True):
    """What is judged: the questions, and the time now in milliseconds."""

    expected: Expected
    questions: tuple[Question, ...]
    now: int

    def answer_of(self, name: str, type_: str = "TXT", *, checking_disabled: bool = False) -> Question | None:
        """Return what our resolver said last."""
        for question in reversed(self.questions):
            same = question.name == name and question.type == type_ and question.authority is None
            if same and question.checking_disabled == checking_disabled:
                return question
        return None

    def deciding(self) -> list[Question]:
        """Return the answers of our resolver that decide: at the domain, and under our name below it."""
        names = (self.expected.domain, self.expected.challenge)
        return [question for name in names if (question := self.answer_of(name)) is not None]

    def until(self, question: Question) -> str | None:
        seconds = question.remembered
        return None if seconds is None else timestamp(self.now + seconds * 1000)

    def soonest(self) -> str | None:
        """Return until when our resolver may remember what the domain has now."""
        question = self.answer_of(self.expected.domain)
        return None if question is None else self.until(question)

    def zone(self) -> str | None:
        """Return the zone that the domain's records are in, where that is known for certain."""
        at_domain = self.answer_of(self.expected.domain, "NS")
        if at_domain is None or at_domain.rcode != "NOERROR" or at_domain.alias is not None:
            return None
        return self.expected.domain if at_domain.answers else at_domain.zone


def judge(expected: Expected, questions: Iterable[Question], now: int) -> Verdict:
    """Return the most helpful verdict that `questions` allow, at the time `now` in milliseconds.

    Needs the TXT questions at the domain and at the challenge name; what else was asked makes it more exact.
    """
    case = _Case(expected, tuple(questions), now)
    return next(verdict for rule in _RULES if (verdict := rule(case)) is not None)


def found(expected: Expected, questions: Iterable[Question]) -> bool | None:
    """Return whether the record is there by the word of our resolver; None when it could not tell.

    None is neither proof nor miss: a name that was not answered may have the record.
    """
    case = _Case(expected, tuple(questions), 0)
    if any(sighting.reading.verifies for sighting in _decisive(case)):
        return True
    deciding = case.deciding()
    return False if len(deciding) == 2 and all(question.conclusive for question in deciding) else None


def weight(expected: Expected, answer: Answer) -> int:
    """Return how much a verdict may rest on a record: a TXT record that proves is 2, one of others 0."""
    if answer.type != "TXT":
        return 1
    reading = read(expected, answer.value)
    return 2 if reading.verifies else int(reading.kind != "unrelated")


def wrong_names(expected: Expected) -> list[str]:
    """Return the names at which the record is often published by mistake, likely ones first.

    Most of them come from a provider that appends the zone to whatever is typed as the name.
    """
    domain = expected.domain
    names = [
        f"{domain}.{domain}",
        f"{expected.prefix}.{domain}",
        f"_acme-challenge.{domain}",
        f"{expected.challenge}.{domain}",
        f"www.{domain}",
    ]
    return [name for name in names if len(name) <= _LONGEST_NAME]


def _sightings(case: _Case, questions: Iterable[Question]) -> Iterator[_Sighting]:
    """Yield the TXT records of the answers with what they say, those that an alias led to like the others.

    Whoever made the name an alias has left what stands there to the target.
    """
    for question in questions:
        for answer in question.texts:
            yield _Sighting(question, answer, read(case.expected, answer.value))


def _decisive(case: _Case) -> list[_Sighting]:
    return list(_sightings(case, case.deciding()))


# The rules, each with the reason for its place. The first that applies is the verdict.


def _verified(case: _Case) -> Verdict | None:
    """Proof is proof, whatever else is wrong; the cleaner form first."""
    expected = case.expected
    for sighting in _of_kind(_decisive(case), "match"):
        return _about(
            sighting,
            "verified",
            f"The TXT record at {sighting.question.name} has the value {quoted(sighting.answer.value)}.",
            "Nothing is to be done. Leave the record in place.",
        )
    for sighting in _of_kind(_decisive(case), "match_with_quotes"):
        return _about(
            sighting,
            "verified_with_quotes",
            f"The TXT record at {sighting.question.name} is right but for quotes that are part of its value:"
            f" {quoted(sighting.answer.value)}.",
            f"It counts as it is. To tidy up, set the value to {quoted(expected.value)}.",
        )
    return None


def _unreachable(case: _Case) -> Verdict | None:
    """A resolver that answers nothing says nothing about the domain."""
    asked = [question for question in case.questions if question.authority is None]
    if any(question.rcode is not None and question.rcode not in UNWILLING for question in asked):
        return None
    failures = sorted({failure(question) for question in asked})
    return Verdict(
        code="unreachable",
        sentence=f"Nothing is known about {case.expected.domain}: {'; '.join(failures) or 'nothing was asked'}.",
        mend="Nothing is to be done at the domain. Whoever runs this service has to see to its resolver"
        "; the check is then made again.",
    )


def _bogus(case: _Case) -> Verdict | None:
    """Broken signatures hide whatever the zone has: nothing else can be mended before."""
    question = case.answer_of(case.expected.domain)
    unchecked = case.answer_of(case.expected.domain, checking_disabled=True)
    if question is None or question.rcode != "SERVFAIL" or unchecked is None or not unchecked.conclusive:
        return None
    there = any(sighting.reading.verifies for sighting in _sightings(case, [unchecked]))
    return Verdict(
        code="dnssec_bogus",
        sentence=f"The DNSSEC signatures of {case.expected.domain} do not check out, so its answers are refused"
        f" by every resolver that validates{', though the record itself is there' if there else ''}.",
        mend="Have your DNS provider sign the zone anew, or have your registrar correct or remove the DS record."
        + ("" if there else f" And {uncapitalized(_publish(case))}"),
        name=case.expected.domain,
    )


def _not_propagated(case: _Case) -> Verdict | None:
    """The record is right: whoever only has to wait must not be sent to change something."""
    for question in case.deciding():
        asked = [each for each in case.questions if each.authority is not None and each.name == question.name]
        ahead = [sighting for sighting in _sightings(case, asked) if sighting.reading.verifies]
        if not question.conclusive or not ahead:
            continue
        having = {sighting.question.authority for sighting in ahead}
        lacking = {each.authority for each in asked if each.conclusive} - having
        until = case.until(question)
        return _about(
            ahead[0],
            "not_propagated",
            _behind(question.name, listed(having), listed(lacking)),
            f"Wait{until_time(' until', until)}; it is then found by itself."
            + (" If that lasts, have your DNS provider bring its servers in step." if lacking else ""),
            until,
        )
    return None


def _behind(name: str, having: str, lacking: str) -> str:
    if lacking:
        return f"The TXT record at {name} is right at {having}, but {lacking} does not have it yet."
    return f"The TXT record at {name} is right at {having}, but our resolver remembers the answer from before."


def _near_miss(case: _Case) -> Verdict | None:
    """This very token, at a right name: one edit away."""
    told: tuple[tuple[Kind, Code, str], ...] = (
        ("wrong_case", "wrong_case", "has the token in another case"),
        ("truncated", "truncated", "has only a part of the token"),
        ("raw_token", "raw_token", "holds the token, but not in the form in which it counts"),
    )
    for kind, code, what in told:
        for sighting in _of_kind(_decisive(case), kind):
            return _about(
                sighting,
                code,
                f"The TXT record at {sighting.question.name} {what}: {quoted(sighting.answer.value)}.",
                f"Change its value to {quoted(case.expected.value)}.{seen_by(case.until(sighting.question))}",
                case.until(sighting.question),
            )
    return None


def _wrong_name(case: _Case) -> Verdict | None:
    """This very token, elsewhere."""
    asked = [question for name in wrong_names(case.expected) if (question := case.answer_of(name)) is not None]
    for sighting in _of_kind(_sightings(case, asked), "match", "match_with_quotes", "raw_token"):
        name = sighting.question.name
        return _about(
            sighting,
            "wrong_name",
            f"The TXT record was published at {name}, where it does not count."
            + (" Your DNS provider appends the domain to the name by itself." if _doubled(case, name) else ""),
            f"{_publish(case)} Remove the one at {name}.",
            case.soonest(),
        )
    return None


def _doubled(case: _Case, name: str) -> bool:
    return name.endswith(f".{case.expected.domain}.{case.expected.domain}") or name == ".".join(
        [case.expected.domain] * 2
    )


def _alias(case: _Case) -> Verdict | None:
    """Where there is an alias, no record can be added: «add it» would be wrong advice."""
    expected = case.expected
    own, below = case.answer_of(expected.domain), case.answer_of(expected.challenge)
    if own is not None and own.alias is not None:
        return Verdict(
            code="cname_in_the_way",
            sentence=f"{expected.domain} is an alias (CNAME) of {own.alias}, so it cannot have a TXT record of"
            " its own, and there is no right one at the target.",
            mend=add_record(expected.challenge, expected.value, case.zone()),
            until=None if below is None else case.until(below),
            name=expected.domain,
            value=own.alias,
        )
    if below is not None and below.alias is not None and not _is_wildcard(case, below.alias):
        return Verdict(
            code="cname_in_the_way",
            sentence=f"{expected.challenge} is an alias (CNAME) of {below.alias}, where there is no right record.",
            mend=f"{_publish(case)} Or add it at {below.alias}.",
            until=case.until(below),
            name=expected.challenge,
            value=below.alias,
        )
    return None


def _is_wildcard(case: _Case, target: str) -> bool:
    """Return whether every name below the domain leads to `target`: then the alias is not meant for us."""
    asked = case.answer_of(f"{case.expected.prefix}.{case.expected.domain}")
    return asked is not None and asked.alias == target


def _other_token(case: _Case) -> Verdict | None:
    """A record of our form that is rightly another's: weaker than any trace of this token."""
    for sighting in _of_kind(_decisive(case), "other_token"):
        return _about(
            sighting,
            "other_token",
            f"The TXT record at {sighting.question.name} has another token: {quoted(sighting.answer.value)}."
            " It belongs to another organization or to an earlier attempt.",
            f"{_publish(case)} It may stand beside the other, which you may remove if nobody needs it any more."
            f"{seen_by(case.until(sighting.question))}",
            case.until(sighting.question),
        )
    return None


def _servfail(case: _Case) -> Verdict | None:
    """A name that was not answered may have the record: «there is none» would be a guess."""
    domain = case.expected.domain
    failed = [question for question in case.deciding() if not question.conclusive]
    if not failed and len(case.deciding()) == 2:
        return None
    told = [failure(question) for question in failed] + [
        failure(question)
        for question in case.questions
        if question.authority is not None and not question.conclusive
    ]
    what = f": {'; '.join(dict.fromkeys(told))}" if told else ""
    return Verdict(
        code="servfail",
        sentence=f"The name servers of {domain} give our resolver no usable answer{what}.",
        mend=f"Have whoever runs the name servers of {domain} make them answer for it, and see that the registrar"
        " lists the right ones.",
        name=failed[0].name if failed else domain,
    )


def _nxdomain(case: _Case) -> Verdict | None:
    """A record cannot be added to a domain that is not there."""
    question = case.answer_of(case.expected.domain)
    if question is None or question.rcode != "NXDOMAIN" or question.alias is not None:
        return None
    domain, zone = case.expected.domain, question.zone
    parent = zone is None or "." not in zone
    return Verdict(
        code="nxdomain",
        sentence=f"{domain} does not exist in the DNS" + (f": the zone {zone} has no such name." if zone else "."),
        mend=(
            f"See that {domain} is spelled right, is registered, has not expired, and has its name servers set at"
            " the registrar."
            if parent
            else f"If {domain} is registered by itself, see that it has not expired and that its name servers are"
            f" set at the registrar. If it is part of {zone}: {add_record(domain, case.expected.value, zone)}"
        )
        + seen_by(case.until(question)),
        until=case.until(question),
        name=domain,
    )


def _no_record(case: _Case) -> Verdict:
    expected = case.expected
    question = case.answer_of(expected.domain)
    others = 0 if question is None else len(question.texts) + question.left_out
    beside = f" {expected.domain} has {others} other TXT record{'s' * (others != 1)}." if others else ""
    until = case.soonest()
    return Verdict(
        code="no_record",
        sentence=f"There is no TXT record of ours at {expected.domain}, nor at {expected.challenge}.{beside}",
        mend=f"{_publish(case)}{seen_by(until)}",
        until=until,
        name=expected.domain,
    )


_RULES: tuple[Callable[[_Case], Verdict | None], ...] = (
    _verified,
    _unreachable,
    _bogus,
    _not_propagated,
    _near_miss,
    _wrong_name,
    _alias,
    _other_token,
    _servfail,
    _nxdomain,
    _no_record,
)


def _of_kind(sightings: Iterable[_Sighting], *kinds: Kind) -> Iterator[_Sighting]:
    return (sighting for sighting in sightings if sighting.reading.kind in kinds)


def _about(sighting: _Sighting, code: Code, sentence: str, mend: str, until: str | None = None) -> Verdict:
    return Verdict(
        code=code,
        sentence=sentence,
        mend=mend,
        until=until,
        name=sighting.question.name,
        value=sighting.answer.value,
        token=sighting.reading.token,
    )


def _publish(case: _Case) -> str:
    """Return how to publish the record at the domain itself."""
    return add_record(case.expected.domain, case.expected.value, case.zone())
