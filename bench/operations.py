"""What is measured: each operation as a way to make one request after the other, never twice the same row."""

from collections.abc import Callable
from random import Random
from typing import Generic, NamedTuple, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from bench import generate

_FAR = 1 << 40
_PAGE = 10
_MANY = 20
_LETTERS = 12


class Loaded(NamedTuple):
    """What is on the server: organizations of the generator, with the ids that they were given, by index."""

    seed: int
    ids: list[str]

    def any_id(self, random: Random) -> str:
        """Return the id of one of them."""
        return self.ids[random.randrange(len(self.ids))]

    def any(self, random: Random) -> generate.Organization:
        """Return one of them as it was created."""
        return generate.organization(self.seed, random.randrange(len(self.ids)))


class Request(NamedTuple):
    """One request."""

    method: str
    path: str
    body: bytes = b""


L = TypeVar("L")
"""What an operation's requests are made from: what is on the server."""


class Operation(NamedTuple, Generic[L]):
    """An operation. A list's answer must hold `fewest` objects, or the server did not do the work.

    One that is an `extension` of Tenantry's is not on the public wire: other servers do not have it.
    """

    name: str
    request: Callable[[L, Random], Request]
    fewest: int = 0
    writes: bool = False
    extension: bool = False


def _listing(**query: str) -> Request:
    return Request("GET", f"/organizations?{urlencode(query | {'order': 'desc'})}")


def _health(_loaded: Loaded, _random: Random) -> Request:
    return Request("GET", "/health")


def _get(loaded: Loaded, random: Random) -> Request:
    return Request("GET", f"/organizations/{loaded.any_id(random)}")


def _get_by_external_id(loaded: Loaded, random: Random) -> Request:
    external_id = generate.external_id(loaded.seed, random.randrange(len(loaded.ids)))
    return Request("GET", f"/organizations/external_id/{quote(external_id)}")


def _first_page(_loaded: Loaded, _random: Random) -> Request:
    return _listing(limit="10")


def _page_after(loaded: Loaded, random: Random) -> Request:
    return _listing(limit="10", after=loaded.any_id(random))


def _last_page(loaded: Loaded, _random: Random) -> Request:
    return _listing(limit="10", after=loaded.ids[_PAGE])


def _oldest_first(**query: str) -> Request:
    return Request("GET", f"/organizations?{urlencode(query | {'order': 'asc', 'limit': '10'})}")


def _oldest(_loaded: Loaded, _random: Random) -> Request:
    return _oldest_first()


def _oldest_after(loaded: Loaded, random: Random) -> Request:
    return _oldest_first(after=loaded.any_id(random))


def _oldest_first_last(loaded: Loaded, _random: Random) -> Request:
    return _oldest_first(after=loaded.ids[-_PAGE - 1])


def _filter_by_twenty(loaded: Loaded, random: Random) -> Request:
    domains = [random.choice(loaded.any(random).domain_data).domain for _ in range(_MANY)]
    return Request("GET", f"/organizations?{urlencode({'domains': domains, 'limit': _PAGE}, doseq=True)}")


def _filter(loaded: Loaded, random: Random) -> Request:
    return _listing(domains=random.choice(loaded.any(random).domain_data).domain)


def _filter_by_tier(loaded: Loaded, random: Random) -> Request:
    return _listing(**{"metadata[tier]": loaded.any(random).metadata["tier"], "after": loaded.any_id(random)})


def _filter_by_account(loaded: Loaded, random: Random) -> Request:
    return _listing(**{"metadata[account]": loaded.any(random).metadata["account"]})


def _search_word(loaded: Loaded, random: Random) -> Request:
    return _listing(search=random.choice(loaded.any(random).name.split()[:3]))


def _search_name(loaded: Loaded, random: Random) -> Request:
    return _listing(search=loaded.any(random).name)


def _search_letters(loaded: Loaded, random: Random) -> Request:
    name = loaded.any(random).name
    start = random.randrange(max(1, len(name) - _LETTERS))
    return _listing(search=name[start : start + _LETTERS])


