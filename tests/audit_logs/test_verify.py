"""What is checked of a file: any change of it is found, and told in words."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenantry.audit_logs import ed25519, keys
from tenantry.audit_logs.canonical import canonical
from tenantry.audit_logs.chain import (
    START,
    Checkpoint,
    Seal,
    Trail,
    checkpoint_line,
    event_hash,
    event_line,
    header_line,
    removed_line,
    seal_hash,
    statement,
    unsealed_line,
)
from tenantry.audit_logs.verify import Broken, Checked, check, checkpoints_in

Json = dict[str, Any]
TRAIL = Trail("environment_1", "org_1")
PRIVATE = bytes(range(32))
PUBLIC = ed25519.public_of(PRIVATE)
KNOWN = {keys.id_of(PUBLIC): PUBLIC}
TIME = "2026-11-27T09:00:00.000Z"


def event(number: int, text: str = "x", day: int = 1) -> Json:
    """Return an event; `day` is when it occurred."""
    return {
        "object": "audit_log_event",
        "id": f"audit_log_event_{number}",
        "occurred_at": f"2026-01-{day:02d}T00:00:00.000Z",
        "action": text,
    }


def chained(events: list[Json | None], first: int = 1, removed: int = 3) -> list[bytes]:
    """Return the lines of a chain's events; where there is None, one that retention removed, of day `removed`."""
    lines, previous = [], START
    for sequence, each in enumerate(events, 1):
        wire = canonical(each or event(sequence, day=removed))
        occurred_at = (each or event(sequence, day=removed))["occurred_at"]
        seal = Seal(sequence, previous, occurred_at, event_hash(wire))
        previous = seal_hash(TRAIL, seal)
        lines.append(event_line(wire, seal, previous) if each else removed_line(seal, previous))
    return lines[first - 1 :]


def signed(lines: list[bytes], first: int = 1, removed_before: str | None = None, trail: Trail = TRAIL) -> bytes:
    """Return the checkpoint of a chain that ends as `lines` do."""
    last = json.loads(lines[-1])
    stated = statement(
        Checkpoint(
            environment_id=trail.environment_id,
            organization_id=trail.organization_id,
            first_sequence=first,
            sequence=last["sequence"],
            hash=last["hash"],
            removed_before=removed_before,
            time=TIME,
            key_id=keys.id_of(PUBLIC),
        )
    )
    return checkpoint_line(stated, ed25519.sign(PRIVATE, stated))


def whole(lines: list[bytes], end: bytes | None = None, *, filtered: bool = False) -> list[bytes]:
    return [header_line(TRAIL, TIME, filtered=filtered), *lines, end or signed(lines)]


def verified(lines: list[bytes]) -> Checked:
    return check(lines, checkpoints_in(lines, KNOWN))


def broken(lines: list[bytes]) -> str:
    with pytest.raises(Broken) as caught:
        verified(lines)
    return str(caught.value)


EVENTS: list[Json | None] = [event(number) for number in range(1, 6)]


def test_a_right_file_is_told_as_what_it_holds() -> None:
    lines = chained(EVENTS)
    checked = verified([*whole(lines)[:-1], unsealed_line(canonical(event(6))), signed(lines)])
    assert (checked.events, checked.first, checked.last, checked.unsealed) == (5, 1, 5, 1)
    assert checked.signed is not None
    assert checked.signed.sequence == 5


def resealed(lines: list[bytes], number: int, changed: Json) -> list[bytes]:
    """Change an event and make all seals from it on anew, as whoever has no key can."""
    events = [json.loads(line)["event"] for line in lines]
    events[number - 1] = changed
    return chained(events)


LINES = chained(EVENTS)
CHANGED = LINES[2].replace(b'"action":"x"', b'"action":"y"')
FORGED = chained([event(0), *EVENTS])[2]
STRAY = unsealed_line(canonical(event(9)))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([*LINES[:2], CHANGED, *LINES[3:]], "Event 3 (audit_log_event_3) was changed"),
        ([*LINES[:2], *LINES[3:]], "Event 3 is missing."),
        ([LINES[0], *LINES[3:]], "Events 2 to 3 are missing."),
        (LINES[1:], "Event 1 is missing."),
        (
            LINES[:-1],
            f"Event 5 is missing at the end: the checkpoint of {TIME} ends with event 5.",
        ),
        ([*LINES[:2], LINES[3], LINES[2], LINES[4]], "Event 3 stands after event 4: the order was changed."),
        ([*LINES[:3], LINES[1], *LINES[3:]], "Event 2 (audit_log_event_2) stands after event 3: it was inserted"),
        ([*LINES[:2], STRAY, *LINES[2:]], "An event without a seal stands before event 3: it was inserted."),
        (resealed(LINES, 2, event(2, "forged")), "Event 5, or one before it, was changed and sealed anew"),
        ([*LINES[:2], FORGED, *LINES[3:]], "Event 3 (audit_log_event_2) does not follow event 2"),
        (
            [LINES[0].replace(b'"sequence":1', b'"sequence":1 '), *LINES[1:]],
            "The line of event 1 (audit_log_event_1) is not as it was written.",
        ),
        (
            [LINES[0].replace(b'"previous_hash":"0', b'"previous_hash":"1'), *LINES[1:]],
            "The seal of event 1 (audit_log_event_1) was changed",
        ),
        ([b"nonsense\n", *LINES], "A line is none of such a file"),
    ],
)
def test_what_was_done_to_a_file_is_told(lines: list[bytes], says: str) -> None:
    assert broken(whole(lines, signed(LINES))).startswith(says)


