"""The normal form of domain names."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.domains.names import InvalidDomain, normal_form
from tenantry.domains.service import filter_form

LABEL = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=12).filter(
    lambda text: text[0] != "-" and text[-1] != "-" and "--" not in text
)
NAME = st.lists(LABEL, min_size=1, max_size=4).map(lambda labels: ".".join([*labels, "com"]))
ANYTHING = st.text(max_size=40) | st.text("abcé.-_*@:/ ßあ１。xn", max_size=20)


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
def test_what_is_accepted_can_be_asked_of_the_dns(text: str) -> None:
    try:
        name = normal_form(text)
    except InvalidDomain:
        return
    labels = name.split(".")
    assert name == name.lower()
    assert name.isascii()
    assert len(name) <= 253
    assert len(labels) >= 2
    assert all(0 < len(label) <= 63 for label in labels)
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