def _search_two_letters(loaded: Loaded, random: Random) -> Request:
    return _listing(search=random.choice(loaded.any(random).name.split()[:3])[:2])


def _search_absent(_loaded: Loaded, random: Random) -> Request:
    return _listing(search="".join(random.choice("qxzjkvw") for _ in range(_LETTERS)))


def _events(_loaded: Loaded, _random: Random) -> Request:
    return Request("GET", "/events?events=organization.created&limit=100")


def _create(loaded: Loaded, random: Random) -> Request:
    made = generate.organization(loaded.seed, _FAR + random.randrange(_FAR))
    domains = [generate.DomainData(made.domain_data[0].domain, "pending")]
    body = msgspec.structs.replace(made, domain_data=domains, external_id=None)
    return Request("POST", "/organizations", msgspec.json.encode(body))


def _update(loaded: Loaded, random: Random) -> Request:
    # A value that was never there: an update that changes nothing writes nothing.
    body = {"metadata": {"reviewed": f"{random.getrandbits(64):016x}"}}
    return Request("PUT", f"/organizations/{loaded.any_id(random)}", msgspec.json.encode(body))


def _delete(loaded: Loaded, _random: Random) -> Request:
    return Request("DELETE", f"/organizations/{loaded.ids.pop()}")


def _ownership(loaded: Loaded, random: Random) -> Request:
    return Request("GET", f"/tenantry/domains/{random.choice(loaded.any(random).domain_data).domain}")


def _look_up(loaded: Loaded, random: Random) -> Request:
    while True:
        for data in loaded.any(random).domain_data:
            if data.state == "verified":
                query = urlencode({"email": f"someone{random.randrange(_FAR)}@{data.domain}"})
                return Request("GET", f"/tenantry/organizations/lookup?{query}")


DECLARED = ("tier", "account")
"""The metadata keys that the filters are by."""

CONSTANT = Operation("constant answer (`/health`)", _health)

OPERATIONS = (
    CONSTANT,
    Operation("get", _get),
    Operation("get by external id", _get_by_external_id),
    Operation("list of ten, first page", _first_page, fewest=10),
    Operation("list of ten, after any id", _page_after),
    Operation("filter by one domain", _filter, fewest=1),
    Operation("filter by metadata of many", _filter_by_tier, extension=True),
    Operation("filter by metadata of one", _filter_by_account, fewest=1, extension=True),
    Operation("search, a word of many names", _search_word, fewest=1),
    Operation("search, a whole name", _search_name, fewest=1),
    Operation("create", _create, writes=True),
    Operation("update", _update, writes=True),
)

LISTS = (
    Operation("list of ten, last page", _last_page, fewest=10),
    Operation("oldest first, first page", _oldest, fewest=10),
    Operation("oldest first, after any id", _oldest_after),
    Operation("oldest first, last page", _oldest_first_last, fewest=10),
    Operation("filter by twenty domains", _filter_by_twenty, fewest=10),
    Operation("search, 12 letters of a name", _search_letters, fewest=1),
    Operation("search, two letters", _search_two_letters, fewest=1),
    Operation("search, 12 letters of no name", _search_absent),
    Operation("page of 100 events", _events, fewest=100),
)
"""More that reads, each of which size could make slower."""

DELETE = Operation("delete", _delete, writes=True)
"""Takes the ids that it deletes away from what is loaded."""

CREATE_DECLARED = Operation("create, two metadata keys declared", _create, writes=True)
"""Where what is created has values of keys that are indexed, which the others do not ask for."""

FOR_DECLARED = (*(operation for operation in OPERATIONS if operation.extension), CREATE_DECLARED)
"""Those for an environment in which the keys of DECLARED are declared: they come after the others."""

ON_THE_WIRE = tuple(operation for operation in OPERATIONS if not operation.extension)
"""Those that any server of the public wire has."""

LOOK_UPS = (
    Operation("ownership of a domain", _ownership),
    Operation("organization of an e-mail address", _look_up, fewest=1),
)
