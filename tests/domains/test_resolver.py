"""Asking the DNS: what the network does to a question, and what is told of it."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import msgspec
import pytest

from tenantry.core.addresses import Server, servers
from tenantry.domains.examine import ResolverOptions
from tenantry.domains.resolver import Resolver

QUICK = ResolverOptions(timeout=0.3, tries=1, rate=100_000.0)

Reply = Callable[[dns.message.Message], list[bytes]]


class _Stranger(asyncio.DatagramProtocol):
    """A server that answers each question with the datagrams that a test wants."""

    def __init__(self, reply: Reply) -> None:
        self.asked: list[dns.message.Message] = []
        self._reply = reply
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        assert self._transport is not None
        question = dns.message.from_wire(data)
        self.asked.append(question)
        for datagram in self._reply(question):
            self._transport.sendto(datagram, address)


@asynccontextmanager
async def stranger(reply: Reply, at_port: int = 0) -> AsyncIterator[tuple[ResolverOptions, _Stranger]]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: _Stranger(reply), local_addr=("127.0.0.1", at_port)
    )
    host, port = transport.get_extra_info("sockname")
    try:
        yield msgspec.structs.replace(QUICK, servers=(Server(host, port),)), protocol
    finally:
        transport.close()


def answer(question: dns.message.Message, *records: str, flags: int = 0) -> dns.message.Message:
    response = dns.message.make_response(question)
    response.flags |= flags
    for record in records:
        name, ttl, *rest = record.split(" ", 4)
        response.answer.append(dns.rrset.from_text(name, int(ttl), *rest))
    return response


def right(question: dns.message.Message) -> bytes:
    return answer(question, "acme.test. 300 IN TXT right").to_wire()


def with_other_id(question: dns.message.Message) -> bytes:
    response = answer(question, "acme.test. 300 IN TXT forged")
    response.id ^= 1
    return response.to_wire()


def to_other_question(question: dns.message.Message) -> bytes:
    return right(dns.message.make_query("other.test", "TXT", id=question.id))


@pytest.mark.parametrize(
    "before", [lambda question: b"\0", lambda question: b"junk" * 9, with_other_id, to_other_question]
)
async def test_what_is_no_answer_to_the_question_is_passed_over(
    before: Callable[[dns.message.Message], bytes],
) -> None:
    async with stranger(lambda question: [before(question), right(question)]) as (options, _):
        question = await Resolver(options).ask("acme.test", "TXT")
    assert [record.value for record in question.answers] == ["right"]
    async with stranger(lambda question: [before(question)]) as (options, _):
        question = await Resolver(options).ask("acme.test", "TXT")
    assert (question.rcode, question.error) == (None, "sent nothing that can be read")


async def test_records_that_the_asked_name_does_not_lead_to_are_left_out() -> None:
    records = (
        "other.test. 300 IN TXT planted",
        "ACME.test. 300 IN CNAME Target.test.",
        "target.test. 60 IN TXT reached",
    )
    async with stranger(lambda question: [answer(question, *records).to_wire()]) as (options, _):
        question = await Resolver(options).ask("acme.test", "TXT")
    assert [(each.name, each.value) for each in question.answers] == [
        ("acme.test", "target.test"),
        ("target.test", "reached"),
    ]
    assert question.alias == "target.test"
    assert question.remembered == 60


async def test_an_answer_that_is_too_long_is_asked_for_over_tcp() -> None:
    async with stranger(lambda question: [answer(question, flags=dns.flags.TC).to_wire()]) as (options, _):
        question = await Resolver(options).ask("acme.test", "TXT")
    assert question.transport == "tcp"
    assert question.error == "refused the connection over TCP, which its long answer needs"


@asynccontextmanager
async def truncating(sent: Callable[[bytes], bytes]) -> AsyncIterator[ResolverOptions]:
    """A server that truncates over UDP, and over TCP sends what a test makes of the question."""

    async def over_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        question = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
        writer.write(sent(question))
        writer.close()

    # TCP has the choice of the port: connections of other tests hold many of its numbers, and of UDP's hardly any.
    async with await asyncio.start_server(over_tcp, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with stranger(lambda question: [answer(question, flags=dns.flags.TC).to_wire()], port) as (
            options,
            _,
        ):
            yield options


async def test_an_answer_over_tcp_is_whole_however_long_it_is() -> None:
    def long(question: bytes) -> bytes:
        records = [f"acme.test. 300 IN TXT {number:0250}" for number in range(100)]
        wire = answer(dns.message.from_wire(question), *records).to_wire(max_size=65535)
        return len(wire).to_bytes(2) + wire

    async with truncating(long) as options:
        question = await Resolver(options).ask("acme.test", "TXT")
    assert (question.transport, question.rcode, len(question.answers)) == ("tcp", "NOERROR", 100)


@pytest.mark.parametrize(
    "sent",
    [
        lambda question: b"",
        lambda question: b"\0",
        lambda question: b"\1\0" + question,
        lambda question: b"\0\4junk",
        lambda question: len(question).to_bytes(2) + question,
    ],
)
async def test_what_is_no_answer_over_tcp_is_told(sent: Callable[[bytes], bytes]) -> None:
    async with truncating(sent) as options:
        question = await Resolver(options).ask("acme.test", "TXT")
    assert question.rcode is None
    assert question.error == "sent nothing over TCP that can be read, which its long answer needs"


async def test_a_failure_may_leave_out_the_question_and_an_answer_may_not() -> None:
    def bare(rcode: dns.rcode.Rcode) -> Reply:
        def reply(question: dns.message.Message) -> list[bytes]:
            response = answer(question)
            response.question = []
            response.set_rcode(rcode)
            return [response.to_wire()]

        return reply

    async with stranger(bare(dns.rcode.SERVFAIL)) as (options, _):
        assert (await Resolver(options).ask("acme.test", "TXT")).rcode == "SERVFAIL"
    async with stranger(bare(dns.rcode.NXDOMAIN)) as (options, _):
        assert (await Resolver(options).ask("acme.test", "TXT")).error == "sent nothing that can be read"


async def test_a_question_is_sent_as_resolvers_do() -> None:
    async with stranger(lambda question: [right(question)]) as (options, protocol):
        await Resolver(options).ask("acme.test", "TXT", checking_disabled=True)
    [asked] = protocol.asked
    assert asked.flags == dns.flags.RD | dns.flags.AD | dns.flags.CD
    assert (asked.edns, asked.payload) == (0, 1232)
    assert asked.question == dns.message.make_query("acme.test", "TXT").question


async def test_a_question_that_was_not_answered_has_another_id_when_it_is_asked_again() -> None:
    async with stranger(lambda question: []) as (options, protocol):
        question = await Resolver(msgspec.structs.replace(options, timeout=0.05, tries=8)).ask("acme.test", "TXT")
    assert question.error == "timed out"
    assert len(protocol.asked) == 8
    assert len({asked.id for asked in protocol.asked}) > 1


async def test_a_resolver_that_fails_is_asked_once_and_the_next_in_its_place() -> None:
    def failing(question: dns.message.Message) -> list[bytes]:
        response = answer(question)
        response.set_rcode(dns.rcode.SERVFAIL)
        return [response.to_wire()]

    async with stranger(failing) as (first, asked), stranger(lambda question: [right(question)]) as (second, _):
        both = msgspec.structs.replace(QUICK, servers=first.servers + second.servers, tries=3)
        resolver = Resolver(both)
        assert (await resolver.ask("acme.test", "TXT")).rcode == "NOERROR"
        assert len(asked.asked) == 1
        # From now on the one that answered comes first.
        await resolver.ask("acme.test", "TXT")
        assert len(asked.asked) == 1
        alone = msgspec.structs.replace(both, servers=first.servers)
        assert (await Resolver(alone).ask("acme.test", "TXT")).rcode == "SERVFAIL"
        assert len(asked.asked) == 2


@pytest.mark.parametrize("name", ["a" * 64 + ".test", "a..test", ".".join(["a" * 60] * 5)])
async def test_a_name_that_the_dns_cannot_hold_is_not_asked(name: str) -> None:
    question = await Resolver(msgspec.structs.replace(QUICK, servers=servers("127.0.0.1:1", 53))).ask(name, "TXT")
    assert question.error == "was not asked, since the name is none that the DNS can hold"


async def test_thousands_of_questions_wait_for_their_answers_without_threads() -> None:
    async with stranger(lambda question: []) as (options, _):
        resolver = Resolver(options)
        before = threading.active_count()
        asked = [asyncio.ensure_future(resolver.ask("acme.test", "TXT")) for _ in range(2000)]
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        assert threading.active_count() == before
        assert {question.error for question in await asyncio.gather(*asked)} == {"timed out"}


async def test_questions_keep_to_the_pace() -> None:
    async with stranger(lambda question: [right(question)]) as (options, _):
        resolver = Resolver(msgspec.structs.replace(options, rate=50.0))
        loop = asyncio.get_running_loop()
        started = loop.time()
        await asyncio.gather(*(resolver.ask("acme.test", "TXT") for _ in range(20)))
        # Two at once, the others one after the other: it cannot be faster, however fast the machine is.
        assert loop.time() - started >= 0.34


async def test_what_a_server_remarks_on_its_failure_is_kept() -> None:
    def remarking(question: dns.message.Message) -> list[bytes]:
        response = answer(question)
        response.set_rcode(dns.rcode.SERVFAIL)
        response.use_edns(0, options=[dns.edns.EDEOption(dns.edns.EDECode.DNSSEC_BOGUS, "signature expired")])
        return [response.to_wire()]

    async with stranger(remarking) as (options, _):
        question = await Resolver(options).ask("acme.test", "TXT")
    assert question.remarks == ("EDE 6 (DNSSEC Bogus): signature expired",)


def test_the_library_is_loaded_only_to_ask() -> None:
    code = "import sys, tenantry.app, tenantry.domains.examine; sys.exit('dns' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
