"""A request of the log as text that makes it again: a line for a shell, a test for pytest. Pure functions.

Neither holds the key: both take it from `WORKOS_API_KEY`, where official clients look for it too.
"""

import base64
import re
import shlex
import textwrap
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec

from tenantry.core.clock import timestamp
from tenantry.core.errors import ApiError
from tenantry.lab.fault_rules import FaultRule
from tenantry.lab.questions import content
from tenantry.lab.request_log import Entry, Fields

_CLIENTS_OWN = frozenset(
    {"accept-encoding", "authorization", "connection", "content-length", "host", "transfer-encoding", "user-agent"}
)
_ANY_ANSWER = ("accept", "*/*")
_PLAIN_PATH = "/:@!$&'()*+,;=-._~"
_WIDTH = 90
_JSON = (("content-type", "application/json"),)
_WHICH = frozenset({"skip", "times", "share", "seed"})
_BROKEN = frozenset({"drop", "lose", "truncate"})

_FILE = '''\
"""{request}, as it was asked at {at}.

Give the key as WORKOS_API_KEY, and as WORKOS_BASE_URL where the server is, if it is elsewhere.
"""

{imports}
SERVER = urlsplit(os.environ.get("WORKOS_BASE_URL", "{base_url}"))
KEY = {{"authorization": f"Bearer {{os.environ['WORKOS_API_KEY']}}"}}


def ask(method, target, headers, body=None):
    connection = HTTPConnection(SERVER.hostname, SERVER.port, timeout=30)
    try:
        connection.request(method, target, body, KEY | headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_{name}():
{test}
'''


class BodyNotKept(ApiError):
    """The body was longer than what the log keeps of one, so the request cannot be made again: 409."""

    status = 409
    code = "body_not_kept"
    message = "The request's body was longer than what the log keeps of one, so it cannot be made again."


def target(entry: Entry) -> str:
    """Return a request's path and query as they stand in a request line."""
    path = quote(entry.path, safe=_PLAIN_PATH)
    return f"{path}?{entry.query}" if entry.query else path


def _own_fields(entry: Entry) -> Fields:
    return tuple(field for field in entry.fields if field[0] not in _CLIENTS_OWN and field != _ANY_ANSWER)


def as_curl(entry: Entry, base_url: str) -> str:
    """Return a command that makes the request again. Raises BodyNotKept."""
    body = _body(entry)
    how = {"GET": "", "HEAD": "--head "}.get(entry.method, f"-X {entry.method} ")
    if any(each in entry.query for each in "[]{}"):
        how = f"--globoff {how}"  # some clients write domains[]=a, which curl takes for a pattern
    lines = [f"curl {how}{shlex.quote(base_url + target(entry))}", '-H "Authorization: Bearer $WORKOS_API_KEY"']
    lines += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in _own_fields(entry)]
    if body and "content-type" not in dict(entry.fields):
        lines.append("-H 'content-type:'")  # else curl calls it a form
    before = ""
    if body and _is_text(body):
        lines.append(f"--data-raw {shlex.quote(body.decode())}")
    elif body:
        before = f"echo {base64.b64encode(body).decode()} | base64 -d | "
        lines.append("--data-binary @-")
    return before + " \\\n  ".join(lines) + "\n"


def _is_text(body: bytes) -> bool:
    try:
        return "\0" not in body.decode()
    except UnicodeDecodeError:
        return False


def _body(entry: Entry) -> bytes:
    if not entry.body.is_whole:
        raise BodyNotKept
    return entry.body.start


