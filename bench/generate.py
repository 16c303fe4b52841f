"""Organizations as businesses have them, made from a seed and an index: the same two give the same one."""

import unicodedata
from collections.abc import Sequence
from hashlib import blake2b

import msgspec


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_OWNERS = _words("""
Aldridge Anchor Atlas Aurora Baltic Beacon Birchwood Blue Bright Cardinal Castellano Cedar Clearwater Copper
Crescent Delgado Eastgate Ember Evergreen Falcon Fernández Foxglove Garnet Golden Granite Greenfield Harbor
Hawthorne Highland Horizon Iron Ivory Juniper Kestrel Kowalski Lakeside Lindqvist Lumen Maple Meridian Møller
Nakamura Noble Northern Oakridge Okafor Orchid Pacific Pinnacle Quartz Redwood Riverstone Sable Saffron Silver
Summit Thornton Tidewater Umbra Vanguard Verdant Westbrook Whitfield Zürcher
""")
_QUALIFIERS = _words("""
Advanced Alliance Applied Bay Brothers Bridge Capital City Coast Collective Commercial Continental Creek Digital
Direct Dynamic Field First Forge Gate General Global Grove Hill House Integrated International Island Key Lake
Light Line Mountain National Park Path Peak Point Precision Prime Reach Regional Ridge River Rock Star Stone
""")
_TRADES = _words("""
Analytics Automotive Biotech Builders Chemicals Consulting Dental Education Electronics Energy Engineering Foods
Freight Furniture Health Hospitality Insurance Logistics Marketing Media Packaging Pharmaceuticals Realty Robotics
Security Shipping Software Steel Systems Textiles Travel Ventures
""")
_FORMS = ("", "Inc.", "LLC", "Ltd", "GmbH", "AB", "S.A.", "Group", "Holdings", "& Co.")
_ENDINGS = ("com", "io", "net", "co.uk", "de", "org")
_TIERS = ("free", "team", "business", "diamond")
_REGIONS = ("us-east", "us-west", "eu-central", "eu-north", "ap-south")
_DIGEST_BYTES = 24


class DomainData(msgspec.Struct, frozen=True):
    """A domain and the state that it is made in."""

    domain: str
    state: str


class Organization(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of a create."""

    name: str
    domain_data: list[DomainData]
    metadata: dict[str, str]
    external_id: str | None = None


class _Draws:
    """A row of small choices out of one large number."""

    def __init__(self, seed: int, index: int) -> None:
        digest = blake2b(b"%d:%d" % (seed, index), digest_size=_DIGEST_BYTES).digest()
        self._left = int.from_bytes(digest, "big")

    def below(self, count: int) -> int:
        self._left, drawn = divmod(self._left, count)
        return drawn

    def of(self, choices: Sequence[str]) -> str:
        return choices[self.below(len(choices))]


def organization(seed: int, index: int) -> Organization:
    """Return organization number `index`: a name of three or four words, 1 to 3 domains, 4 metadata keys."""
    draws = _Draws(seed, index)
    words = [draws.of(_OWNERS), draws.of(_QUALIFIERS), draws.of(_TRADES), draws.of(_FORMS)]
    return Organization(
        name=" ".join(words).strip(),
        domain_data=_domains(draws, _host(words, index)),
        metadata={
            "tier": draws.of(_TIERS),
            "region": draws.of(_REGIONS),
            "seats": str(5 * (1 + draws.below(200))),
            "account": f"A-{draws.below(10**9):09d}",
        },
        external_id=external_id(seed, index),
    )


def external_id(seed: int, index: int) -> str:
    """Return the external id of organization number `index`, which no other one has."""
    return f"crm-{seed}-{index:08d}"


def _host(words: list[str], index: int) -> str:
    plain = unicodedata.normalize("NFKD", "".join(words[:2]).lower().replace("ø", "o"))
    return plain.encode("ascii", "ignore").decode() + str(index)


def _domains(draws: _Draws, host: str) -> list[DomainData]:
    ending = draws.below(len(_ENDINGS))
    names = [f"{host}.{_ENDINGS[(ending + step) % len(_ENDINGS)]}" for step in range(1 + draws.below(3))]
    return [DomainData(name, "pending" if draws.below(4) == 0 else "verified") for name in names]
