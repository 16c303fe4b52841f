"""Asking the DNS. Loaded only when there is something to ask: its library costs some 6 MiB."""

import asyncio
import ipaddress
import resource
import secrets
import socket
import struct
import time
from collections.abc import Iterator

import dns.edns
import dns.exception
import dns.flags
import dns.inet
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.resolver
import msgspec
from dns.rdtypes.ANY.SOA import SOA
from dns.rdtypes.nsbase import NSBase
from dns.rdtypes.txtbase import TXTBase

from tenantry.core.addresses import Server, is_allowed
from tenantry.core.pace import Pace
from tenantry.domains.examine import Authority, ResolverOptions
from tenantry.domains.questions import Answer, Question, Transport
from tenantry.domains.records import text_of

PORT = 53

# What passes any path without fragments (DNS flag day 2020). A longer answer comes over TCP.
_PAYLOAD = 1232
# The resolver has tried and failed, or does not want to: another one may do better.
_FRUITLESS = frozenset({"SERVFAIL", "REFUSED", "NOTIMP", "NOTAUTH", "FORMERR", "BADVERS"})
# One costs a quarter of a millisecond of work here: so many at once are through well before the first is given up.
_MOST_AT_ONCE = 2048
# More at once would hold up requests for as long as it takes to ask.
_BURST_SECONDS = 0.05
_LONGEST_REMARK = 200
_LONGEST_DATAGRAM = 65535
_INTERNET = dns.rdataclass.IN
_OPT = b"\0" + struct.pack("!HHIH", dns.rdatatype.OPT, _PAYLOAD, 0, 0)
_FAILED = frozenset({dns.rcode.FORMERR, dns.rcode.SERVFAIL, dns.rcode.NOTIMP, dns.rcode.REFUSED})


class _Unanswered(Exception):
    """A server gave no answer that can be read; the message completes «the server …»."""


class _Query(msgspec.Struct, frozen=True):
    """A question as it is sent. Made here rather than by dnspython, which takes ten times as long."""

    id: int
    name: dns.name.Name
    type: dns.rdatatype.RdataType
    wire: bytes

    def answer_in(self, wire: bytes) -> dns.message.Message | None:
        """Return what answers this very question, if that is what the bytes are."""
        try:
            message = dns.message.from_wire(wire)
        except Exception:  # noqa: BLE001 (bytes of a stranger: whatever they break, they are no answer)
            return None
        asked = [(each.name, each.rdtype, each.rdclass) for each in message.question]
        if message.id != self.id or not message.flags & dns.flags.QR or message.opcode() != dns.opcode.QUERY:
            return None
        # Who fails may leave out what was asked.
        is_this = asked == [(self.name, self.type, _INTERNET)] or (not asked and message.rcode() in _FAILED)
        return message if is_this else None


