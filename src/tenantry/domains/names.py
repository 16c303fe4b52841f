"""The normal form of a domain name, as a pure function.

Trimmed, without a trailing dot, lower case, IDNA 2008 A-labels, two labels or more, no
public suffix (wire.md section 4.6; RFC 5890 to 5892, mapped as UTS 46 has it).
"""

import re
from ipaddress import IPv6Address

import idna

from tenantry.domains.lists import is_public_suffix

_LONGEST = 253
_PLAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
_ADDRESS = "must be a domain name, not an IP address"
_TELLTALES = (
    ("://", "must be a domain name without a scheme such as https://"),
    ("@", "must be a domain name, not an e-mail address"),
    ("/", "must be a domain name without a path"),
    ("\\", "must be a domain name without a path"),
    (":", "must be a domain name without a port"),
    ("*", "must not be a wildcard"),
)


class InvalidDomain(ValueError):
    """The text is no domain name; the message completes «the domain …»."""


def normal_form(text: str) -> str:
    """Return the one spelling under which a domain is kept and compared. Idempotent.

    Raises InvalidDomain, which names the rule that is broken.
    """
    name = spelling(text)
    if is_public_suffix(name):
        raise InvalidDomain("must not be a public suffix such as co.uk, under which others register names")
    return name


def spelling(text: str) -> str:
    """Return the normal form of `text`, which may also be a public suffix. Raises InvalidDomain."""
    name = text.strip().removesuffix(".")
    if len(name) <= _LONGEST and _PLAIN.fullmatch(name) and "--" not in name:
        return name
    if _is_ipv6(name):
        raise InvalidDomain(_ADDRESS)
    for telltale, sentence in _TELLTALES:
        if telltale in name:
            raise InvalidDomain(sentence)
    return _checked(_to_ascii(name))


def _is_ipv6(name: str) -> bool:
    """Tell whether the text is an address of version 6, by itself or as it stands in a URL, with a port or not."""
    try:
        IPv6Address(name.partition("]")[0].removeprefix("["))
    except ValueError:
        return False
    return True


def _to_ascii(name: str) -> str:
    try:
        return idna.encode(name, uts46=True, std3_rules=True).decode("ascii").removesuffix(".")
    except (idna.IDNAError, UnicodeError) as error:
        raise InvalidDomain("must be a valid domain name such as example.com") from error


def _checked(name: str) -> str:
    labels = name.split(".")
    if len(labels) < 2:
        raise InvalidDomain("must have at least two labels, as in example.com")
    if labels[-1].isdecimal():
        raise InvalidDomain(_ADDRESS)
    if len(name) > _LONGEST:
        raise InvalidDomain(f"must be shorter than or equal to {_LONGEST} characters")
    return name
