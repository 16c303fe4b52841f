"""Environments and their API keys: who is calling."""

import hashlib
import re

from tenantry.core.caller import Caller, DomainPolicy
from tenantry.core.db import Transaction
from tenantry.core.errors import Unauthorized
from tenantry.environments import store
from tenantry.environments.store import EnvironmentRow, KeyRow

_SECRET_LENGTH = 40
_SHOWN_LENGTH = 10
_MOST_REMEMBERED = 1000
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,28}[a-z0-9])?\Z")


class EnvironmentExists(Exception):
    """There is an environment of that name already."""


class UnknownEnvironment(Exception):
    """There is no environment of that name."""


class UnknownKey(Exception):
    """There is no such key, or it is revoked already."""


class InvalidSlug(Exception):
    """The slug cannot stand in a DNS record."""


class InvalidSecret(Exception):
    """The key to add is not of a form that clients can send."""


def create_environment(
    tx: Transaction, name: str, *, slug: str | None = None, domain_policy: DomainPolicy = "exclusive"
) -> EnvironmentRow:
    """Create an environment and return it.

    `slug` names the app in its customers' DNS records: up to 30 of `[a-z0-9-]`; made from
    `name` when not given. `domain_policy` says who may have a domain. Raises EnvironmentExists, InvalidSlug.
    """
    if store.select_environment_by_name(tx, name) is not None:
        raise EnvironmentExists(f"There is an environment '{name}' already.")
    slug = slug_of(name) if slug is None else slug
    if not _SLUG.match(slug):
        raise InvalidSlug(f"The slug '{slug}' must be 1 to 30 of a-z, 0-9 and '-'. Give one with --slug.")
    row = EnvironmentRow(tx.new_id("environment"), name, slug, domain_policy, tx.now)
    store.insert_environment(tx, row)
    return row


def set_domain_policy(tx: Transaction, name: str, domain_policy: DomainPolicy) -> None:
    """Say who may have a domain in an environment from now on; what organizations have, they keep.

    Raises UnknownEnvironment.
    """
    if not store.update_environment_policy(tx, name, domain_policy):
        raise UnknownEnvironment(_unknown(name))


def slug_of(name: str) -> str:
    """Return `name` as a slug: lower case, everything but letters and digits turned into `-`."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:30].strip("-")


def get_environment(tx: Transaction, name: str) -> EnvironmentRow:
    """Return the environment of that name. Raises UnknownEnvironment."""
    row = store.select_environment_by_name(tx, name)
    if row is None:
        raise UnknownEnvironment(_unknown(name))
    return row


def _unknown(name: str) -> str:
    return f"There is no environment '{name}'. `tenantry environments list` shows all."


def list_environments(tx: Transaction) -> list[EnvironmentRow]:
    """Return all environments, oldest first."""
    return store.select_environments(tx)


def create_key(
    tx: Transaction, environment: EnvironmentRow, name: str, *, read_only: bool = False
) -> tuple[KeyRow, str]:
    """Create a key in `environment`; return it with its secret, which cannot be had again."""
    secret = f"sk_{tx.new_token(_SECRET_LENGTH)}"
    return _add_key(tx, environment, name, secret, read_only=read_only), secret


def ensure_key(
    tx: Transaction, environment: EnvironmentRow, name: str, secret: str, *, read_only: bool = False
) -> None:
    """Let a given secret be a key of `environment`, for development, if it is not one yet.

    Raises InvalidSecret.
    """
    if not re.fullmatch(r"[\x21-\x7e]{3,200}", secret):
        raise InvalidSecret("The API key must be 3 to 200 printable ASCII characters without spaces.")
    if not store.has_key(tx, _hash(secret)):
        _add_key(tx, environment, name, secret, read_only=read_only)


def _add_key(tx: Transaction, environment: EnvironmentRow, name: str, secret: str, *, read_only: bool) -> KeyRow:
    row = KeyRow(
        tx.new_id("api_key"), environment.name, name, secret[:_SHOWN_LENGTH], read_only, tx.now, None, None
    )
    store.insert_key(tx, environment.id, row, _hash(secret))
    return row


def list_keys(tx: Transaction) -> list[KeyRow]:
    """Return all keys, by environment, oldest first."""
    return store.select_keys(tx)


def revoke_key(tx: Transaction, key_id: str) -> None:
    """Revoke a key: the next request with it is refused, on every worker. Raises UnknownKey."""
    if not store.update_key_revoked(tx, key_id):
        raise UnknownKey(f"There is no key '{key_id}' in use. `tenantry keys list` shows all.")


def authenticate(tx: Transaction, authorization: str | None, assumed: Caller | None = None) -> Caller:
    """Return who calls with this `Authorization` header (wire.md section 9).

    Looked up at each request, in the request's own transaction, so that a revoked key
    is refused at once; who was `assumed` to call may be returned before that is done, and
    is not answered if it was another. Raises Unauthorized.
    """
    scheme, _, secret = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized
    caller = store.select_caller(tx, _hash(secret.strip()), assumed)
    if caller is None:
        raise Unauthorized
    return caller


def _hash(secret: str) -> bytes:
    # Keys are long and random: nothing slower than SHA-256 is needed to keep them.
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


class KeyUses:
    """When each key was last used, noted in memory and written now and then.

    A write at each request would make every read a write.
    """

    def __init__(self) -> None:
        self._uses: dict[str, str] = {}
        self._known: tuple[Transaction | None, dict[str | None, Caller]] = (None, {})
        self._called: dict[str | None, Caller] = {}

    def authenticate(self, tx: Transaction, authorization: str | None) -> Caller:
        """Do as `authenticate` does, and note the use. Requests that share a transaction share the look-up.

        Who called with a header before is assumed to call again.
        """
        callers = self._callers_known_in(tx)
        caller = callers.get(authorization)
        if caller is None:
            assumed = self._called.pop(authorization, None)
            caller = callers[authorization] = authenticate(tx, authorization, assumed)
            self._remember(authorization, caller)
        self._uses[caller.key_id] = tx.now
        return caller

    def _remember(self, authorization: str | None, caller: Caller) -> None:
        if len(self._called) >= _MOST_REMEMBERED:
            self._called.clear()
        self._called[authorization] = caller

    def _callers_known_in(self, tx: Transaction) -> dict[str | None, Caller]:
        if tx.known is not None:
            found: dict[str | None, Caller] = tx.known.setdefault(KeyUses, {})
            return found
        known_in, callers = self._known
        if known_in is not tx:
            callers = {}
            self._known = (tx, callers)
        return callers

    def take(self) -> dict[str, str]:
        """Return the uses noted since the last time, and forget them."""
        uses, self._uses = self._uses, {}
        return uses


def record_uses(tx: Transaction, uses: dict[str, str]) -> None:
    """Write when keys were used last."""
    for key_id, used_at in uses.items():
        store.update_key_used(tx, key_id, used_at)