class Resolver:
    """Asks resolvers, and the name servers of a zone where it is told to.

    Each question that is sent waits for its turn in the pace of this process. As many as the limit of open files
    allows are under way at once, each from a port and with an id of its own, without threads.
    """

    def __init__(self, options: ResolverOptions) -> None:
        self._options = options
        self._servers = options.servers or _of_system()
        self._preferred = 0
        self._pace = Pace(options.rate, _BURST_SECONDS)
        self._places = asyncio.Semaphore(_places())

    async def ask(
        self, name: str, type_: str, *, authority: Authority | None = None, checking_disabled: bool = False
    ) -> Question:
        """Return what came of a question; never raises what the network did.

        Resolvers are asked in turn, from the one that answered last: the next when one is silent or fails,
        and all of them again, `tries` times, while nobody says anything. Given an `authority`, that server is
        asked alone, if its address is public or allowed.
        """
        question = Question(
            name=name,
            type=type_,
            authority=None if authority is None else authority.name,
            checking_disabled=checking_disabled,
        )
        try:
            dns.name.from_text(name)
        except dns.exception.DNSException:
            return _changed(question, error="was not asked, since the name is none that the DNS can hold")
        if authority is None:
            return await self._in_turn(question)
        return await self._directly(question, authority)

    async def _in_turn(self, question: Question) -> Question:
        best = _changed(question, error="was not asked: none is set")
        spoke: set[Server] = set()
        spent = 0
        for server in self._turns():
            if server in spoke:
                continue
            asked = await self._once(question, server)
            spent += asked.milliseconds
            if asked.rcode is not None:
                spoke.add(server)
            if asked.rcode is not None and asked.rcode not in _FRUITLESS:
                self._preferred = self._servers.index(server)
                best = asked
                break
            if asked.rcode is not None or best.rcode is None:
                best = asked
        return _changed(best, milliseconds=spent)

    def _turns(self) -> Iterator[Server]:
        first = self._preferred
        for _ in range(self._options.tries):
            yield from self._servers[first:] + self._servers[:first]

    async def _directly(self, question: Question, authority: Authority) -> Question:
        server = Server(authority.address, self._options.authority_port)
        if not is_allowed(ipaddress.ip_address(authority.address), self._options.networks):
            return _changed(question, server=str(server), error="was not asked, since its address is not public")
        asked = question
        for _ in range(self._options.tries):
            asked = await self._once(question, server)
            if asked.rcode is not None:
                break
        return asked

    async def _once(self, question: Question, server: Server) -> Question:
        """Send a question once, and once more over TCP when its answer is too long for a datagram."""
        asked, truncated = await self._exchange(question, server, "udp")
        if truncated:
            asked, _ = await self._exchange(question, server, "tcp")
        return asked

    async def _exchange(self, question: Question, server: Server, transport: Transport) -> tuple[Question, bool]:
        """Return the question with its answer, and whether that was cut off."""
        await self._pace.turn()
        truncated = False
        async with self._places:
            started = time.perf_counter()
            try:
                send = self._over_udp if transport == "udp" else self._over_tcp
                message = await send(_query(question), server)
                truncated = bool(message.flags & dns.flags.TC)
                asked = _read(question, message)
            except _Unanswered as unanswered:
                asked = _changed(question, error=str(unanswered))
            except OSError as error:
                asked = _changed(question, error=_told(error))
            spent = round((time.perf_counter() - started) * 1000)
        return _changed(asked, server=str(server), transport=transport, milliseconds=spent), truncated

    async def _over_udp(self, query: _Query, server: Server) -> dns.message.Message:
        """Return the answer to this very question from this very server.

        Whatever else arrives is passed over, since anybody may send it.
        """
        garbage = False
        with socket.socket(dns.inet.af_for_address(server.address), socket.SOCK_DGRAM) as opened:
            opened.setblocking(False)  # noqa: FBT003 (positional only)
            # So it takes datagrams from this server only, and hears when the port is closed.
            opened.connect(_destination(server))
            opened.send(query.wire)
            try:
                async with asyncio.timeout(self._options.timeout):
                    while (answer := query.answer_in(await _datagram(opened))) is None:
                        garbage = True
                    return answer
            except TimeoutError:
                raise _Unanswered("sent nothing that can be read" if garbage else "timed out") from None

    async def _over_tcp(self, query: _Query, server: Server) -> dns.message.Message:
        """Return the whole of an answer that a datagram could not hold."""
        try:
            async with asyncio.timeout(self._options.timeout):
                answer = query.answer_in(await _streamed(query.wire, server))
        except TimeoutError:
            raise _Unanswered("timed out over TCP, which its long answer needs") from None
        except OSError as error:
            raise _Unanswered(f"{_told(error)} over TCP, which its long answer needs") from None
        except asyncio.IncompleteReadError:
            answer = None
        if answer is None:
            raise _Unanswered("sent nothing over TCP that can be read, which its long answer needs")
        return answer


async def _datagram(opened: socket.socket) -> bytes:
    return await asyncio.get_running_loop().sock_recv(opened, _LONGEST_DATAGRAM)


async def _streamed(wire: bytes, server: Server) -> bytes:
    """Return the message that answers one over TCP, where each follows its length."""
    reader, writer = await asyncio.open_connection(server.address, server.port)
    try:
        writer.write(len(wire).to_bytes(2) + wire)
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
    finally:
        writer.close()


