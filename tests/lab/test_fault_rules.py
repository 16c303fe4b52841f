"""Faults as values: which requests a rule hits, and what becomes of them."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.core import validation
from tenantry.core.errors import ValidationFailed
from tenantry.lab import fault_rules
from tenantry.lab.fault_rules import FaultRule, Latency

SEGMENTS = st.text("abcXYZ019_-.é ", min_size=1, max_size=6)
PATHS = st.lists(SEGMENTS, min_size=1, max_size=5)
CHANCES = st.floats(0, 1, exclude_max=True)
BOUNDS = st.tuples(st.floats(0, 120_000), st.floats(0, 120_000)).map(sorted)


def joined(segments: list[str]) -> str:
    return "/" + "/".join(segments)


@given(PATHS, st.data())
def test_a_pattern_with_free_segments_means_every_path_of_its_shape(
    segments: list[str], data: st.DataObject
) -> None:
    free = data.draw(st.lists(st.booleans(), min_size=len(segments), max_size=len(segments)))
    pattern = joined(["{any}" if is_free else segment for is_free, segment in zip(free, segments, strict=True)])
    others = data.draw(st.lists(SEGMENTS, min_size=len(segments), max_size=len(segments)))
    path = joined([b if is_free else a for is_free, a, b in zip(free, segments, others, strict=True)])
    assert fault_rules.path_matches(pattern, path)
    assert not fault_rules.path_matches(pattern, path + "/more")
    assert not fault_rules.path_matches(pattern + "/more", path)


@given(PATHS, PATHS)
def test_a_pattern_with_an_open_end_means_what_begins_so_and_nothing_else(
    start: list[str], rest: list[str]
) -> None:
    pattern = joined(start) + "/*"
    assert fault_rules.path_matches(pattern, joined(start))
    assert fault_rules.path_matches(pattern, joined(start + rest))
    assert fault_rules.path_matches("*", joined(rest))
    other = joined(rest)
    begins_so = [segment.lower() for segment in rest[: len(start)]] == [segment.lower() for segment in start]
    assert fault_rules.path_matches(pattern, other) == begins_so


@given(PATHS)
def test_letters_match_without_regard_to_case_as_routes_do(segments: list[str]) -> None:
    assert fault_rules.path_matches(joined(segments).upper().lower(), joined(segments).lower())
    assert fault_rules.path_matches("/Organizations/{id}", "/organizations/org_1")


def test_a_free_segment_is_never_empty() -> None:
    assert not fault_rules.path_matches("/organizations/{id}", "/organizations/")


@pytest.mark.parametrize(
    ("pattern", "method", "hit"),
    [
        ("*", "GET", True),
        ("get", "GET", True),
        ("GET", "GET", True),
        ("GET", "POST", False),
        ("POST", "GET", False),
    ],
)
def test_a_method_is_one_or_any(pattern: str, method: str, *, hit: bool) -> None:
    assert fault_rules.matches(FaultRule(fault="drop", method=pattern), method, "/organizations") is hit


def hits(rule: FaultRule, requests: int) -> list[bool]:
    """Return which of so many requests that match a rule hits."""
    chance, fired, found = random.Random(rule.seed).random, 0, list[bool]()
    for seen in range(requests):
        found.append(fault_rules.fires(rule, seen, fired, chance()))
        fired += found[-1]
    return found


@given(st.integers(0, 20), st.integers(1, 20) | st.none(), st.integers(0, 60))
def test_after_those_that_are_let_through_so_many_are_hit_and_no_more(
    skip: int, times: int | None, requests: int
) -> None:
    most = requests if times is None else times
    expected = [skip <= index < skip + most for index in range(requests)]
    assert hits(FaultRule(fault="drop", skip=skip, times=times), requests) == expected


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_a_share_hits_the_same_requests_each_time_and_about_so_many(seed: int, share: float) -> None:
    rule = FaultRule(fault="drop", share=share, seed=seed)
    found = hits(rule, 1000)
    assert found == hits(rule, 1000)
    assert abs(sum(found) / 1000 - share) < 0.1


@given(
    st.sampled_from(["uniform", "normal", "exponential"]),
    BOUNDS,
    BOUNDS,
    st.lists(CHANCES, min_size=2, max_size=2),
)
def test_a_latency_is_never_outside_its_bounds(
    distribution: fault_rules.Distribution, bounds: list[float], shape: list[float], chances: list[float]
) -> None:
    least, most = bounds
    latency = Latency(distribution=distribution, mean=shape[1], deviation=shape[0], least=least, most=most)
    assert least <= fault_rules.delay(latency, iter(chances).__next__) <= most


@pytest.mark.parametrize(
    ("latency", "mean"),
    [
        (Latency(milliseconds=250.0), 250),
        (Latency(distribution="uniform", least=100.0, most=300.0), 200),
        (Latency(distribution="normal", mean=200.0, deviation=20.0), 200),
        (Latency(distribution="exponential", mean=200.0), 200),
    ],
)
def test_a_latency_has_the_mean_that_it_is_given(latency: Latency, mean: float) -> None:
    chance = random.Random(7).random
    drawn = [fault_rules.delay(latency, chance) for _ in range(4000)]
    assert abs(sum(drawn) / len(drawn) - mean) < 0.08 * mean


def test_no_latency_is_none() -> None:
    assert fault_rules.delay(None, lambda: 0.5) == 0


@given(st.integers(0, 10_000), st.integers(0, 20_000) | st.none())
def test_a_body_that_is_cut_announces_more_than_is_sent(length: int, wanted: int | None) -> None:
    sent, announced = fault_rules.cut(length, wanted)
    assert 0 <= sent < announced
    assert sent <= length
    assert wanted is None or sent <= wanted
    assert announced >= length


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({}, ["fault"]),
        ({"fault": "explode"}, ["fault"]),
        ({"fault": "status"}, ["status"]),
        ({"fault": "status", "status": 99}, ["status"]),
        ({"fault": "status", "status": "503"}, ["status"]),
        ({"fault": "drop", "status": 503, "body": {}, "retry_after": 1}, ["body", "retry_after", "status"]),
        ({"fault": "drop", "method": "FETCH", "path": "organizations"}, ["method", "path"]),
        ({"fault": "drop", "times": 0, "skip": -1, "share": 1.5}, ["share", "skip", "times"]),
        ({"fault": "drop", "share": "half"}, ["share"]),
        ({"fault": "drop", "color": "red"}, ["color"]),
        ({"fault": "latency"}, ["latency"]),
        (
            {"fault": "latency", "latency": {"milliseconds": -1, "unit": "s"}},
            ["latency.milliseconds", "latency.unit"],
        ),
        ({"fault": "latency", "latency": {}}, ["latency.milliseconds"]),
        ({"fault": "latency", "latency": {"milliseconds": 1, "mean": 1}}, ["latency.mean"]),
        (
            {"fault": "latency", "latency": {"distribution": "normal", "milliseconds": 1}},
            ["latency.deviation", "latency.mean", "latency.milliseconds"],
        ),
        (
            {"fault": "latency", "latency": {"distribution": "uniform", "least": 5, "most": 4}},
            ["latency.least"],
        ),
        ({"fault": "status", "status": 503, "headers": {"a b": "x"}}, ["headers.a b"]),
        ({"fault": "status", "status": 503, "headers": {"x": "a\r\nb: c"}}, ["headers.x"]),
        ({"fault": "status", "status": 503, "headers": {"Content-Length": "1"}}, ["headers.Content-Length"]),
        ({"fault": "rate_limit", "retry_after": -1}, ["retry_after"]),
    ],
)
def test_a_rule_that_is_wrong_is_told_by_every_wrong_field(given: dict[str, object], fields: list[str]) -> None:
    try:
        rule = validation.convert(given, FaultRule, strict=True)
    except ValidationFailed as error:
        found = error.errors
    else:
        found = list(fault_rules.problems(rule))
    assert sorted(error.field for error in found) == fields
    assert all(error.field in error.code for error in found)


def answered(**rule: object) -> tuple[int, bytes, str, dict[str, str]]:
    made = fault_rules.answer(validation.convert(rule, FaultRule, strict=True))
    return made.status, made.body, made.content_type, dict(made.headers)


def test_an_answer_is_what_the_rule_says() -> None:
    status, body, kind, headers = answered(fault="status", status=502, body={"a": 1}, headers={"X-Cache": "MISS"})
    assert (status, msgspec.json.decode(body), kind) == (502, {"a": 1}, "application/json; charset=utf-8")
    assert headers == {"x-cache": "MISS"}


def test_a_body_that_is_a_text_stands_as_it_is() -> None:
    html = "<h1>502 Bad Gateway</h1>"
    assert answered(fault="status", status=502, body=html)[1:3] == (html.encode(), "text/plain; charset=utf-8")
    typed = answered(fault="status", status=502, body=html, headers={"Content-Type": "text/html"})
    assert typed[1:] == (html.encode(), "text/html", {})


def test_without_a_body_a_failure_has_the_one_that_its_status_commonly_has() -> None:
    assert msgspec.json.decode(answered(fault="status", status=500)[1])["code"] == "server_error"
    assert msgspec.json.decode(answered(fault="status", status=599)[1]) == {
        "message": "Error 599",
        "code": "error",
    }
    assert answered(fault="status", status=200)[1] == b""
    assert answered(fault="status", status=503, body=None)[1] == b""
    assert answered(fault="status", status=204, body={"a": 1})[1] == b""


def test_a_rate_limit_says_when_to_come_again() -> None:
    status, body, _, headers = answered(fault="rate_limit", retry_after=7)
    assert (status, headers["retry-after"]) == (429, "7")
    assert msgspec.json.decode(body)["code"] == "rate_limit_exceeded"
    assert answered(fault="rate_limit")[3]["retry-after"] == "1"
