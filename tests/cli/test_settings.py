"""`tenantry settings`, and how a wrong setting is told."""

import subprocess
from collections.abc import Callable

import pytest

from tenantry.settings import describe

Tenantry = Callable[..., subprocess.CompletedProcess[str]]


def test_every_setting_is_listed_with_its_help(tenantry: Tenantry) -> None:
    printed = tenantry("settings").stdout
    for setting in describe():
        assert setting.variable in printed
        assert setting.default in printed
        assert all(word in printed for word in setting.help.split())


def test_the_values_shown_are_those_in_force(tenantry: Tenantry) -> None:
    assert "4321" in tenantry("settings", TENANTRY_PORT="4321").stdout


def test_no_line_is_wider_than_a_terminal(tenantry: Tenantry) -> None:
    lines = tenantry("settings", COLUMNS="80").stdout.splitlines()
    assert max(len(line) for line in lines) <= 80


def test_a_password_in_the_database_address_is_not_shown(tenantry: Tenantry) -> None:
    shown = tenantry("settings", TENANTRY_DATABASE="postgresql://tenantry:s3cret@db.internal/tenantry").stdout
    assert "s3cret" not in shown
    assert "db.internal" in shown


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TENANTRY_PORT", "http"),
        ("TENANTRY_PORT", "70000"),
        ("TENANTRY_WORKERS", "0"),
        ("TENANTRY_LOG_FORMAT", "xml"),
        ("TENANTRY_RATE_LIMIT", "-1"),
    ],
)
def test_a_wrong_variable_is_named_with_its_value(tenantry: Tenantry, variable: str, value: str) -> None:
    refused = tenantry("settings", **{variable: value})
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"Error: {variable} is {value!r}: ")


def test_a_wrong_option_is_named_with_its_value(tenantry: Tenantry) -> None:
    refused = tenantry("dev", "--port", "http")
    assert refused.returncode == 1
    assert refused.stderr.startswith("Error: --port is 'http': ")


def test_what_an_option_must_be_is_told_in_words(tenantry: Tenantry) -> None:
    assert "it must not be greater than 65535." in tenantry("dev", "--port", "99999").stderr
    assert "it must be longer than or equal to 3 characters." in tenantry("dev", "--api-key", "x").stderr


def test_an_option_counts_before_its_variable(tenantry: Tenantry) -> None:
    refused = tenantry("migrate", "--database", "option://", TENANTRY_DATABASE="variable://")
    assert "option:" in refused.stderr