def as_pytest(entry: Entry, operation: str, base_url: str) -> str:
    """Return a test that makes the request and expects what it was answered. Raises BodyNotKept.

    Of the answer it expects the status, the kind of object, and the fields that repeat what was sent: ids
    and times are others each time. Where a fault hit the request, the test sets it first.
    """
    body = _body(entry)
    broken = entry.hit is not None and entry.hit.rule.fault in _BROKEN
    steps = [] if entry.hit is None else list(_fault_steps(entry.hit.rule))
    fields = _own_fields(entry)
    exact = "idempotency-key" in dict(fields)  # whose body must be the same to the byte
    call = _call(entry.method, target(entry), fields, repr(body) if exact and body else _literal(body))
    if broken:
        steps += ["with pytest.raises((HTTPException, OSError)):", textwrap.indent(call, "    ")]
    else:
        steps += [f"status, answer = {call}", "", *_expectations(entry)]
    return _FILE.format(
        request=ascii(f"{entry.method} {entry.path}")[1:-1].replace('"', "'"),
        at=timestamp(entry.at),
        imports=_imports(uses_pytest=broken),
        base_url=base_url,
        name=re.sub(r"\W+", "_", operation, flags=re.ASCII).strip("_").lower(),
        test=textwrap.indent("\n".join(steps), "    "),
    )


def _imports(*, uses_pytest: bool) -> str:
    own = "import json\nimport os\nfrom http.client import {}\nfrom urllib.parse import urlsplit\n"
    if uses_pytest:
        return own.format("HTTPConnection, HTTPException") + "\nimport pytest\n"
    return own.format("HTTPConnection")


def _call(method: str, to: str, fields: Fields, body: str | None) -> str:
    arguments = [_text(method), _text(to), _pretty(dict(fields)), *([] if body is None else [body])]
    if not any("\n" in each for each in arguments) and sum(map(len, arguments)) < _WIDTH:
        return f"ask({', '.join(arguments)})"
    return "ask(\n" + textwrap.indent("".join(f"{each},\n" for each in arguments), "    ") + ")"


def _literal(body: bytes) -> str | None:
    if not body:
        return None
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return repr(body)
    return f"json.dumps({_pretty(value)})"


def _pretty(value: Any) -> str:
    """Return a value of JSON as Python writes it, on lines of its own where it is long."""
    flat = _flat(value)
    if len(flat) <= _WIDTH or not value or not isinstance(value, dict | list):
        return flat
    if isinstance(value, dict):
        opening, closing = "{}"
        items = [f"{_text(key)}: {_pretty(item)}," for key, item in value.items()]
    else:
        opening, closing = "[]"
        items = [f"{_pretty(item)}," for item in value]
    return opening + "\n" + textwrap.indent("\n".join(items), "    ") + "\n" + closing


def _flat(value: Any) -> str:
    match value:
        case str():
            return _text(value)
        case dict():
            return "{" + ", ".join(f"{_text(key)}: {_flat(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(_flat(item) for item in value) + "]"
    return repr(value)


def _text(text: str) -> str:
    """Return a literal in the quotes that formatters like."""
    literal = repr(text)
    return f'"{literal[1:-1]}"' if literal[0] == "'" and '"' not in literal and "\\'" not in literal else literal


def _fault_steps(rule: FaultRule) -> Iterator[str]:
    once = {name: value for name, value in msgspec.to_builtins(rule).items() if name not in _WHICH} | {"times": 1}
    yield f"status, _ = {_call('POST', '/tenantry/lab/faults', _JSON, _literal(msgspec.json.encode(once)))}"
    yield "assert status == 201"
    yield ""


def _expectations(entry: Entry) -> Iterator[str]:
    answer = entry.answer
    if answer is None:
        return
    yield f"assert status == {answer.status}"
    if answer.body is None or not answer.body.is_whole or entry.method == "HEAD":
        return
    told = content(answer.body.start, dict(answer.fields).get("content-type"))
    if not isinstance(told, dict):
        return
    given = content(entry.body.start, dict(entry.fields).get("content-type"))
    for name, value in told.items():
        repeats = isinstance(given, dict) and name in given and given[name] == value
        if name in ("object", "code") or repeats:
            yield f"assert json.loads(answer)[{_text(name)}] == {_pretty(value)}"
