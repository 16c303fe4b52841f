"""`tenantry webhooks probe`: what an engineer types to learn whether his receiver is right."""

import subprocess
from collections.abc import Callable, Iterator

import pytest

from support import free_port
from verifying import SECRET, Verifying

Tenantry = Callable[..., subprocess.CompletedProcess[str]]

LINE = 80


@pytest.fixture(scope="module")
def verifying() -> Iterator[Verifying]:
    started = Verifying()
    yield started
    started.kill()


def test_a_right_receiver_passes_all(tenantry: Tenantry, verifying: Verifying) -> None:
    done = tenantry("webhooks", "probe", verifying.url, "--secret", SECRET)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["SENT", "WANTED", "CAME", "BACK"]
    assert [line[:6].strip() for line in lines[1:11]] == ["pass"] * 10
    assert lines[12] == "10 of 10."
    assert "must have had its effect once" in done.stdout
    assert "\x1b" not in done.stdout
    assert max(map(len, lines)) <= LINE


def test_a_fault_is_told_with_what_came_back_and_the_mend(tenantry: Tenantry, verifying: Verifying) -> None:
    done = tenantry("webhooks", "probe", f"{verifying.url}crashes-on-new-names", "--secret", SECRET)
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    (number,) = (number for number, line in enumerate(lines) if line.startswith("  FAIL"))
    assert lines[number].startswith("  FAIL  an event with an unknown name     2xx     500 in ")
    assert lines[number + 1 : number + 4] == [
        '        It said: {"message": "Internal Server Error"}',
        "        Answer 2xx to events that you have no use for: new versions bring new",
        "        names.",
    ]
    assert "\n9 of 10.\n" in done.stdout
    assert max(map(len, lines)) <= LINE


@pytest.mark.parametrize(
    ("fault", "told"),
    [("has-another-secret", "Check the path, the secret"), ("is-moved", "no redirect is")],
)
def test_a_receiver_that_takes_nothing_good_is_sent_nothing_else(
    tenantry: Tenantry, verifying: Verifying, fault: str, told: str
) -> None:
    """It would refuse what is wrong too, and pass for no reason."""
    done = tenantry("webhooks", "probe", verifying.url + fault, "--secret", SECRET)
    assert done.returncode == 1
    assert done.stdout.count("FAIL") == 1
    assert "pass" not in done.stdout
    assert told in done.stdout
    assert "0 of 10.\nThe others were not sent" in done.stdout


def test_no_receiver_is_one_error(tenantry: Tenantry) -> None:
    url = f"http://127.0.0.1:{free_port()}/hook"
    done = tenantry("webhooks", "probe", url, "--secret", SECRET)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: No answer from {url}: ConnectionRefusedError")


@pytest.mark.parametrize("url", ["ftp://receiver.example", "receiver.example/hook"])
def test_what_is_no_address_of_a_receiver_is_told(tenantry: Tenantry, url: str) -> None:
    done = tenantry("webhooks", "probe", url, "--secret", SECRET)
    assert done.returncode == 1
    assert done.stderr == f"Error: {url} cannot be probed: it must begin with https:// or http://.\n"
