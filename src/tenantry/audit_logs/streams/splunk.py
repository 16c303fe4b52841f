"""Batches to Splunk's HTTP Event Collector: `services/collector/event`."""

import msgspec

from tenantry.audit_logs.streams.batches import Answer, Batch, Request, read, told
from tenantry.audit_logs.streams.wire import Splunk
from tenantry.core.clock import milliseconds_of
from tenantry.core.outgoing import Outcome

_PATH = "/services/collector/event"


class _Event(msgspec.Struct, omit_defaults=True):
    time: float
    source: str
    sourcetype: str
    event: msgspec.Raw
    index: str | None = None


class _When(msgspec.Struct):
    occurred_at: str


class _Answered(msgspec.Struct):
    """What a collector answers: 0 says that it took all of it."""

    code: int


_when = msgspec.json.Decoder(_When).decode
_answered = msgspec.json.Decoder(_Answered).decode
_encode = msgspec.json.Encoder(enc_hook=str).encode


def request(to: Splunk, batch: Batch, _milliseconds: int) -> Request:
    """Return the request: one JSON object an event, one after the other, with the time at which it occurred."""
    body = b"\n".join(_encode(_event(to, event)) for event in batch.events)
    return Request(url(to), {"content-type": "application/json", "authorization": f"Splunk {to.token}"}, body)


def url(to: Splunk) -> str:
    """Return where events are sent."""
    return to.url if to.url.endswith(_PATH) else to.url.rstrip("/") + _PATH


def sourcetype(to: Splunk) -> str:
    """Return the source type of events."""
    return str(to.sourcetype or "tenantry:audit_log")


def _event(to: Splunk, wire: bytes) -> _Event:
    return _Event(
        time=milliseconds_of(_when(wire).occurred_at) / 1000,
        source="tenantry",
        sourcetype=sourcetype(to),
        event=msgspec.Raw(wire),
        index=None if to.index is None else str(to.index),
    )


def answer(outcome: Outcome) -> Answer:
    """Return what an outcome means: a collector says 200 and the code 0, and something else there is none."""
    found = read(outcome)
    if found.verdict != "taken":
        return found
    try:
        code = _answered(outcome.answer).code
    except msgspec.MsgspecError:
        return Answer("failed", f"not the answer of an event collector: {told(outcome)}")
    return found if code == 0 else Answer("failed", told(outcome))
