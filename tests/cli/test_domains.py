"""`tenantry domains`, with real name servers."""

import subprocess
from collections.abc import Callable, Iterator

import pytest

from dns_server import NameServers, Zone
from registry import Registry
from support import open_migrated
from tenantry.core.clock import system_clock
from tenantry.core.db import Database
from tenantry.domains.wire import OrganizationDomain
from tenantry.environments import service as environments

Done = subprocess.CompletedProcess[str]
Doctor = Callable[..., Done]

ENVIRONMENT = "Production"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = open_migrated(database_url)
    yield opened
    opened.close()


@pytest.fixture
def registry(database: Database) -> Registry:
    made = database.write(lambda tx: environments.create_environment(tx, ENVIRONMENT, slug="acme"))
    return Registry(database, [system_clock()()], environment_id=made.id)


@pytest.fixture
def zone(name_servers: NameServers) -> Zone:
    return name_servers.zone()


@pytest.fixture
def doctor(tenantry: Callable[..., Done], database_url: str, name_servers: NameServers) -> Doctor:
    """Runs `tenantry domains doctor` with the tests' resolver."""

    def run(*arguments: str) -> Done:
        given = ("--database", database_url, "--dns-servers", name_servers.resolver)
        return tenantry("domains", "doctor", *arguments, *given)

    return run


def value_of(domain: OrganizationDomain) -> str:
    return f"{domain.verification_prefix}={domain.verification_token}"


def test_a_domain_that_is_right_is_told_so_and_nothing_changes(
    doctor: Doctor, registry: Registry, zone: Zone
) -> None:
    domain = registry.domain(registry.new_claim(zone.name))
    zone.set_txt(zone.name, [value_of(domain)])
    done = doctor(zone.name.upper())
    assert done.returncode == 0, done.stderr
    assert f"{zone.name}  pending, of {domain.organization_id} in '{ENVIRONMENT}'" in done.stdout
    assert f"NOERROR: TXT {value_of(domain)[:40]}" in done.stdout
    assert registry.domain(domain.id) == domain


def test_a_domain_that_is_not_right_is_told_what_to_do_and_the_command_fails(
    doctor: Doctor, registry: Registry, zone: Zone
) -> None:
    domain = registry.domain(registry.new_claim(zone.name))
    assert domain.verification_token
    zone.set_txt(zone.name, [domain.verification_token])
    done = doctor(zone.name)
    assert done.returncode == 1
    assert value_of(domain) in done.stdout
    assert done.stderr == ""


def test_every_claim_is_examined_or_those_of_one_environment(
    doctor: Doctor, registry: Registry, database: Database, zone: Zone
) -> None:
    other = Registry(database, registry.now)
    for each in (registry, registry, other):
        each.new_claim(zone.name)
    assert doctor(zone.name).stdout.count("pending, of") == 3
    assert doctor(zone.name, "--environment", ENVIRONMENT).stdout.count("pending, of") == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nobody.com"], "No organization has nobody.com to prove. Create the domain first."),
        (["com"], "DOMAIN must have at least two labels, as in example.com."),
        (["acme.com", "--environment", "None"], "There is no environment 'None'."),
    ],
)
def test_what_cannot_be_examined_is_one_line(
    doctor: Doctor, registry: Registry, arguments: list[str], sentence: str
) -> None:
    done = doctor(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {sentence}")
    assert len(done.stderr.splitlines()) == 1


def test_a_resolver_that_is_no_address_is_refused(tenantry: Callable[..., Done], database_url: str) -> None:
    done = tenantry("domains", "doctor", "a.com", "--database", database_url, "--dns-servers", "dns.example")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: TENANTRY_DNS_SERVERS: ")
