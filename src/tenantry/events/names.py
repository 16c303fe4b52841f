"""The names of events: all that the public API knows, which Tenantry makes a few of, and Tenantry's own."""

from functools import lru_cache
from importlib.resources import files

OWN_NAMES = ("webhook_endpoint.disabled",)


@lru_cache(maxsize=1)
def known_names() -> frozenset[str]:
    """Return the name of every event of the public API, and of Tenantry's own."""
    listed = files("tenantry.events").joinpath("names.txt").read_text("utf-8").split()
    return frozenset([*listed, *OWN_NAMES])
