"""Who calls: the key that a request came with, and the environment it is bound to."""

import msgspec


class Caller(msgspec.Struct, frozen=True, gc=False):
    """An authenticated key.

    Every statement is confined to `environment_id`. `slug` names the environment's app
    in DNS records; `exclusive_domains` says that one domain belongs to one organization.
    """

    environment_id: str
    slug: str
    exclusive_domains: bool
    key_id: str
    key_name: str
    read_only: bool