def test_a_checkpoint_counts_only_with_a_known_key_and_its_signature() -> None:
    end = signed(LINES)
    with pytest.raises(Broken, match=r"signed with the key [0-9a-f]{16}, which is not among the keys given"):
        checkpoints_in([end], {})
    forged = end.replace(b'"sequence":5', b'"sequence":4')
    assert "has a signature that is not of key" in broken(whole(LINES[:-1], forged))
    other = signed(LINES, trail=Trail("environment_1", "org_2"))
    assert "is one of organization org_2 of environment_1" in broken(whole(LINES, other))
    assert broken(whole(LINES, b'{"checkpoint":{}}\n')).startswith("A checkpoint cannot be read")


def test_the_signature_may_be_spelled_in_one_way_only() -> None:
    value = json.loads(signed(LINES))
    text = value["signature"]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = text[:-3] + alphabet[alphabet.index(text[-3]) + 1] + "=="
    assert base64.b64decode(other) == base64.b64decode(text)
    assert "was changed" in broken(whole(LINES, signed(LINES).replace(text.encode(), other.encode())))


def test_what_retention_removed_may_be_missing_and_nothing_else() -> None:
    lines = chained([EVENTS[0], None, *EVENTS[2:]])
    checked = verified(whole(lines, signed(lines, removed_before="2026-01-04T00:00:00.000Z")))
    assert (checked.events, checked.removed) == (4, 1)
    early = broken(whole(lines, signed(lines, removed_before="2026-01-03T00:00:00.000Z")))
    assert early.startswith(
        "Event 2 is missing: it occurred at 2026-01-03T00:00:00.000Z, and only events of before"
    )
    assert "no event was removed" in broken(whole(lines))


def test_a_file_may_begin_where_retention_has_come_to() -> None:
    lines = chained(EVENTS, first=3)
    assert verified(whole(lines, signed(lines, first=3))).first == 3
    assert broken(whole(lines)) == "Events 1 to 2 are missing."
    assert broken(whole(lines[1:], signed(lines, first=3))) == "Event 3 is missing."


def test_a_chain_of_which_nothing_is_left_is_right() -> None:
    end = signed(LINES, first=6, removed_before="2026-02-01T00:00:00.000Z")
    assert verified(whole([], end)).events == 0
    assert broken(whole([], signed(LINES))) == (
        "Events 1 to 5 are missing at the end: the checkpoint of 2026-11-27T09:00:00.000Z ends with event 5."
    )


def test_of_a_filtered_file_each_event_is_checked_by_itself() -> None:
    checked = verified(whole([LINES[3], LINES[1], LINES[2]], signed(LINES), filtered=True))
    assert (checked.filtered, checked.events) == (True, 3)
    assert "was changed" in broken(whole([LINES[0], CHANGED], signed(LINES), filtered=True))
    assert "does not follow" in broken(whole([LINES[1], FORGED], signed(LINES), filtered=True))


@pytest.mark.parametrize(
    "first", [b"", b"{}\n", header_line(TRAIL, TIME, filtered=False).replace(b"log/1", b"log/2"), LINES[0]]
)
def test_what_is_no_such_file_is_told(first: bytes) -> None:
    with pytest.raises(Broken, match=r"The first line|has the format tenantry-audit-log/2"):
        check([first], [])


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
files = st.lists(texts, min_size=2, max_size=6).map(
    lambda found: chained([event(number, text) for number, text in enumerate(found, 1)])
)


@settings(max_examples=300)
@given(files, st.data())
def test_a_changed_byte_anywhere_after_the_first_line_is_found(lines: list[bytes], data: st.DataObject) -> None:
    right = [*lines, signed(lines)]
    verified([header_line(TRAIL, TIME, filtered=False), *right])
    number = data.draw(st.integers(0, len(right) - 1))
    at = data.draw(st.integers(0, len(right[number]) - 2))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != right[number][at]))
    tampered = list(right)
    tampered[number] = right[number][:at] + bytes([byte]) + right[number][at + 1 :]
    try:
        checked = verified([header_line(TRAIL, TIME, filtered=False), *tampered])
    except Broken:
        return
    # A checkpoint that is none any more leaves a file that nothing is signed of, which is told as such.
    assert checked.signed is None


@settings(max_examples=300)
@given(files, st.data())
def test_lines_that_are_taken_out_repeated_or_moved_are_found(lines: list[bytes], data: st.DataObject) -> None:
    end = signed(lines)
    indexes = st.integers(0, len(lines) - 1)
    tampered = data.draw(
        st.lists(indexes, max_size=len(lines) + 2).map(lambda found: [lines[each] for each in found])
    )
    if tampered != lines:
        broken(whole(tampered, end))


@settings(max_examples=200)
@given(files, texts, st.data())
def test_a_chain_that_is_made_anew_without_the_key_is_found(
    lines: list[bytes], text: str, data: st.DataObject
) -> None:
    number = data.draw(st.integers(1, len(lines)))
    forged = resealed(lines, number, event(number, text + "forged"))
    assert "sealed anew" in broken(whole(forged, signed(lines)))
