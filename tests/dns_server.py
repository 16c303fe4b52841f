"""Real name servers for the tests: BIND, unprivileged, on loopback and free ports, in a directory of its own.

One process knows zones, the other is a caching, validating resolver. The resolver begins at a root of our own and
is led on by delegations; BIND lets it find name servers at another port than 53. So every fault of the DNS can
be had for real.
"""

import base64
import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.update

from support import free_port

LOOPBACK, SILENT = "127.0.0.1", "127.0.0.5"

SECURE, BOGUS = "secure.test", "bogus.test"
SIGNED_VALUE = "app-domain-verification-signed=5h3fn5uPEBcd7G3kL9mN2xQzR"
"""The TXT record of the two signed zones. That of `bogus.test` was changed after it had been signed."""

_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
_TOOLS = ("named", "rndc", "dnssec-keygen", "dnssec-signzone")
_ATTEMPTS = 5
_READY_SECONDS = 20
_TIMEOUT = 10

_COMMON = """\
key control {{ algorithm hmac-sha256; secret "{secret}"; }};
controls {{ inet 127.0.0.1 port {control} allow {{ any; }} keys {{ control; }}; }};
options {{
    directory "{directory}";
    pid-file none;
    session-keyfile none;
    lock-file none;
    port {port};
    listen-on port {listen} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    empty-zones-enable no;
    notify no;
    max-cache-size 16M;
    {options}
}};
"""
_AUTHORITY = """\
zone "." {{ type primary; file "root"; }};
zone "test" {{ type primary; file "test"; allow-update {{ any; }}; }};
zone "{secure}" {{ type primary; file "{secure}.signed"; }};
zone "{bogus}" {{ type primary; file "{bogus}.signed"; }};
"""
_RESOLVER = """\
zone "." {{ type hint; file "hints"; }};
trust-anchors {{ {anchors} }};
"""

_HINTS = ". 3600 NS ns.test.\nns.test. 3600 A 127.0.0.1\n"
_ROOT = f". 3600 SOA ns.test. admin.test. 1 3600 600 86400 300\n{_HINTS}test. 3600 NS ns.test.\n"
_TEST = "$TTL 3600\n@ SOA ns admin 1 3600 600 86400 300\n@ NS ns\nns A 127.0.0.1\nsecure NS ns\nbogus NS ns\n"
_SIGNED = f"""\
$TTL 300
@ SOA ns.test. admin.test. 1 3600 600 86400 300
@ NS ns.test.
@ TXT "{SIGNED_VALUE}"
"""


def missing() -> list[str]:
    """Return what these servers need and this machine lacks."""
    return [tool for tool in _TOOLS if shutil.which(tool, path=_PATH) is None]


class Zone:
    """A zone, and how it is changed. What is changed is served when the call returns."""

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self._port = port

    def set_txt(self, name: str, values: list[str], ttl: int = 300) -> None:
        """Make `values` the TXT records at `name`. One that is longer than 255 bytes is cut into strings."""
        self.set(name, "TXT", [_strings(value) for value in values], ttl)

    def set(self, name: str, kind: str, values: list[str], ttl: int = 300) -> None:
        """Make `values`, written as in a zone file, the records of a kind at `name`."""
        update = dns.update.UpdateMessage(f"{self.name}.")
        update.delete(f"{name}.", kind)
        for value in values:
            update.add(f"{name}.", ttl, kind, value)
        answer = dns.query.tcp(update, LOOPBACK, timeout=_TIMEOUT, port=self._port)
        assert answer.rcode() == dns.rcode.NOERROR, answer


