"""A receiver is probed: a right one passes all, a wrong one fails where it is wrong and is told the mend."""

import os
import time
from collections.abc import Iterator

import pytest

from tenantry.core.addresses import networks
from tenantry.core.client import Client, system_resolver
from tenantry.core.clock import timestamp
from tenantry.core.outgoing import Outcome
from tenantry.core.targets import TargetPolicy
from tenantry.webhooks.probe import Probe, Prober, Result, probes
from verifying import SECRET, Verifying

LOCAL = TargetPolicy(http=True, networks=networks("127.0.0.0/8"))
SECONDS = 10.0


@pytest.fixture(scope="module")
def verifying() -> Iterator[Verifying]:
    started = Verifying()
    yield started
    started.kill()


@pytest.fixture
def one_at_a_time() -> Iterator[Verifying]:
    started = Verifying(threaded=False)
    yield started
    started.kill()


def milliseconds() -> int:
    return time.time_ns() // 1_000_000


def planned(*, slow: bool) -> list[Probe]:
    return [probe for probe in probes(milliseconds(), os.urandom) if probe.slow == slow]


async def run(url: str, *chosen: Probe, seconds: float = SECONDS) -> list[Result]:
    client = Client(LOCAL, seconds, system_resolver())
    prober = Prober(client, url, SECRET, milliseconds, seconds)
    try:
        return [await prober.run(probe, lambda _share: None) for probe in chosen]
    finally:
        await client.close()


def failed(results: list[Result]) -> dict[str, str]:
    """Return what was sent, by the probes that failed, with the mend."""
    return {result.probe.sent: result.failure.mend for result in results if result.failure}


async def test_a_right_receiver_passes(verifying: Verifying) -> None:
    """What no answer tells is told to be looked up, and it is so in a right receiver."""
    chosen = planned(slow=False)
    assert failed(await run(verifying.url, *chosen)) == {}
    kept = verifying.kept()
    repeated, reordered = (probe.unseen or "" for probe in chosen if probe.unseen)
    assert kept["effects"][repeated.split()[0]] == 1
    assert kept["names"][reordered.split(",")[0]] == "Tenantry probe, newer"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (
            "verifies-nothing",
            {
                "a forged signature": "Verify WorkOS-Signature",
                "no signature": "Answer 400 when there is no",
                "a signature ten minutes old": "Answer 400 when t=",
            },
        ),
        ("takes-unsigned", {"no signature": "Answer 400 when there is no WorkOS-Signature"}),
        ("takes-old", {"a signature ten minutes old": "Answer 400 when t= is over three minutes ago"}),
        ("refuses-repeated", {"the first event once more": "Answer 2xx to an event whose id you have seen"}),
        ("needs-order", {"an update, then the creation": "Answer 2xx to an event of something"}),
        (
            "crashes-on-new-names",
            {"an event with an unknown name": "Answer 2xx to events that you have no use for"},
        ),
        ("verifies-what-it-parsed", {"bytes that parsing changes": "Verify the bytes of the body"}),
        ("takes-100-kB", {"a large event, 117 KiB": "Take bodies of up to 1 MiB"}),
        (
            "crashes-on-forged",
            dict.fromkeys(
                ("a forged signature", "no signature", "a signature ten minutes old"),
                "Catch what the verification raises",
            ),
        ),
    ],
)
async def test_a_wrong_receiver_is_told_its_fault(
    verifying: Verifying, fault: str, expected: dict[str, str]
) -> None:
    told = failed(await run(verifying.url + fault, *planned(slow=False)))
    assert told.keys() == expected.keys()
    for sent, mend in told.items():
        assert mend.startswith(expected[sent])


async def test_a_receiver_takes_a_slow_body_and_another_event_meanwhile(verifying: Verifying) -> None:
    (slow,) = planned(slow=True)
    shares: list[float] = []
    client = Client(LOCAL, SECONDS, system_resolver())
    try:
        result = await Prober(client, verifying.url, SECRET, milliseconds, SECONDS).run(slow, shares.append)
    finally:
        await client.close()
    assert result.failure is None
    assert shares == sorted(shares)
    assert len(shares) == 11


async def test_a_receiver_that_does_one_thing_at_a_time_is_held_up_by_a_slow_body(
    one_at_a_time: Verifying,
) -> None:
    """The slow event itself is taken: it is the one beside it that waits in vain."""
    (result,) = await run(one_at_a_time.url, *planned(slow=True), seconds=6.0)
    assert [outcome.status for outcome in result.outcomes] == [200, None]
    assert failed([result])[result.probe.sent].startswith("Answer others while a body is coming")


@pytest.mark.parametrize(
    ("outcome", "mend"),
    [
        (Outcome(200, 3000), None),
        (Outcome(204, 3000), None),
        (Outcome(408, 300), "Wait ten seconds for a body"),
        (Outcome(None, 300, error="ServerDisconnectedError: Server disconnected"), "Wait ten seconds for a body"),
        (Outcome(200, 9999, error="the answer did not end in time"), "Wait ten seconds for a body"),
        (Outcome(308, 3), "Answer at this URL"),
    ],
)
def test_an_answer_to_a_slow_body_is_judged(outcome: Outcome, mend: str | None) -> None:
    (slow,) = planned(slow=True)
    failure = Result(slow, (outcome, Outcome(200, 3))).failure
    assert (failure is None) == (mend is None)
    assert failure is None or failure.mend.startswith(str(mend))


@pytest.mark.parametrize(("status", "right"), [(400, True), (422, True), (200, False), (302, False), (503, False)])
def test_what_must_be_refused_needs_a_4xx(status: int, right: bool) -> None:  # noqa: FBT001
    forged = next(probe for probe in planned(slow=False) if probe.sent == "a forged signature")
    assert (Result(forged, (Outcome(status, 3),)).failure is None) == right
    assert Result(forged, (Outcome(None, 3, error="no answer in time"),)).failure is not None


def test_each_run_has_events_and_organizations_of_its_own() -> None:
    """None is of the future, and the events of one organization are told apart by their times."""
    now = milliseconds()
    first, second = probes(now, os.urandom), probes(now, os.urandom)
    ids = [{request.event.id for probe in run for request in probe.requests} for run in (first, second)]
    assert ids[0].isdisjoint(ids[1])
    by_id = {request.event.id: request.event for probe in first for request in probe.requests}
    times = [event.created_at for event in by_id.values()]
    assert len(set(times)) == len(times)
    assert max(times) < timestamp(now)
    assert all(event.data["name"].startswith("Tenantry probe") for event in by_id.values())
