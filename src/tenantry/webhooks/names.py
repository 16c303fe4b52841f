"""The names of the events that a webhook endpoint can subscribe to."""

from functools import lru_cache
from importlib.resources import files

from tenantry.events.wire import FEED_NAMES


@lru_cache(maxsize=1)
def subscribable_names() -> frozenset[str]:
    """Return the name of every event that can be subscribed to: the public API's, and our own."""
    listed = files("tenantry.webhooks").joinpath("names.txt").read_text("utf-8").split()
    return FEED_NAMES.union(listed)
