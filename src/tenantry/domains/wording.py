"""Pieces of the doctor's sentences, as pure functions."""

from collections.abc import Iterable

from tenantry.domains.questions import Question

_LONGEST_QUOTED = 120


def add_record(name: str, value: str, zone: str | None) -> str:
    """Return how to add a TXT record. With its `zone` known, also what to type where a provider appends that."""
    return f"Add a TXT record at {name}{_host(name, zone)} with the value {quoted(value)}."


def _host(name: str, zone: str | None) -> str:
    if zone is None or not f".{name}".endswith(f".{zone}"):
        return ""
    return f" (host {name.removesuffix(zone).rstrip('.') or '@'} in the zone {zone})"


def seen_by(until: str | None) -> str:
    """Return when a change is seen, as a sentence that follows another; nothing when that is not known."""
    return "" if until is None else f" A change is seen{until_time(' by', until)} at the latest."


def until_time(before: str, until: str | None) -> str:
    """Return a time of the wire within a sentence, after `before`; nothing when it is not known."""
    return "" if until is None else f"{before} {until[:10]} {until[11:19]} UTC"


def failure(question: Question) -> str:
    """Return who did what instead of answering."""
    ours = f"our resolver {question.server}" if question.server else "our resolver"
    who = f"{question.authority} ({question.server})" if question.authority else ours
    what = question.error or f"answered {question.rcode}"
    return " ".join([who, what, *(f"({remark})" for remark in question.remarks)])


def listed(names: Iterable[str | None]) -> str:
    """Return the names in one line."""
    return ", ".join(sorted(name for name in names if name is not None))


def quoted(text: str) -> str:
    """Return what was seen, on one line, not too long, between marks that no record has by mistake."""
    plain = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return f"«{plain if len(plain) <= _LONGEST_QUOTED else plain[:_LONGEST_QUOTED] + '…'}»"


def uncapitalized(text: str) -> str:
    """Return a sentence as the rest of another."""
    return text[:1].lower() + text[1:]
