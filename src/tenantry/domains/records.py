"""The TXT record that proves a domain, and what a value found in its place says, as pure functions.

The record stands at the domain itself (wire.md section 4.3) or under a name of ours below it, as
draft-ietf-dnsop-domain-verification-techniques recommends: there it can be delegated with a CNAME.
"""

import re
from collections.abc import Iterable
from typing import Literal

import msgspec

PLAIN_NAME = "verification_token"
"""The name that also counts, for whoever published a record without a prefix."""

Kind = Literal["match", "match_with_quotes", "raw_token", "wrong_case", "truncated", "other_token", "unrelated"]
"""What a value is. Only the first two verify.

`raw_token`: the token is in it, but not as `<prefix>=<token>`. `wrong_case`: right but for the token's case.
`truncated`: the token's end is missing. `other_token`: our form, with the token of another organization or
an older one.
"""

_TAIL = r"-domain-verification-[0-9a-z]{6}"
_QUOTES = "\"'`´\\“”„‟‘’‚‛«»‹›″′＂＇"  # noqa: RUF001 (what word processors and chats make of quotes)
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"


class Expected(msgspec.Struct, frozen=True):
    """What a domain must publish: its token under its prefix. `slug` is the environment's.

    `domain` is in normal form, `prefix` is lower case (`acme-domain-verification-z3kjny`).
    """

    domain: str
    prefix: str
    token: str
    slug: str

    @property
    def value(self) -> str:
        """The value to publish."""
        return f"{self.prefix}={self.token}"

    @property
    def challenge(self) -> str:
        """The name of ours below the domain, at which the value counts too."""
        return f"{challenge_label(self.slug)}.{self.domain}"


class Reading(msgspec.Struct, frozen=True):
    """What one TXT value says. `token` is what stands where the token should, without quotes; None if nothing."""

    kind: Kind
    token: str | None = None

    @property
    def verifies(self) -> bool:
        """Whether the value proves the domain."""
        return self.kind in {"match", "match_with_quotes"}


UNRELATED = Reading("unrelated")


def challenge_label(slug: str) -> str:
    """Return the label below a domain at which an environment's record may stand."""
    return f"_{slug}-challenge"


def text_of(strings: Iterable[bytes]) -> str:
    """Return the strings of one TXT record as its value: joined, since they are cut at 255 bytes.

    They should be UTF-8. What is not was typed into something older: typographic quotes of Windows are known.
    """
    joined = b"".join(strings)
    try:
        return joined.decode()
    except UnicodeDecodeError:
        return joined.decode("cp1252", "replace")


def read(expected: Expected, text: str) -> Reading:
    """Return what the value `text` of one TXT record says about `expected`.

    Spaces and quotes around the whole, the name or the token are passed over, as they come with pasting.
    The token counts in its exact case, the name in any.
    """
    plain = _bare(text, _INVISIBLE)
    name, sign, token = plain.partition("=")
    reading = _compared(expected, _bare(name), _bare(token)) if sign else UNRELATED
    if reading.kind == "match" and not _same_but_for_spaces(expected, plain):
        return Reading("match_with_quotes", reading.token)
    if not reading.verifies and expected.token in plain:
        return Reading("raw_token", expected.token)
    return reading


def _compared(expected: Expected, name: str, token: str) -> Reading:
    name = name.lower() if name.isascii() else name
    if name in {expected.prefix, PLAIN_NAME}:
        return Reading(_kind_of(expected.token, token), token)
    if re.fullmatch(re.escape(expected.slug) + _TAIL, name):
        return Reading("other_token", token) if token else UNRELATED
    return UNRELATED


def _kind_of(wanted: str, token: str) -> Kind:
    if token == wanted:
        return "match"
    if token.isascii() and token.lower() == wanted.lower():
        return "wrong_case"
    return "truncated" if wanted.startswith(token) else "other_token"


def _same_but_for_spaces(expected: Expected, text: str) -> bool:
    name, _, token = text.partition("=")
    return name.strip().lower() in {expected.prefix, PLAIN_NAME} and token.strip() == expected.token


def _bare(text: str, dropped: str = _QUOTES + _INVISIBLE) -> str:
    """Return `text` without the spaces, and what else is to be dropped, at its ends."""
    start, end = 0, len(text)
    while start < end and (text[start].isspace() or text[start] in dropped):
        start += 1
    while end > start and (text[end - 1].isspace() or text[end - 1] in dropped):
        end -= 1
    return text[start:end]
