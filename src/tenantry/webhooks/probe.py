"""Whether a receiver of webhooks is right: requests that each gets sooner or later, and what it must answer.

What is sent and how answers are judged are values, and pure functions of values; only
`Prober` talks to the receiver. A rotated secret needs no probe of its own: while it overlaps
with the one before, a receiver may get a delivery signed by the one that it does not know,
which is the forged signature, and at once the same signed by the other.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any, Literal

import msgspec

from tenantry.core.clock import Clock, timestamp
from tenantry.core.entropy import Entropy
from tenantry.core.ids import IdSource, time_of
from tenantry.core.outgoing import Outcome, Sender
from tenantry.core.signature import HEADER, signature
from tenantry.events.wire import PREFIX, Actor, Context, Event, EventName

Signing = Literal["right", "forged", "none", "old"]

_ACTOR = Actor(id="command_line", source="api", name="tenantry webhooks probe")
_NAME = "Tenantry probe"
_OLDER = f"{_NAME}, older"
_NEWER = f"{_NAME}, newer"
_MARK = {"tenantry_probe": "true"}
_UNKNOWN = "organization.probed"

# Each event is a millisecond later than the one before, and none may be of the future.
_BEFORE_MILLISECONDS = 1000

# The clients' tolerance is three minutes by default (wire.md section 5.4).
_OLD_MILLISECONDS = 10 * 60 * 1000

# Parsed and written anew these differ: JavaScript puts keys that are numbers first, others escape letters.
_AWKWARD_NAME = f"{_NAME}: Žluťoučký kůň, 東京 🐎"
_AWKWARD_METADATA = _MARK | {"9": "nine", "10": "ten", "1": "one"}

# What an organization may have, and an update has the values before it too. Together they are
# more than the 100 kB that several frameworks take of a body when nobody says otherwise.
_MOST_DOMAINS = 100
_LARGE_METADATA = _MARK | {f"key_{number:02d}": "x" * 600 for number in range(49)}

_PIECES = 12
_PIECES_BEFORE = 4
_SLOW_SECONDS = 3.0
_SLOW_SHARE = 0.3
_PATIENCE_SHARE = 0.5

_encode = msgspec.json.Encoder().encode


class Request(msgspec.Struct, frozen=True):
    """One request: its event, how it is signed, and the mend when its answer is wrong, as a sentence."""

    event: Event
    mend: str
    signing: Signing = "right"


class Probe(msgspec.Struct, frozen=True):
    """Requests in their order, and whether each has to be taken (2xx) or refused (4xx).

    `sent` says for people what they are, `unseen` what no answer tells about their effect.
    Of a slow probe's two the first has a body that comes in small pieces, and the second is
    sent meanwhile.
    """

    sent: str
    wanted: Literal["2xx", "4xx"]
    requests: tuple[Request, ...]
    unseen: str | None = None
    slow: bool = False


class Failure(msgspec.Struct, frozen=True):
    """The first wrong answer to a probe, and how to mend it."""

    outcome: Outcome
    mend: str


class Result(msgspec.Struct, frozen=True):
    """A probe, and what came of each of its requests."""

    probe: Probe
    outcomes: tuple[Outcome, ...]

    @property
    def failure(self) -> Failure | None:
        """What is wrong; None when the probe has passed."""
        for request, outcome in zip(self.probe.requests, self.outcomes, strict=True):
            if not _is_wanted(self.probe, outcome):
                return Failure(outcome, _mend(request, outcome))
        return None


def _is_wanted(probe: Probe, outcome: Outcome) -> bool:
    if probe.wanted == "2xx":
        return outcome.delivered
    return outcome.status is not None and 400 <= outcome.status < 500


def _mend(request: Request, outcome: Outcome) -> str:
    status = outcome.status
    if status is not None and 300 <= status < 400:
        return "Answer at this URL, or probe the one that it leads to: no redirect is followed."
    if request.signing != "right" and (status is None or status >= 500):
        return "Catch what the verification raises and answer 400: this looks like an outage, and is retried."
    return request.mend


def probes(milliseconds: int, entropy: Entropy) -> tuple[Probe, ...]:
    """Return the probes in their order, as of a time, with new events of two organizations made up for them.

    The others say little about a receiver that does not take the first.
    """
    made = _Maker(milliseconds - _BEFORE_MILLISECONDS, entropy)
    ours, other = made.new_id("org"), made.new_id("org")
    good = made.event(EventName.ORGANIZATION_CREATED.value, ours)
    older = made.event(EventName.ORGANIZATION_CREATED.value, other, name=_OLDER)
    newer = made.event(EventName.ORGANIZATION_UPDATED.value, other, name=_NEWER, previous={"name": _OLDER})
    large = made.large_update(ours)
    return (
        _taken(
            "a good event",
            "Check the path, the secret, and that it verifies the raw body; its log may say more.",
            good,
        ),
        _refused(
            "a forged signature",
            f"Verify {HEADER} before all else and answer 400: now anyone can send your app events.",
            made.update(ours),
            "forged",
        ),
        _refused(
            "no signature",
            f"Answer 400 when there is no {HEADER}: now anyone can send your app events by leaving it out.",
            made.update(ours),
            "none",
        ),
        _refused(
            "a signature ten minutes old",
            "Answer 400 when t= is over three minutes ago: now whoever has seen a delivery can repeat it.",
            made.update(ours),
            "old",
        ),
        _taken(
            "the first event once more",
            "Answer 2xx to an event whose id you have seen, and do no more: anything else has it sent yet again.",
            good,
            unseen=f"{good.id} came twice: it must have had its effect once.",
        ),
        _taken(
            "an update, then the creation",
            "Answer 2xx to an event of something that you have newer, or not at all: go by data.updated_at.",
            *(newer, older),
            unseen=f'{other}, if it is kept, must be named "{_NEWER}".',
        ),
        _taken(
            "an event with an unknown name",
            "Answer 2xx to events that you have no use for: new versions bring new names.",
            made.event(_UNKNOWN, ours),
        ),
        _taken(
            "bytes that parsing changes",
            "Verify the bytes of the body as they came, before anything parses them: written anew they differ.",
            made.update(ours, name=_AWKWARD_NAME, metadata=_AWKWARD_METADATA),
        ),
        _taken(
            f"a large event, {len(_encode(large)) // 1024} KiB",
            "Take bodies of up to 1 MiB: the event of an organization with many domains is this large.",
            large,
        ),
        Probe(
            "a slow body, an event beside it",
            "2xx",
            (
                Request(made.update(ours), "Wait ten seconds for a body: on a slow network it comes in pieces."),
                Request(
                    made.update(ours),
                    "Answer others while a body is coming: more workers, or a proxy in front that reads it first.",
                ),
            ),
            slow=True,
        ),
    )


def _taken(sent: str, mend: str, *events: Event, unseen: str | None = None) -> Probe:
    return Probe(sent, "2xx", tuple(Request(event, mend) for event in events), unseen)


def _refused(sent: str, mend: str, event: Event, signing: Signing) -> Probe:
    return Probe(sent, "4xx", (Request(event, mend, signing),))


class _Maker:
    """Makes events with ids of their own, each a millisecond later than the one before."""

    def __init__(self, milliseconds: int, entropy: Entropy) -> None:
        self._milliseconds = milliseconds
        self._ids = IdSource(entropy)

    def new_id(self, prefix: str) -> str:
        return self._ids.new(prefix, self._milliseconds)

    def event(
        self, name: str, identity: str, /, *, previous: dict[str, Any] | None = None, **changed: Any
    ) -> Event:
        """Return an event of an organization that is plain but for what is `changed`."""
        self._milliseconds += 1
        now = timestamp(self._milliseconds)
        return Event(
            id=self.new_id(PREFIX),
            event=name,
            data=_organization(identity, now) | changed,
            created_at=now,
            context=Context(actor=_ACTOR, previous_attributes=previous),
        )

    def update(self, identity: str, **changed: Any) -> Event:
        """Return an event of an organization that had another name before."""
        return self.event(EventName.ORGANIZATION_UPDATED.value, identity, previous={"name": _OLDER}, **changed)

    def large_update(self, identity: str) -> Event:
        """Return an event of an organization whose many domains and whole metadata were replaced."""
        domains = [self._domain(identity, number) for number in range(_MOST_DOMAINS)]
        replaced = {"domains": domains, "metadata": _LARGE_METADATA}
        return self.event(EventName.ORGANIZATION_UPDATED.value, identity, previous=replaced, **replaced)

    def _domain(self, organization_id: str, number: int) -> dict[str, Any]:
        now = timestamp(self._milliseconds)
        return {
            "object": "organization_domain",
            "id": self.new_id("org_domain"),
            "organization_id": organization_id,
            "domain": f"{number}.tenantry-probe.example",
            "state": "verified",
            "verification_strategy": "manual",
            "created_at": now,
            "updated_at": now,
        }


def _organization(identity: str, now: str) -> dict[str, Any]:
    return {
        "object": "organization",
        "id": identity,
        "name": _NAME,
        "allow_profiles_outside_organization": False,
        "created_at": timestamp(time_of(identity)),
        "updated_at": now,
        "domains": [],
        "metadata": _MARK,
        "external_id": None,
    }


class Prober:
    """Sends probes to one receiver, as deliveries are sent."""

    def __init__(self, sender: Sender, url: str, secret: str, clock: Clock, timeout: float) -> None:
        """Take as `timeout` the seconds in which the sender wants an answer: the slow probe is a share of it."""
        self._sender = sender
        self._url = url
        self._secret = secret
        self._forged_secret = f"{secret} forged"
        self._clock = clock
        self._pause = min(_SLOW_SECONDS, timeout * _SLOW_SHARE) / _PIECES
        self._patience = timeout * _PATIENCE_SHARE

    async def run(self, probe: Probe, told: Callable[[float], None]) -> Result:
        """Send a probe and return what came of it; a slow one tells now and then what share of it is sent."""
        if probe.slow:
            slow, beside = probe.requests
            return Result(probe, await self._run_slow(slow, beside, told))
        return Result(probe, tuple([await self._send(request) for request in probe.requests]))

    async def _run_slow(
        self, slow: Request, beside: Request, told: Callable[[float], None]
    ) -> tuple[Outcome, Outcome]:
        """Keep the last piece of the slow body until the other request has its answer, or waited long enough."""
        over = asyncio.Event()

        async def pieces() -> AsyncIterator[bytes]:
            body = _encode(slow.event)
            size = len(body) // _PIECES
            for number in range(1, _PIECES):
                yield body[(number - 1) * size : number * size]
                told(number / _PIECES)
                await asyncio.sleep(self._pause)
            await over.wait()
            yield body[(_PIECES - 1) * size :]

        sending = asyncio.create_task(self._send(slow, pieces()))
        await asyncio.wait({sending}, timeout=self._pause * _PIECES_BEFORE)
        try:
            outcome = await asyncio.wait_for(self._send(beside), self._patience)
        except TimeoutError:
            outcome = Outcome(
                None, round(self._patience * 1000), error="no answer while the other body was coming"
            )
        over.set()
        return await sending, outcome

    async def _send(self, request: Request, pieces: AsyncIterable[bytes] | None = None) -> Outcome:
        body = _encode(request.event)
        headers = self._signature(request.signing, body)
        if pieces is not None:
            headers["content-length"] = str(len(body))
        return await self._sender.send(self._url, pieces or body, headers)

    def _signature(self, signing: Signing, body: bytes) -> dict[str, str]:
        if signing == "none":
            return {}
        secret = self._forged_secret if signing == "forged" else self._secret
        age = _OLD_MILLISECONDS if signing == "old" else 0
        return {HEADER: signature(secret, self._clock() - age, body)}
