"""Files that take their name when they are whole."""

import os
import stat
import threading
from pathlib import Path

import pytest

from tenantry.transfer import output


def write(path: Path, text: bytes) -> None:
    with output.written(path) as file:
        file.write(text)


def test_a_link_is_followed_and_the_mode_stays(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"before")
    real.chmod(0o640)
    link.symlink_to("real")
    write(link, b"after")
    assert link.is_symlink()
    assert real.read_bytes() == b"after"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link", "real"]


def test_what_fails_leaves_the_file_before_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with pytest.raises(TypeError):
        write(path, "text")  # type: ignore[arg-type]
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_pipe_is_written_as_it_stands_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write(pipe, b"text")
    reader.join(20)
    assert read == [b"text"]
    assert pipe.is_fifo()


def test_a_file_that_is_open_already_goes_on_where_it_is(tmp_path: Path) -> None:
    path, link = tmp_path / "file", tmp_path / "link"
    with path.open("wb", buffering=0) as file:
        file.write(b"one ")
        link.symlink_to(f"/proc/self/fd/{file.fileno()}")
        write(link, b"two ")
        file.write(b"three")
    assert path.read_bytes() == b"one two three"
    assert link.is_symlink()


def test_where_nothing_can_be_written_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Name a file in it"):
        output.check_writable(tmp_path)
    with pytest.raises(OSError, match="Make it first"):
        output.check_writable(tmp_path / "none" / "file")
