"""The log of requests and what is asked of it, as values."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.lab import questions, request_log
from tenantry.lab.fault_rules import FaultRule
from tenantry.lab.questions import Conditions, Expectation
from tenantry.lab.request_log import Answered, Entry, Hit, RequestLog, kept

SCALARS = st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=3)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=4),
)


def entry(number: int = 1, body: bytes = b"", **given: Any) -> Entry:
    """Return an entry of the log, of a create that was answered 201 unless told otherwise."""
    plain = Entry(
        number=number,
        at=1_800_000_000_000 + number,
        method="POST",
        path="/organizations",
        query="",
        head="content-type: application/json",
        body=kept(body),
        answer=Answered(201, "x-request-id: abc", kept(b"{}")),
        sent="all",
        milliseconds=1.0,
        hit=None,
    )
    return msgspec.structs.replace(plain, **given)


def differences(wanted: Conditions, of: Entry) -> list[str]:
    return questions.differences(wanted, of, lambda method, path: f"{method} {path}")


@given(VALUES)
def test_nothing_lacks_in_what_is_equal(value: object) -> None:
    assert list(questions.lacks(value, value, "body")) == []


@given(st.dictionaries(st.text("abc", max_size=2), VALUES, max_size=5), st.data())
def test_an_object_may_have_more_than_is_wanted_but_not_less(
    value: dict[str, object], data: st.DataObject
) -> None:
    wanted = {key: item for key, item in value.items() if data.draw(st.booleans())}
    assert list(questions.lacks(wanted, value, "body")) == []
    assert bool(list(questions.lacks(value, wanted, "body"))) == (wanted.keys() != value.keys())


@given(SCALARS, SCALARS)
def test_a_scalar_is_equal_or_told_with_both_values(one: object, other: object) -> None:
    told = list(questions.lacks(one, other, "body.name"))
    same = one == other and isinstance(one, bool) == isinstance(other, bool)
    assert bool(told) != same
    assert all(sentence.startswith("body.name: expected ") for sentence in told)


def test_every_condition_that_is_not_met_is_told() -> None:
    met = entry(
        body=b'{"name":"Acme","metadata":{"tier":"gold"}}',
        query="limit=10&order=desc",
        head="content-type: application/json\nidempotency-key: k1",
        hit=Hit("fault_0001", FaultRule(fault="lose")),
    )
    right: dict[str, Any] = {
        "operation": "POST /organizations",
        "method": "post",
        "path": "/organizations/*",
        "status": "2xx",
        "fault": "lose",
        "request_id": "abc",
        "query": {"limit": "10"},
        "headers": {"Idempotency-Key": "k1"},
        "body": {"metadata": {"tier": "gold"}},
    }
    wrong: dict[str, Any] = {
        "operation": "GET /organizations",
        "method": "PUT",
        "path": "/events",
        "status": 404,
        "fault": "drop",
        "request_id": "b",
        "query": {"limit": "9"},
        "headers": {"idempotency-key": "k2"},
        "body": {"metadata": {"tier": "silver"}},
    }
    assert differences(Conditions(**right), met) == []
    told = differences(Conditions(**wrong), met)
    assert [sentence.partition(":")[0] for sentence in told] == [
        *("operation", "method", "path", "status", "fault", "request_id"),
        *("query.limit", "headers.idempotency-key", "body.metadata.tier"),
    ]
    for name, value in wrong.items():
        assert len(differences(Conditions(**right | {name: value}), met)) == 1


def test_the_body_of_a_form_is_the_object_that_it_stands_for() -> None:
    form = entry(body=b"name=Acme&metadata[tier]=gold", head="content-type: application/x-www-form-urlencoded")
    assert differences(Conditions(body={"name": "Acme", "metadata": {"tier": "gold"}}), form) == []


def test_a_body_of_which_only_the_beginning_is_kept_meets_no_condition() -> None:
    long = entry(body=b'"' + b"a" * request_log.MOST_BODY_BYTES + b'"')
    assert "only the first 32768 of its 32770 bytes are kept" in differences(Conditions(body="a"), long)[0]


@pytest.mark.parametrize("status", ["none", "NONE"])
def test_a_request_without_an_answer_has_the_status_none(status: str) -> None:
    assert differences(Conditions(status=status), entry(answer=None)) == []
    assert differences(Conditions(status=status), entry()) == [f"status: expected {status}, was 201"]


@pytest.mark.parametrize(
    ("wanted", "fields"),
    [
        (Conditions(operation="organizations.mend"), ["operation"]),
        (Conditions(method="FETCH", path="organizations"), ["method", "path"]),
        (Conditions(status="20x"), ["status"]),
        (Conditions(status=2000), ["status"]),
        (Conditions(operation="organizations.create", method="post", path="*", status="2xx"), []),
    ],
)
def test_what_no_request_can_meet_is_a_mistake(wanted: Conditions, fields: list[str]) -> None:
    assert [error.field for error in questions.problems(wanted, {"organizations.create"})] == fields


@given(
    st.integers(0, 6), st.none() | st.integers(0, 6), st.none() | st.integers(0, 6), st.none() | st.integers(0, 6)
)
def test_how_often_is_exactly_or_between_or_once_at_least(
    found: int, times: int | None, at_least: int | None, at_most: int | None
) -> None:
    wanted = Expectation(times=times, at_least=at_least, at_most=at_most)
    if times is not None:
        expected = found == times
    elif at_least is None and at_most is None:
        expected = found >= 1
    else:
        expected = (at_least or 0) <= found <= (99 if at_most is None else at_most)
    assert questions.holds(wanted, found) == expected


@given(st.integers(0, 6), st.integers(0, 6), st.builds(Expectation, times=st.none() | st.integers(0, 6)))
def test_what_is_certain_stays_so_whatever_was_forgotten(found: int, forgotten: int, wanted: Expectation) -> None:
    if questions.is_certain(wanted, found):
        assert questions.holds(wanted, found) == questions.holds(wanted, found + forgotten)


def test_an_expectation_is_told_in_words() -> None:
    wording = questions.wording
    assert wording(Expectation(times=0)) == "no request of any kind"
    assert wording(Expectation(method="POST")) == "at least 1 request with method POST"
    assert wording(Expectation(times=2, status=201)) == "exactly 2 requests with status 201"
    assert wording(Expectation(at_most=3, body={"a": None})) == 'at most 3 requests with body {"a":null}'
    assert wording(Expectation(at_least=1, at_most=3, body=None)) == "1 to 3 requests with body null"


def test_the_nearest_of_those_that_miss_are_named_first() -> None:
    entries = [
        entry(1, b'{"name":"Acme","metadata":{"a":"1"}}'),
        entry(2, b'{"name":"Acmes","metadata":{"a":"1"}}'),
        entry(3, b'{"name":"Other"}', method="PUT"),
    ]
    wanted = Conditions(method="POST", body={"name": "Acme", "metadata": {"a": "2"}})
    finding = questions.find(wanted, reversed(entries), lambda _method, _path: None)
    assert finding.matching == []
    assert [miss.entry.number for miss in finding.near_misses] == [1, 2, 3]
    assert finding.near_misses[0].differences == ['body.metadata.a: expected "2", was "1"']


@given(st.lists(st.integers(0, 3000), max_size=60), st.integers(1, 20), st.integers(1000, 20_000))
def test_the_log_stays_within_its_bounds_and_forgets_the_oldest(
    sizes: list[int], most: int, most_bytes: int
) -> None:
    log = RequestLog(most, most_bytes)
    for size in sizes:
        log.add(entry(log.next_number(), b"a" * size))
    numbers = [each.number for each in log.newest_first()]
    assert numbers == list(range(len(sizes), len(sizes) - len(numbers), -1))
    assert len(numbers) <= most
    assert log.forgotten == len(sizes) - len(numbers)
    weights = [request_log.weight(each) for each in log.newest_first()]
    assert sum(weights) <= most_bytes or len(weights) == 1
    first = min(numbers, default=1)
    assert log.remembers(None) == (not log.forgotten)
    assert log.remembers(f"request_{first - 1:010d}")
    if first > 1:
        assert not log.remembers(f"request_{first - 2:010d}")
    for number in range(1, len(sizes) + 1):
        found = log.find(number)
        assert (found is not None) == (number in numbers)


def test_an_empty_log_has_forgotten_nothing_and_gives_no_number_twice() -> None:
    log = RequestLog(1)
    for _ in range(3):
        log.add(entry(log.next_number()))
    log.clear()
    assert (log.forgotten, list(log.newest_first()), log.next_number()) == (0, [], 4)


def test_since_is_a_time_or_what_comes_after_a_request() -> None:
    entries = [entry(number) for number in (3, 2, 1)]

    def found(since: str) -> list[int]:
        wanted = Conditions(since=questions.Since.parse(since))
        return [each.number for each in questions.find(wanted, entries, lambda _method, _path: None).matching]

    assert found("request_0000000001") == [3, 2]
    assert found("2027-01-15T08:00:00.002Z") == [3, 2]
    assert found("2027-01-15T08:00:00Z") == [3, 2, 1]
    assert found("2028-01-15") == []
