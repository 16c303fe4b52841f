"""The names of the events that a feed can be asked for."""

from functools import lru_cache
from importlib.resources import files

from tenantry.events.wire import FEED_NAMES


@lru_cache(maxsize=1)
def known_names() -> frozenset[str]:
    """Return the name of every event of the public API, and of Tenantry's own that are in the feed."""
    listed = files("tenantry.events").joinpath("names.txt").read_text("utf-8").split()
    return FEED_NAMES.union(listed)
