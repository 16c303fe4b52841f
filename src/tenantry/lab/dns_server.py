"""The lab's DNS for others: a name server on one port, UDP and TCP.

A name is that of the main environment, or with `.universe_01….universe` behind it that of a universe. Aliases keep
the ending, so that whoever follows them stays in the universe. Messages are read and written by `dns_messages`,
which is loaded when the first one comes.
"""

import asyncio
import contextlib
import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import structlog

from tenantry.domains.examine import Asker
from tenantry.domains.questions import Question
from tenantry.lab.zone_asker import SERVER

log = structlog.get_logger("tenantry.lab")

ENDING = ".universe"
_MOST_AT_ONCE = 1000  # questions that are being answered; more are not
_MOST_CONNECTIONS = 100
_IDLE_SECONDS = 10.0
_ATTEMPTS = 20

FindAsker = Callable[[str], Asker | None]
"""Returns what answers for a universe, given its id in lower case, or none for the main one. None: no such."""


class DnsServer:
    """Answers questions about the names that are set in the lab, from when it is first started."""

    def __init__(self, host: str, port: int, find: FindAsker) -> None:
        """`port` 0 is any that is free."""
        self._host = host
        self._wanted = port
        self._find = find
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections = 0
        self._starting = asyncio.Lock()
        self._messages: ModuleType | None = None

    @property
    def port(self) -> int:
        """The port that it listens on; 0 until it is started."""
        return 0 if self._udp is None else int(self._udp.get_extra_info("sockname")[1])

    @property
    def address(self) -> str:
        """Where it listens, as `127.0.0.1:4153`."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{self.port}"

    async def start(self) -> None:
        """Listen, if it does not yet. Raises OSError when the port is taken."""
        async with self._starting:
            if self._udp is None:
                await self._listen()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        for attempt in range(1, _ATTEMPTS + 1):
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self), local_addr=(self._host, self._wanted)
            )
            port = transport.get_extra_info("sockname")[1]
            try:
                self._tcp = await asyncio.start_server(self._converse, self._host, port)
            except OSError:
                transport.close()
                if self._wanted or attempt == _ATTEMPTS:
                    raise
            else:
                self._udp = transport
                return

    async def stop(self) -> None:
        """Listen no more."""
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def receive(self, wire: bytes, address: tuple[object, ...]) -> None:
        """Answer a datagram."""
        if len(self._tasks) >= _MOST_AT_ONCE:
            return
        task = asyncio.get_running_loop().create_task(self._reply(wire, address))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reply(self, wire: bytes, address: tuple[object, ...]) -> None:
        answer = await self._answer(wire, datagram=True)
        if answer is not None and self._udp is not None:
            self._udp.sendto(answer, address)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the questions of one connection, one after the other."""
        self._connections += 1
        try:
            while self._connections <= _MOST_CONNECTIONS:
                async with asyncio.timeout(_IDLE_SECONDS):
                    wire = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                answer = await self._answer(wire, datagram=False)
                if answer is None:
                    break
                writer.write(len(answer).to_bytes(2) + answer)
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._connections -= 1
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, wire: bytes, *, datagram: bool) -> bytes | None:
        """Return the answer to a message, when its time has come; None when there is none."""
        try:
            if self._messages is None:
                self._messages = await asyncio.to_thread(importlib.import_module, "tenantry.lab.dns_messages")
            query = self._messages.read(wire)
            if query is None:
                return None
            name, universe = split(query.name)
            asker = self._find(universe)
            if asker is None:
                return self._refused(query, datagram=datagram)
            answered = await asker.ask(name, query.type)
            if answered.server == SERVER:  # what the real DNS took has been waited for
                await asyncio.sleep(answered.milliseconds / 1000)
            if answered.rcode is None:
                return None
            ending = f".{universe}{ENDING}" if universe else ""
            written: bytes = self._messages.write(query, answered, ending, datagram=datagram)
        except Exception as error:
            log.error("a question to the lab's DNS failed", exc_info=error)
            return None
        return written

    def _refused(self, query: Any, *, datagram: bool) -> bytes:
        """Return the answer to a question about a universe that there is not."""
        assert self._messages is not None
        refused = Question(name=query.name, type=query.type, rcode="REFUSED")
        written: bytes = self._messages.write(query, refused, "", datagram=datagram)
        return written


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def datagram_received(self, data: bytes, addr: tuple[object, ...]) -> None:
        self._server.receive(data, addr)


def split(name: str) -> tuple[str, str]:
    """Return the name within a universe, and the universe's id in lower case; empty for the main environment."""
    if not name.endswith(ENDING):
        return name, ""
    inner, _, identity = name.removesuffix(ENDING).rpartition(".")
    return inner, identity
