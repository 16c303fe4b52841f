"""The names of events: all that the public API knows, which Tenantry makes a few of."""

from functools import lru_cache
from importlib.resources import files


@lru_cache(maxsize=1)
def known_names() -> frozenset[str]:
    """Return the name of every event of the public API."""
    return frozenset(files("tenantry.events").joinpath("names.txt").read_text("utf-8").split())