class NameServers:
    """The running servers."""

    resolver: str
    """The resolver, as a list of servers has it."""
    authority_port: int
    """Where the name servers of zones are, in place of port 53."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._secret = base64.b64encode(os.urandom(32)).decode()
        self._numbers = itertools.count(1)
        anchors = _make_zones(directory)
        self._authority = self._started(
            "authority", _AUTHORITY.format(secure=SECURE, bogus=BOGUS), "recursion no; allow-new-zones yes;"
        )
        self.authority_port = self._authority.port
        self._resolver = self._started(
            "resolver",
            _RESOLVER.format(anchors=anchors),
            "recursion yes; dnssec-validation yes; servfail-ttl 0;",
            port=self.authority_port,
        )
        self.resolver = f"{LOOPBACK}:{self._resolver.port}"

    def zone(self, *, negative_ttl: int = 300) -> Zone:
        """Make a zone with a name of its own."""
        name = self._name("acme")
        zone = (
            f"$TTL 300\n@ {negative_ttl} SOA ns admin 1 3600 600 86400 {negative_ttl}\n@ NS ns\nns A 127.0.0.1\n"
        )
        (self._directory / name).write_text(zone)
        self._authority.control("addzone", name, f'{{ type primary; file "{name}"; allow-update {{ any; }}; }};')
        self._delegate(name, LOOPBACK)
        return Zone(name, self.authority_port)

    def lame_zone(self) -> str:
        """Return the name of a new zone that is delegated to a server that does not know it."""
        name = self._name("lame")
        self._delegate(name, LOOPBACK)
        return name

    @contextlib.contextmanager
    def silent_zone(self) -> Iterator[str]:
        """Return the name of a new zone whose server never answers, for as long as the context lasts."""
        name = self._name("silent")
        self._delegate(name, SILENT)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
            deaf.bind((SILENT, self.authority_port))
            yield name

    def forget(self) -> None:
        """Empty the cache of the resolver, as time does."""
        self._resolver.control("flush")

    def stop(self) -> None:
        """Stop the servers and wait for their end."""
        for server in (self._resolver, self._authority):
            server.stop()

    def _name(self, label: str) -> str:
        return f"{label}{next(self._numbers)}.test"

    def _delegate(self, name: str, address: str) -> None:
        test = Zone("test", self.authority_port)
        test.set(f"ns.{name}", "A", [address])
        test.set(name, "NS", [f"ns.{name}."])

    def _started(self, name: str, configuration: str, options: str, port: int | None = None) -> "_Named":
        """Start on ports that are free now. Another process may take one in between: then on others."""
        for _ in range(_ATTEMPTS):
            named = _Named(self._directory, name, self._secret, configuration, options, port)
            if named.comes_up():
                return named
            named.stop()
        raise RuntimeError(f"named does not start:\n{(self._directory / f'{name}.log').read_text()}")


class _Named:
    """One process of BIND. `port` is where it listens; `others` is where it looks for servers, if elsewhere."""

    def __init__(
        self, directory: Path, name: str, secret: str, configuration: str, options: str, others: int | None
    ) -> None:
        self.port, self._control_port = _free_port(), _free_port()
        self._key = directory / f"{name}.key"
        self._key.write_text(f'key control {{ algorithm hmac-sha256; secret "{secret}"; }};\n')
        settings = directory / f"{name}.conf"
        settings.write_text(
            _COMMON.format(
                secret=secret,
                control=self._control_port,
                directory=directory,
                port=others or self.port,
                listen=self.port,
                options=options,
            )
            + configuration
        )
        # A copy: where AppArmor confines the one in its place, that cannot read a test's directory.
        program = directory / f"named-{name}"
        shutil.copy(shutil.which("named", path=_PATH) or "named", program)
        with (directory / f"{name}.log").open("wb") as log:
            self._process = subprocess.Popen(
                [program, "-g", "-n", "1", "-c", settings], cwd=directory, stdout=log, stderr=log
            )

    def comes_up(self) -> bool:
        """Return whether it came to answer."""
        ends = time.monotonic() + _READY_SECONDS
        while self._process.poll() is None and time.monotonic() < ends:
            with contextlib.suppress(dns.exception.DNSException, OSError):
                question = dns.message.make_query("test.", "SOA")
                if dns.query.udp(question, LOOPBACK, timeout=1, port=self.port).answer:
                    return True
            time.sleep(0.02)
        return False

    def control(self, *command: str) -> None:
        """Have it do what an operator may ask for."""
        _run("rndc", "-k", str(self._key), "-s", LOOPBACK, "-p", str(self._control_port), *command)

    def stop(self) -> None:
        """Stop it and wait for its end."""
        self._process.terminate()
        try:
            self._process.wait(_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_TIMEOUT)


def _make_zones(directory: Path) -> str:
    """Write the zones that are there from the start. Return the trust anchors of the signed ones."""
    for file, zone in (("root", _ROOT), ("hints", _HINTS), ("test", _TEST)):
        (directory / file).write_text(zone)
    anchors = [_sign(directory, name) for name in (SECURE, BOGUS)]
    broken = directory / f"{BOGUS}.signed"
    broken.write_text(broken.read_text().replace(SIGNED_VALUE, SIGNED_VALUE.replace("signed", "forged")))
    return " ".join(anchors)


def _sign(directory: Path, name: str) -> str:
    """Sign a zone. Return its trust anchor."""
    (directory / name).write_text(_SIGNED)
    key = _run("dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", "-f", "KSK", name, cwd=directory).strip()
    _run("dnssec-signzone", "-q", "-S", "-z", "-o", name, name, cwd=directory)
    flags, protocol, algorithm, *public = (directory / f"{key}.key").read_text().split("DNSKEY")[-1].split()
    return f'{name}. static-key {flags} {protocol} {algorithm} "{"".join(public)}";'


def _run(tool: str, *arguments: str, cwd: Path | None = None) -> str:
    program = shutil.which(tool, path=_PATH)
    assert program is not None
    done = subprocess.run([program, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _strings(value: str) -> str:
    data = value.encode()
    parts = [data[start : start + 255] for start in range(0, len(data), 255)] or [b""]
    return " ".join('"' + "".join(f"\\{byte:03}" for byte in part) + '"' for part in parts)


def _free_port() -> int:
    """Return a port that is free for TCP and UDP, at the address of the silent server too."""
    while True:
        port = free_port()
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for address in (LOOPBACK, SILENT):
                stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind((address, port))
            return port
