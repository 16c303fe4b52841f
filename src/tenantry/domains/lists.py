"""What maintained lists say of a domain name. Each is read when first asked, which takes some 35 ms and 1 ms."""

from functools import lru_cache
from importlib.resources import files

from publicsuffixlist import PublicSuffixList


def is_public_suffix(name: str) -> bool:
    """Tell whether registries delegate names under `name`, a normal form: `co.uk`, not `github.io`.

    Only the ICANN section of the list (https://publicsuffix.org) counts. A suffix of its
    private section belongs to one owner, who can prove it as any other name.
    """
    return _suffixes().is_public(name)


def is_consumer_domain(name: str) -> bool:
    """Tell whether anyone can have a mailbox at `name`, a normal form: `gmail.com`."""
    return name in _consumer_domains()


@lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList(only_icann=True, accept_unknown=False)


@lru_cache(maxsize=1)
def _consumer_domains() -> frozenset[str]:
    text = files("tenantry.domains").joinpath("consumer_domains.txt").read_text("utf-8")
    return frozenset(line for line in text.splitlines() if not line.startswith("#"))
