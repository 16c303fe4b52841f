"""`tenantry environments` and `tenantry keys`."""

import subprocess
from collections.abc import Callable

from support import open_migrated
from tenantry.environments import service as environments

Tenantry = Callable[..., subprocess.CompletedProcess[str]]


def rows(printed: str) -> list[list[str]]:
    """Return the cells of a printed table, its head left out; cells are two blanks or more apart."""
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in printed.splitlines()[1:]]


def create_key(tenantry: Tenantry, url: str, *flags: str, environment: str = "Production") -> str:
    """Create a key; return its secret, which is all of standard output."""
    done = tenantry("keys", "create", "--environment", environment, "--name", "backend", "--database", url, *flags)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def create_environment(tenantry: Tenantry, url: str, name: str, *flags: str) -> subprocess.CompletedProcess[str]:
    return tenantry("environments", "create", name, "--database", url, *flags)


def test_an_environment_is_created_and_listed(tenantry: Tenantry, database_url: str) -> None:
    created = create_environment(
        tenantry, database_url, "Production", "--domain-policy", "unique", "--slug", "acme"
    )
    assert created.returncode == 0, created.stderr
    assert "tenantry keys create --environment" in created.stdout
    listed = tenantry("environments", "list", "--database", database_url)
    [[identity, name, slug, domains, _]] = rows(listed.stdout)
    assert identity in created.stdout
    assert (name, slug, domains) == ("Production", "acme", "unique")


def test_a_name_is_taken_once(tenantry: Tenantry, database_url: str) -> None:
    create_environment(tenantry, database_url, "Production")
    again = create_environment(tenantry, database_url, "Production")
    assert again.returncode == 1
    assert again.stderr == "Error: There is an environment 'Production' already.\n"


def test_a_slug_that_cannot_stand_in_a_dns_record_is_refused(tenantry: Tenantry, database_url: str) -> None:
    refused = create_environment(tenantry, database_url, "Production", "--slug", "Ä b")
    assert refused.returncode == 1
    assert "--slug" in refused.stderr


def test_a_key_is_printed_once_and_opens_its_environment(tenantry: Tenantry, database_url: str) -> None:
    create_environment(tenantry, database_url, "Production")
    secret = create_key(tenantry, database_url, "--read-only")
    database = open_migrated(database_url)
    caller = database.read(lambda tx: environments.authenticate(tx, f"Bearer {secret}"))
    database.close()
    assert caller.read_only
    listed = tenantry("keys", "list", "--database", database_url)
    [[identity, environment, name, shown, access, _, used, revoked]] = rows(listed.stdout)
    assert secret not in listed.stdout
    assert secret.startswith(shown.rstrip("…"))
    assert (identity, environment, name) == (caller.key_id, "Production", "backend")
    assert (access, used, revoked) == ("read-only", "never", "no")


def test_the_key_alone_is_on_standard_output(tenantry: Tenantry, database_url: str) -> None:
    create_environment(tenantry, database_url, "Production")
    secret = create_key(tenantry, database_url)
    assert len(secret.split()) == 1
    assert secret.startswith("sk_")


def test_a_key_of_an_unknown_environment_is_refused(tenantry: Tenantry, database_url: str) -> None:
    refused = tenantry("keys", "create", "--environment", "None", "--name", "x", "--database", database_url)
    assert refused.returncode == 1
    assert "tenantry environments list" in refused.stderr


def test_a_key_is_revoked_once(tenantry: Tenantry, database_url: str) -> None:
    create_environment(tenantry, database_url, "Production")
    create_key(tenantry, database_url)
    [[identity, *_]] = rows(tenantry("keys", "list", "--database", database_url).stdout)
    revoked = tenantry("keys", "revoke", identity, "--database", database_url)
    assert (revoked.returncode, revoked.stdout) == (0, f"Revoked {identity}.\n")
    again = tenantry("keys", "revoke", identity, "--database", database_url)
    assert again.returncode == 1
    assert "tenantry keys list" in again.stderr


def test_commands_on_an_unmigrated_database_say_how_to_mend_it(
    tenantry: Tenantry, empty_database_url: str
) -> None:
    for command in (("keys", "list"), ("environments", "list"), ("environments", "create", "x")):
        refused = tenantry(*command, "--database", empty_database_url)
        assert refused.returncode == 1
        assert "tenantry migrate --database" in refused.stderr
        assert "Traceback" not in refused.stderr


def test_a_list_too_wide_for_the_terminal_is_shown_in_blocks(tenantry: Tenantry, database_url: str) -> None:
    create_environment(tenantry, database_url, "Production")
    for _ in range(2):
        create_key(tenantry, database_url)
    printed = tenantry("keys", "list", "--database", database_url, COLUMNS="80").stdout
    assert max(len(line) for line in printed.splitlines()) <= 80
    first, second = printed.split("\n\n")
    assert [line.split("  ")[0] for line in first.splitlines()] == [
        line.split("  ")[0] for line in second.splitlines()
    ]
