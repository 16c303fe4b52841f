"""The normal form of domain names."""

import string
from importlib.resources import files

import dns.message
import dns.name
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tenantry.domains.lists import is_consumer_domain
from tenantry.domains.names import InvalidDomain, normal_form
from tenantry.domains.service import filter_form

SUFFIXES = [
    line.split()[0]
    for line in files("publicsuffixlist")
    .joinpath("public_suffix_list.dat")
    .read_text("utf-8")
    .partition("// ===END ICANN DOMAINS===")[0]
    .splitlines()
    if line and not line.startswith("//")
]
LABEL = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=12).filter(
    lambda text: text[0] != "-" and text[-1] != "-" and "--" not in text
)
NAME = st.lists(LABEL, min_size=1, max_size=4).map(lambda labels: ".".join([*labels, "com"]))
LETTERS = st.characters(categories=["L", "M", "N"])
FOREIGN = st.lists(st.text(LETTERS, min_size=1, max_size=12), min_size=1, max_size=4).map(
    lambda labels: ".".join([*labels, "com"])
)
LONG = st.lists(st.text("ab1", min_size=1, max_size=70), min_size=1, max_size=130).map(".".join)
ANYTHING = st.text(max_size=40) | st.text("abcé.-_*@:/ ßあ１。xn", max_size=20) | NAME | FOREIGN | LONG


@given(NAME, st.sampled_from(["", " ", "\t"]), st.booleans(), st.booleans())
def test_spellings_of_one_name_have_one_normal_form(name: str, space: str, dot: bool, upper: bool) -> None:  # noqa: FBT001
    spelled = (name.upper() if upper else name) + ("." if dot else "")
    assert normal_form(space + spelled + space) == name


@given(ANYTHING)
def test_the_normal_form_is_its_own_normal_form(text: str) -> None:
    try:
        name = normal_form(text)
    except InvalidDomain:
        return
    assert normal_form(name) == name
    assert filter_form(text) == name


@given(ANYTHING)
@example(".".join(["a" * 63] * 3 + ["b" * 61]))
@example("bücher." * 19 + "example")
def test_what_is_accepted_can_be_asked_of_the_dns(text: str) -> None:
    """What goes over the network, and comes back, is the very name."""
    try:
        name = normal_form(text)
    except InvalidDomain:
        return
    query = dns.message.make_query(dns.name.from_text(name), "TXT")
    (question,) = dns.message.from_wire(query.to_wire()).question
    assert question.name.to_text(omit_final_dot=True) == name
    assert len(question.name.labels) >= 3, "two labels and the root"
    assert name == name.lower()
    assert set(name) <= set(string.ascii_lowercase + string.digits + "-.")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Bücher.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("straße.de", "xn--strae-oqa.de"),
        ("EXAMPLE。COM", "example.com"),
        ("a.b-c.co.uk", "a.b-c.co.uk"),
        ("1.com", "1.com"),
        ("example.xn--p1ai", "example.xn--p1ai"),
        ("Acme.Example", "acme.example"),
        ("acme.test", "acme.test"),
        ("acme.internal", "acme.internal"),
        ("a.b", "a.b"),
        ("github.io", "github.io"),
        ("city.kawasaki.jp", "city.kawasaki.jp"),
    ],
)
def test_known_names(text: str, name: str) -> None:
    assert normal_form(text) == name


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "com", "a..b", "-a.com", "a-.com", "a_b.com", "*.a.com", "http://a.com", "a.com/", "a.com:1"),
        *("a@b.com", "1.2.3.4", "\uff11.2.3.4", "[::1]", "::1", "a b.com", "xn--a.com", "a.com\\"),
        *("é" * 64 + ".com", "a." * 130 + "com"),
    ],
)
def test_what_is_no_domain_is_refused(text: str) -> None:
    with pytest.raises(InvalidDomain, match="must"):
        normal_form(text)


@pytest.mark.parametrize(
    "text", ["co.uk", " CO.UK. ", "anything.kawasaki.jp", "kawasaki.jp", "个人.hk", "xn--ciqpn.hk", "shop.ck"]
)
def test_a_public_suffix_is_refused(text: str) -> None:
    with pytest.raises(InvalidDomain, match="must not be a public suffix"):
        normal_form(text)


@given(st.sampled_from([suffix for suffix in SUFFIXES if not suffix.startswith(("!", "*"))]), LABEL)
def test_what_stands_under_a_public_suffix_is_accepted_and_the_suffix_is_not(suffix: str, label: str) -> None:
    with pytest.raises(InvalidDomain):
        normal_form(suffix)
    under = f"{label}.{suffix}"
    if f"*.{suffix}" in SUFFIXES or under in SUFFIXES:
        under = f"{label}.{under}"
    assert normal_form(under).startswith(label)


def test_a_filter_finds_a_public_suffix_that_was_kept_before_the_rule() -> None:
    assert filter_form(" CO.UK. ") == "co.uk"


def test_each_consumer_domain_is_listed_in_its_normal_form() -> None:
    text = files("tenantry.domains").joinpath("consumer_domains.txt").read_text("utf-8")
    names = [line for line in text.splitlines() if not line.startswith("#")]
    assert names == sorted({normal_form(name) for name in names})
    assert all(is_consumer_domain(name) for name in names)


@pytest.mark.parametrize(
    "name",
    [
        *("gmail.com", "googlemail.com", "outlook.com", "hotmail.co.uk", "live.nl", "yahoo.com", "yahoo.co.jp"),
        *("icloud.com", "qq.com", "163.com", "web.de", "gmx.net", "mail.ru", "proton.me", "comcast.net"),
    ],
)
def test_the_great_mail_providers_are_consumer_domains(name: str) -> None:
    assert is_consumer_domain(name)


@pytest.mark.parametrize(
    "name",
    [
        *("google.com", "microsoft.com", "apple.com", "alibaba.com", "facebook.com", "discovery.com", "bt.com"),
        *("telstra.com", "ancestry.com", "law.com", "acme.com", "corp.gmail.com", "example.com", "test.com"),
    ],
)
def test_companies_are_none_though_public_lists_name_some(name: str) -> None:
    assert not is_consumer_domain(name)
