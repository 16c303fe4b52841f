"""A name server in a process of its own that takes as little of the machine as Python can, and counts by time."""

import asyncio
import contextlib
import itertools
import multiprocessing
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from ctypes import c_int64
from multiprocessing.sharedctypes import RawArray
from typing import Any

import uvloop

_START_SECONDS = 10.0
_SLOTS_PER_SECOND = 100
_LONGEST_SECONDS = 3600
_HEADER = 12
_A, _NS, _SOA, _TXT = (kind.to_bytes(2, "big") for kind in (1, 2, 6, 16))
_INTERNET = b"\0\1"
_TTL = 300
_ANSWERED, _ABSENT = 0x8580, 0x8583  # an authoritative answer with recursion: NOERROR, NXDOMAIN
_TO_THE_NAME = b"\xc0\x0c"
_ADDRESS = bytes((192, 0, 2, 1))  # for documentation: nobody asks there (RFC 5737)


class Responder:
    """Answers TXT for the names of a table, says that there is nothing else, and counts."""

    def __init__(self, port: int, counts: Any, began: float) -> None:
        self.address = f"127.0.0.1:{port}"
        self._counts = counts
        self._began = began

    def asked(self, since: float, until: float) -> int:
        """Return how many questions came between two times, seconds since the epoch, to a hundredth."""
        return sum(self._between(since, until))

    def most_in_a_second(self, since: float, until: float) -> int:
        """Return how many questions came within that one second between two times that had the most."""
        counts = self._between(since, until)
        totals = [0, *itertools.accumulate(counts)]
        return max(end - totals[max(0, index - _SLOTS_PER_SECOND + 1)] for index, end in enumerate(totals[1:]))

    def _between(self, since: float, until: float) -> list[int]:
        first, last = (int((moment - self._began) * _SLOTS_PER_SECOND) for moment in (since, until))
        return list(self._counts[max(0, first) : last + 1])


@contextlib.contextmanager
def responding(values: Mapping[str, str]) -> Iterator[Responder]:
    """Yield a name server that has a TXT record of that value at each name, and end it afterwards."""
    context = multiprocessing.get_context("spawn")
    counts, began = RawArray(c_int64, _LONGEST_SECONDS * _SLOTS_PER_SECOND), time.time()
    parent, child = context.Pipe()
    process = context.Process(target=_respond, args=(child, counts, began), daemon=True)
    process.start()
    try:
        parent.send(dict(values))
        assert parent.poll(_START_SECONDS), "the name server did not start"
        yield Responder(parent.recv(), counts, began)
    finally:
        process.terminate()
        process.join()


def _respond(pipe: Any, counts: Any, began: float) -> None:
    records = {_wire(name): _txt(value) for name, value in pipe.recv().items()}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_listen(pipe, records, counts, began))


async def _listen(pipe: Any, records: dict[bytes, bytes], counts: Any, began: float) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(0)
        await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Questions(records, counts, began), sock=listening
        )
        pipe.send(listening.getsockname()[1])
        await asyncio.get_running_loop().create_future()


class _Questions(asyncio.DatagramProtocol):
    def __init__(self, records: dict[bytes, bytes], counts: Any, began: float) -> None:
        self._records = records
        self._counts = counts
        self._began = began

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.DatagramTransport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        self._counts[int((time.time() - self._began) * _SLOTS_PER_SECOND)] += 1
        self._transport.sendto(_answer(data, self._records), address)


def _answer(query: bytes, records: Mapping[bytes, bytes]) -> bytes:
    """Return what answers a query: a TXT record of the table, or name servers of it, or the SOA for nothing."""
    end = query.index(b"\0", _HEADER) + 1
    name, kind = query[_HEADER:end], query[end : end + 2]
    question = query[_HEADER : end + 4]
    if name in records and kind == _TXT:
        return _message(query, _ANSWERED, question, answer=_record(_TO_THE_NAME, _TXT, records[name]))
    if name in records and kind == _NS:
        return _message(query, _ANSWERED, question, answer=_record(_TO_THE_NAME, _NS, _NAME_SERVER))
    if name == _NAME_SERVER and kind == _A:
        return _message(query, _ANSWERED, question, answer=_record(_TO_THE_NAME, _A, _ADDRESS))
    return _message(query, _ANSWERED if name in records else _ABSENT, question, authority=_NOTHING)


def _message(query: bytes, flags: int, question: bytes, *, answer: bytes = b"", authority: bytes = b"") -> bytes:
    counts = struct.pack("!4H", 1, bool(answer), bool(authority), 0)
    return query[:2] + flags.to_bytes(2, "big") + counts + question + answer + authority


def _record(name: bytes, kind: bytes, data: bytes) -> bytes:
    return name + kind + _INTERNET + struct.pack("!IH", _TTL, len(data)) + data


def _wire(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def _txt(value: str) -> bytes:
    return bytes([len(value)]) + value.encode()


_NAME_SERVER = _wire("ns.test")
_NOTHING = _record(_wire("test"), _SOA, _NAME_SERVER + _wire("admin.test") + struct.pack("!5I", *(_TTL,) * 5))
