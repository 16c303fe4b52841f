"""A consistent copy of all organizations, as lines of JSON (NDJSON) in a temporary file."""

import tempfile
from typing import BinaryIO, cast

import msgspec

from tenantry.core.caller import Caller
from tenantry.core.db import Transaction
from tenantry.core.endpoints import Download
from tenantry.events import service as events
from tenantry.organizations import store
from tenantry.organizations.wire import SnapshotEnd, SnapshotStart

MEDIA = "application/x-ndjson"

_AT_ONCE = 100

_encode = msgspec.json.Encoder().encode


def take(tx: Transaction, caller: Caller) -> Download:
    """Return the copy; the transaction must see one state of the database.

    It is written in bounded memory, to the machine's folder for temporary files, and is
    sent when the transaction is over: a slow client holds a file, not a connection.
    """
    file = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115 (whoever sends it closes it)
    try:
        _write(tx, caller, file)
    except BaseException:
        file.close()
        raise
    return Download(file, MEDIA)


def _write(tx: Transaction, caller: Caller, file: BinaryIO) -> None:
    file.write(_line(SnapshotStart(position=events.end_position(tx, caller), created_at=tx.now)))
    count, last = 0, ""
    while rows := store.select_wires(tx, caller.environment_id, last, _AT_ONCE):
        file.writelines(wire + b"\n" for _, wire in rows)
        count, last = count + len(rows), rows[-1][0]
    file.write(_line(SnapshotEnd(count=count)))
    file.flush()
    file.seek(0)


def _line(value: msgspec.Struct) -> bytes:
    return _encode(value) + b"\n"
