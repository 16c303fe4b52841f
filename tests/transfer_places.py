"""A source and a target of organizations, each in an environment of its own."""

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import msgspec

from support import caller_in, grant
from tenantry.core.caller import Caller, DomainPolicy
from tenantry.core.db import Database
from tenantry.core.validation import convert
from tenantry.organizations import service
from tenantry.organizations.wire import CreateOrganization, ListOrganizations

Json = dict[str, Any]


class Place:
    """An environment of a database."""

    def __init__(self, database: Database, policy: DomainPolicy = "exclusive") -> None:
        self.database = database
        self.access = grant(database, domain_policy=policy)
        self.caller: Caller = caller_in(self.access.environment_id, policy)

    def create(self, name: str = "Acme", **fields: Any) -> Json:
        body = convert({"name": name, **fields}, CreateOrganization, strict=True)
        wire = self.database.write(lambda tx: service.create(tx, self.caller, body))
        made: Json = msgspec.json.decode(wire)
        return made

    def shown(self) -> list[Json]:
        query = ListOrganizations(limit=10_000)
        page = self.database.read(lambda tx: service.list_page(tx, self.caller, query))
        return [msgspec.json.decode(each) for each in reversed(page.data)]


Fault = Callable[[http.server.BaseHTTPRequestHandler], bool]


@contextmanager
def faulty(base_url: str, fault: Fault) -> Iterator[str]:
    """Yield the address of a way to the server on which `fault` may answer first, or cut the connection."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if fault(self):
                return
            answer = httpx.get(
                base_url + self.path, headers={"authorization": self.headers["authorization"]}, timeout=20
            )
            self.send_response(answer.status_code)
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the library's name)
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{proxy.server_address[1]}"
        proxy.shutdown()