def _query(question: Question) -> _Query:
    """Return the question as a message with a new random id. Raises DNSException when no message can hold it."""
    # In a question AD says that the answer's AD is understood (RFC 6840). A zone's own server has neither.
    flags = dns.flags.Flag(0) if question.authority else dns.flags.RD | dns.flags.AD
    if question.checking_disabled:
        flags |= dns.flags.CD
    name, kind = dns.name.from_text(question.name), dns.rdatatype.from_text(question.type)
    identity = secrets.randbits(16)
    header = struct.pack("!6H", identity, flags, 1, 0, 0, 1)
    return _Query(identity, name, kind, header + name.to_digestable() + struct.pack("!2H", kind, _INTERNET) + _OPT)


def _of_system() -> tuple[Server, ...]:
    """Return the resolvers of this machine."""
    try:
        system = dns.resolver.Resolver()
    except dns.resolver.NoResolverConfiguration:
        return ()
    return tuple(Server(str(address), system.port) for address in system.nameservers)


def _places() -> int:
    """Return how many questions may be under way: half of the files that may be open, each being a socket."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_AT_ONCE if soft == resource.RLIM_INFINITY else max(1, min(_MOST_AT_ONCE, soft // 2))


def _destination(server: Server) -> tuple[object, ...]:
    family = dns.inet.af_for_address(server.address)
    return tuple(dns.inet.low_level_address_tuple((server.address, server.port), family))


def _told(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "refused the connection"
    return f"cannot be reached ({error.strerror or type(error).__name__})"


def _changed(question: Question, **changes: object) -> Question:
    return msgspec.structs.replace(question, **changes)


def _read(question: Question, message: dns.message.Message) -> Question:
    """Return the question with what the message answers to it. Raises _Unanswered."""
    rcode = dns.rcode.to_text(message.rcode())
    if question.authority and rcode == "NOERROR" and not message.flags & dns.flags.AA:
        raise _Unanswered("does not serve this zone")
    if not isinstance(message, dns.message.QueryMessage):
        raise _Unanswered("sent nothing that can be read")
    # Where there are no records, dnspython would search in vain, for longer than all else here takes.
    answers = tuple(_answers(message)) if message.question and message.answer else ()
    zone, negative_ttl = (None, None) if answers and answers[-1].type == question.type else _absence(message)
    return _changed(
        question,
        rcode=rcode,
        answers=answers,
        remarks=tuple(_remarks(message)),
        zone=zone,
        negative_ttl=negative_ttl,
        authentic=bool(message.flags & dns.flags.AD),
    )


def _answers(message: dns.message.QueryMessage) -> Iterator[Answer]:
    """Yield the aliases from the asked name on, and what is at their end: nothing else in the message counts."""
    try:
        chain = message.resolve_chaining()
    except dns.exception.DNSException:
        raise _Unanswered("sent an answer that contradicts itself") from None
    for rrset in (*chain.cnames, *([] if chain.answer is None else [chain.answer])):
        for record in rrset:
            kind = dns.rdatatype.to_text(rrset.rdtype)
            yield Answer(_name(rrset.name), kind, rrset.ttl, _value(record), record.to_text())


def _value(record: dns.rdata.Rdata) -> str:
    if isinstance(record, TXTBase):
        return text_of(record.strings)
    if isinstance(record, NSBase):
        return _name(record.target)
    return record.to_text()


def _absence(message: dns.message.Message) -> tuple[str | None, int | None]:
    """Return the zone that says that there is nothing, and for how long that may be remembered (RFC 2308)."""
    for rrset in message.authority:
        for record in rrset:
            if isinstance(record, SOA):
                return _name(rrset.name), min(rrset.ttl, record.minimum)
    return None, None


def _remarks(message: dns.message.Message) -> Iterator[str]:
    for option in message.options:
        if isinstance(option, dns.edns.EDEOption):
            yield option.to_text()[:_LONGEST_REMARK]


def _name(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()
