"""Asking a universe's own DNS, in the process: what checks of domains do instead of asking a resolver."""

from collections.abc import Awaitable, Callable

from tenantry.domains.examine import Asker, Authority
from tenantry.domains.questions import Answer, Question
from tenantry.lab.zones import Datum, Reply, Zones, zone_file_form

Connect = Callable[[], Awaitable[Asker]]
"""Returns what asks the real DNS."""

SERVER = "the lab"
"""What stands in a question as the server that was asked."""


class ZoneAsker:
    """Answers from `zones`, at once: how long an answer takes is told, and one past `patience` is a timeout.

    What the zones leave to the real DNS is asked with what `connect` returns.
    """

    def __init__(self, zones: Zones, connect: Connect, patience: int | None) -> None:
        self._zones = zones
        self._connect = connect
        self._patience = patience

    async def ask(
        self, name: str, type_: str, *, authority: Authority | None = None, checking_disabled: bool = False
    ) -> Question:
        """Return what came of a question, as `Asker` has it."""
        reply = None if authority is not None else self._zones.answer(name, type_)
        if reply is not None:
            return _question(name, type_, reply, self._patience, checking_disabled=checking_disabled)
        real = await self._connect()
        return await real.ask(name, type_, authority=authority, checking_disabled=checking_disabled)


def _question(name: str, type_: str, reply: Reply, patience: int | None, *, checking_disabled: bool) -> Question:
    """Return a question with its answer. `patience` is in milliseconds, None for any."""
    late = reply.rcode is None or (patience is not None and reply.milliseconds > patience)
    return Question(
        name=name,
        type=type_,
        server=SERVER,
        transport="udp",
        checking_disabled=checking_disabled,
        rcode=None if late else reply.rcode,
        error="timed out" if late else None,
        answers=() if late else tuple(map(_answer, reply.data)),
        milliseconds=patience if late and patience is not None else reply.milliseconds,
    )


def _answer(datum: Datum) -> Answer:
    return Answer(datum.name, datum.type, datum.ttl, datum.value, zone_file_form(datum))


def once(connect: Connect) -> Connect:
    """Return what connects when it is first called, and then returns the same to everybody."""
    made: Asker | None = None

    async def connected() -> Asker:
        nonlocal made
        if made is None:
            made = await connect()
        return made

    return connected
