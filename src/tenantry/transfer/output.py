"""Files that are written: each takes its name when it is whole, and has the mode of the one before.

What is there and is no regular file, a device or a pipe, is written as it stands. Links are followed.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_DESCRIPTORS = Path("/proc/self/fd")


def real(path: Path) -> Path:
    """Return the path that symbolic links lead to. Raises OSError when they lead in a circle."""
    found = Path(os.path.realpath(path))
    if found.is_symlink():
        raise OSError(errno.ELOOP, "its symbolic links lead in a circle. Name another file", str(path))
    return found


def is_stream(path: Path) -> bool:
    """Return whether a name stands for something that is no regular file, or for a file that is open already."""
    return _descriptor(path) is not None or (path.exists() and not path.is_file())


def part_of(path: Path) -> Path:
    """Return where a file is until it is whole: beside the one whose name it takes."""
    place = real(path)
    return place.with_name(place.name + ".part")


def check_writable(path: Path) -> None:
    """Raise OSError, with what to do in words, when a file cannot be made there."""
    place = real(path)
    if place.is_dir():
        raise IsADirectoryError(0, "it is a folder. Name a file in it", str(path))
    if is_stream(path):
        return
    if not place.parent.is_dir():
        raise FileNotFoundError(0, f"there is no folder {place.parent}. Make it first", str(path))
    if not os.access(place.parent, os.W_OK | os.X_OK):
        raise PermissionError(0, f"nothing can be written to {place.parent}", str(path))


@contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that takes its name at the end; on an error there is the one before. Raises OSError."""
    if is_stream(path):
        with open_stream(path) as stream:
            yield stream
        return
    part = part_of(path)
    try:
        with open_part(path) as file:
            yield file
        part.replace(real(path))
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def open_part(path: Path, *, goes_on: bool = False) -> BinaryIO:
    """Open the part of a file, new or to go on with it, with the mode of the file. Raises OSError."""
    file = part_of(path).open("ab" if goes_on else "wb")
    if path.exists():
        os.fchmod(file.fileno(), stat.S_IMODE(path.stat().st_mode))
    return file


def open_stream(path: Path) -> BinaryIO:
    """Open what is no regular file. Raises OSError."""
    descriptor = _descriptor(path)
    # A file that is open already goes on where it is: opened anew it would be written over from its beginning.
    return path.open("wb") if descriptor is None else os.fdopen(os.dup(descriptor), "wb")


def _descriptor(path: Path) -> int | None:
    """Return the open file of this process that a name such as /dev/stdout stands for, if it is such a name."""
    descriptors = _DESCRIPTORS.resolve()
    while path.parent.resolve() != descriptors:
        if not path.is_symlink():
            return None
        path = path.parent / path.readlink()
    return int(path.name) if path.name.isdecimal() else None
