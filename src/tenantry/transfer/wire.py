"""Organizations in bulk as they cross the network."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

MOST_AT_ONCE = 1000


class Bulk(msgspec.Struct, frozen=True, kw_only=True):
    """Organizations to create or update. With `atomic`, all of them or none."""

    organizations: Annotated[
        list[Any],
        Meta(
            max_length=MOST_AT_ONCE,
            description="Each is the body of a create; with an `id`, of an update of that organization.",
            examples=[[{"name": "Acme"}, {"name": "Globex", "external_id": "crm-7"}]],
        ),
    ]
    atomic: bool = False


class BulkResult(msgspec.Struct, frozen=True):
    """What became of one: the status and the body that a request for it alone would have been answered with."""

    status: int
    body: msgspec.Raw


class BulkDone(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="bulk"):
    """The results, in the order of the request, and how many of them failed."""

    failed: int
    results: list[BulkResult]


class Identified(msgspec.Struct, frozen=True, kw_only=True):
    """What tells an update from a create."""

    id: str | UnsetType = UNSET
