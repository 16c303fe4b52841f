"""Who calls: the key that a request came with, and the environment it is bound to."""

from typing import Literal

import msgspec

DomainPolicy = Literal["unique", "exclusive", "shared"]
"""Who may have a domain: at most one organization at all, at most one that proves it, every one that does."""


class Caller(msgspec.Struct, frozen=True, gc=False):
    """An authenticated key.

    Every statement is confined to `environment_id`. `slug` names the environment's app
    in DNS records; `domain_policy` says who may have a domain there.
    """

    environment_id: str
    slug: str
    domain_policy: DomainPolicy
    key_id: str
    key_name: str
    read_only: bool


NOBODY = Caller("", "", "exclusive", "", "", read_only=True)
"""Who calls without a key, where none is asked for: no environment is theirs."""
