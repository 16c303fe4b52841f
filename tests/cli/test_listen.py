"""`tenantry webhooks listen` sends a server's events on to a receiver here, signed, and says what it answers."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from workos import WorkOSClient

from receivers import Receiver
from support import Server, client, free_port

KEY = "sk_test_default"
_SECONDS = 20.0


class Listener:
    """The command, running; what it prints is kept in a file."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._log = folder / "listen.log"
        line = [sys.executable, "-m", "tenantry", "webhooks", "listen", *arguments]
        with self._log.open("w") as output:
            self.process = subprocess.Popen(line, stdout=output, stderr=subprocess.STDOUT)

    @property
    def printed(self) -> str:
        return self._log.read_text()

    def wait_for(self, text: str, times: int = 1) -> None:
        wait_until(lambda: self.printed.count(text) >= times, lambda: f"{text!r} did not come:\n{self.printed}")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(_SECONDS)


def wait_until(true: Callable[[], bool], told: Callable[[], str]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not true():
        assert time.monotonic() < deadline, told()
        time.sleep(0.05)


@contextmanager
def listening(folder: Path, *arguments: str) -> Iterator[Listener]:
    listener = Listener(folder, *arguments)
    try:
        yield listener
    finally:
        listener.process.kill()
        listener.process.wait()


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Server]:
    server = Server(f"sqlite:///{tmp_path / 'dev.db'}", tmp_path, command="dev")
    yield server
    server.kill()


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    started = Receiver(tmp_path)
    yield started
    started.kill()


def test_events_are_sent_on_signed_as_the_sdk_verifies_it(dev: Server, receiver: Receiver, tmp_path: Path) -> None:
    with client(dev.base_url, KEY) as api:
        api.post("/organizations", json={"name": "Before"})
        with listening(tmp_path, "--forward-to", f"{receiver.url}/hook", "--url", dev.base_url) as listener:
            listener.wait_for("Ready.")
            made = api.post("/organizations", json={"name": "Acme"}).json()
            (received,) = receiver.wait_for(1)
            listener.wait_for("200 in")
            assert listener.stop() == 0
    secret = re.search(r"signed with (whsec_\w{25})", listener.printed)
    assert secret
    event = WorkOSClient(api_key=KEY).webhooks.verify_event(
        event_body=received["body"].encode(),
        event_signature=received["headers"]["workos-signature"],
        secret=secret[1],
    )
    assert event.event == "organization.created"  # type: ignore[union-attr]
    assert received["path"] == "/hook"
    assert made["id"] in received["body"]
    assert re.search(r"organization\.created  event_\w+  200 in \d+ ms", listener.printed)


def test_the_secret_is_the_same_each_time_and_another_for_another_key(tmp_path: Path, dev: Server) -> None:
    def secret(key: str) -> str:
        arguments = ("--forward-to", "http://127.0.0.1:9", "--url", dev.base_url, "--api-key", key)
        with listening(tmp_path, *arguments) as listener:
            listener.wait_for("whsec_")
            found = re.search(r"whsec_\w+", listener.printed)
            assert found
            return found[0]

    assert secret(KEY) == secret(KEY) != secret("sk_another")


def test_only_the_events_that_are_named_are_sent_on(dev: Server, receiver: Receiver, tmp_path: Path) -> None:
    arguments = ("--forward-to", receiver.url, "--url", dev.base_url, "--events", "organization.deleted")
    with listening(tmp_path, *arguments) as listener, client(dev.base_url, KEY) as api:
        listener.wait_for("Ready.")
        identity = api.post("/organizations", json={"name": "Acme"}).json()["id"]
        api.delete(f"/organizations/{identity}")
        (received,) = receiver.wait_for(1)
    assert '"organization.deleted"' in received["body"]


def test_a_lost_server_is_found_again_and_nothing_is_missed(receiver: Receiver, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'kept.db'}"
    server = Server(database, tmp_path, command="dev")
    with listening(tmp_path, "--forward-to", receiver.url, "--url", server.base_url) as listener:
        listener.wait_for("Ready.")
        server.kill()
        listener.wait_for("Waits for the server: ")  # whether it was cut off or is not there is chance
        other = Server(database, tmp_path, command="dev")
        with client(other.base_url, KEY) as api:
            api.post("/organizations", json={"name": "Meanwhile"}).raise_for_status()
        other.kill()
        again = Server(database, tmp_path, command="dev", port=server.port)
        (received,) = receiver.wait_for(1)
        listener.wait_for("Ready.", 2)
        again.kill()
    assert "Meanwhile" in received["body"]


def test_a_server_that_has_begun_anew_is_followed_from_there(receiver: Receiver, tmp_path: Path) -> None:
    server = Server("sqlite://", tmp_path, command="dev")
    with listening(tmp_path, "--forward-to", receiver.url, "--url", server.base_url) as listener:
        listener.wait_for("Ready.")
        with client(server.base_url, KEY) as api:
            for number in range(3):
                api.post("/organizations", json={"name": f"N{number}"}).raise_for_status()
        receiver.wait_for(3)
        server.kill()
        again = Server("sqlite://", tmp_path, command="dev", port=server.port)
        listener.wait_for("Ready.", 2)
        with client(again.base_url, KEY) as api:
            api.post("/organizations", json={"name": "Anew"}).raise_for_status()
        assert "Anew" in receiver.wait_for(4)[3]["body"]
        again.kill()


def test_what_the_receiver_answers_is_said_and_the_next_event_comes_all_the_same(
    dev: Server, tmp_path: Path
) -> None:
    receiver = Receiver(tmp_path, failing=0.5)
    with (
        listening(tmp_path, "--forward-to", receiver.url, "--url", dev.base_url) as listener,
        client(dev.base_url, KEY) as api,
    ):
        listener.wait_for("Ready.")
        for number in range(4):
            api.post("/organizations", json={"name": f"N{number}"})
        receiver.wait_for(4)
        listener.wait_for("500 in", 2)
        listener.wait_for("200 in", 2)
        receiver.kill()
        api.post("/organizations", json={"name": "Nobody"})
        listener.wait_for("ConnectionRefusedError")
        assert listener.stop() == 0


def test_a_key_that_is_wrong_and_a_receiver_that_is_none_end_it(dev: Server, tmp_path: Path) -> None:
    with listening(
        tmp_path, "--forward-to", "http://127.0.0.1:9", "--url", dev.base_url, "--api-key", "sk_no"
    ) as one:
        assert one.process.wait(_SECONDS) == 1
    assert "answers 401: Unauthorized." in one.printed
    with listening(tmp_path, "--forward-to", "ftp://nowhere") as other:
        assert other.process.wait(_SECONDS) == 1
    assert "Cannot send to ftp://nowhere: it must begin with" in other.printed


def test_it_waits_for_a_server_that_is_not_there_yet(receiver: Receiver, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with listening(tmp_path, "--forward-to", receiver.url, "--url", url) as listener:
        listener.wait_for("Waits for the server: nobody listens there.")
        assert listener.stop() == 0
