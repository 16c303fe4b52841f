"""The names of the events that a webhook endpoint can subscribe to."""

from functools import lru_cache
from importlib.resources import files

DISABLED = "webhook_endpoint.disabled"
"""Our own: Tenantry has stopped delivering to an endpoint. The hosted API has no such event."""

TEST = "webhook_endpoint.test"
"""Our own: what a test send sends. It is in no feed and cannot be subscribed to."""


@lru_cache(maxsize=1)
def subscribable_names() -> frozenset[str]:
    """Return the name of every event that can be subscribed to: the public API's, and our own."""
    listed = files("tenantry.webhooks").joinpath("names.txt").read_text("utf-8").split()
    return frozenset([*listed, DISABLED])
