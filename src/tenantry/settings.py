"""Every setting once: name, type, default, help. Command line, environment and docs follow."""

import os
from collections.abc import Mapping
from typing import Annotated, Literal, get_args, get_origin

import msgspec
from msgspec import Meta

from tenantry.core import validation
from tenantry.core.db import LEAST_CONNECTIONS

PREFIX = "TENANTRY_"

LogFormat = Literal["auto", "json", "console"]
Profile = Literal["open", "hosted"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What can be set. Each field is also an environment variable: `database` is `TENANTRY_DATABASE`."""

    database: Annotated[
        str,
        Meta(
            min_length=1,
            description="Where the data is: sqlite:///path, postgresql://user@host/name,"
            " or sqlite:// for data that lives as long as `tenantry dev` runs.",
        ),
    ] = "sqlite:///tenantry.db"
    host: Annotated[str, Meta(min_length=1, description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535, description="Port to listen on.")] = 4100
    base_url: Annotated[
        str,
        Meta(
            pattern=r"^(https?://[^\s/?#]+(/[^\s?#]*)?)?$",
            description="Where clients reach the server, as https://tenantry.example.com: links to exports begin"
            " with it. When empty, with the Host that a request was sent to.",
        ),
    ] = ""
    workers: Annotated[
        int,
        Meta(ge=1, le=64, description="Server processes. More than one needs PostgreSQL: SQLite has one writer."),
    ] = 1
    api_key: Annotated[
        str, Meta(min_length=3, description="The key that `tenantry dev` makes sure exists. Not used by `serve`.")
    ] = "sk_test_default"
    postgres_connections: Annotated[
        int,
        Meta(
            ge=LEAST_CONNECTIONS,
            le=1000,
            description="Most connections that one server process holds to PostgreSQL.",
        ),
    ] = 12
    max_body_bytes: Annotated[
        int, Meta(ge=1024, le=1 << 30, description="Largest request body, in bytes. A larger one is a 413.")
    ] = 1 << 20
    rate_limit: Annotated[
        int,
        Meta(ge=0, description="Requests a minute that one key may make of one server process; 0 for no limit."),
    ] = 0
    seed: Annotated[
        str,
        Meta(
            description="File with what `tenantry dev` begins with, YAML or JSON (docs/lab.md). When empty:"
            " tenantry.yaml or workos-emulate.config.yaml in the working folder, if there is one."
            " Not used by `serve`."
        ),
    ] = ""
    dns_port: Annotated[
        int,
        Meta(
            ge=0,
            le=65535,
            description="Port of the name server of `tenantry dev`, UDP and TCP, from the start; 0 for any that is"
            " free, which `GET /tenantry/lab/dns` opens and tells. Not used by `serve`.",
        ),
    ] = 0
    profile: Annotated[
        Profile,
        Meta(
            description="How strict `tenantry dev` is. hosted: a key may make 6,000 requests a minute, and delete"
            " 50 organizations, as of the hosted service. Not used by `serve`."
        ),
    ] = "open"
    universes: Annotated[
        int, Meta(ge=0, le=10_000, description="Most universes that `tenantry dev` holds at once.")
    ] = 200
    universe_idle_seconds: Annotated[
        int,
        Meta(
            ge=1,
            le=7 * 24 * 60 * 60,
            description="Seconds without a request after which `tenantry dev` drops a universe.",
        ),
    ] = 3600
    event_retention_days: Annotated[
        int, Meta(ge=1, le=3650, description="Days for which events are kept; older ones are deleted.")
    ] = 90
    refuse_consumer_domains: Annotated[
        bool,
        Meta(
            description="Refuse gmail.com and other domains where anyone can have a mailbox."
            " An organization that has one keeps it."
        ),
    ] = True
    webhook_http: Annotated[
        bool,
        Meta(description="Send webhooks and log streams to http:// addresses too. `tenantry dev` always does."),
    ] = False
    webhook_allowed_networks: Annotated[
        str,
        Meta(
            description="Networks that webhooks and log streams may reach although they are not public,"
            " comma-separated: 10.0.0.0/8, fd00::/8. `tenantry dev` adds this machine."
        ),
    ] = ""
    webhook_timeout_seconds: Annotated[
        float, Meta(ge=0.1, le=60, description="Seconds that a receiver of webhooks has to answer.")
    ] = 10.0
    webhook_retry_seconds: Annotated[
        str,
        Meta(
            description="Seconds between the attempts to deliver a webhook, comma-separated, spread by a tenth."
            " One more attempt than there are numbers; then the delivery has failed."
        ),
    ] = "60,300,1800,10800,43200,172800"
    webhook_concurrency: Annotated[
        int, Meta(ge=1, le=256, description="Webhooks that one server process sends to one endpoint at once.")
    ] = 64
    audit_stream_timeout_seconds: Annotated[
        float, Meta(ge=0.1, le=300, description="Seconds that a receiver of a log stream has to take a batch.")
    ] = 30.0
    dns_servers: Annotated[
        str,
        Meta(
            description="Resolvers that domains are checked with, comma-separated: 9.9.9.9, [2620:fe::fe]:53."
            " Those of the system when empty."
        ),
    ] = ""
    dns_timeout_seconds: Annotated[
        float, Meta(ge=0.1, le=30, description="Seconds that a resolver has for one answer.")
    ] = 3.0
    dns_questions_per_second: Annotated[
        int, Meta(ge=1, le=100_000, description="Most questions a second that one server process asks the DNS.")
    ] = 100
    dns_allowed_networks: Annotated[
        str,
        Meta(
            description="Networks whose name servers may be asked although they are not public, comma-separated."
            " It is about the servers that a domain's own zone names; resolvers are always asked."
        ),
    ] = ""
    domain_watch_hours: Annotated[
        int, Meta(ge=1, le=720, description="Hours between two looks at the record of a verified domain.")
    ] = 24
    domain_watch_misses: Annotated[
        int, Meta(ge=1, le=1000, description="Looks in a row without the record until a domain can be at risk.")
    ] = 3
    domain_watch_days: Annotated[
        int, Meta(ge=0, le=365, description="Days without the record until a domain can be at risk.")
    ] = 3
    domain_revoke_days: Annotated[
        int, Meta(ge=0, le=365, description="Days at risk after which a domain fails; 0 for never.")
    ] = 0
    domain_contest_days: Annotated[
        int,
        Meta(
            ge=0,
            le=30,
            description="Days until it is decided whose a domain is that a second organization proves.",
        ),
    ] = 7
    domain_attempt_retention_days: Annotated[
        int, Meta(ge=1, le=3650, description="Days for which the checks of domains are kept, answers included.")
    ] = 30
    audit_signing_key_file: Annotated[
        str,
        Meta(
            description="File with the Ed25519 private key (PEM) that audit logs are signed with."
            " When empty, Tenantry makes one and keeps it in the database."
        ),
    ] = ""
    audit_own_changes: Annotated[
        str,
        Meta(
            description="Environments in which what is done to an organization, by whatever way, is written to its"
            " audit log too: names, comma-separated, or * for every one."
        ),
    ] = ""
    audit_log_export_days: Annotated[
        int, Meta(ge=1, le=365, description="Days for which the file of an audit log export is kept.")
    ] = 7
    log_format: Annotated[
        LogFormat,
        Meta(description="json, console (readable), or auto: console in a terminal, json elsewhere."),
    ] = "auto"


class InvalidSettings(ValueError):
    """A setting has a value that it cannot have; the message names it and its source."""


class Described(msgspec.Struct, frozen=True):
    """One setting for people: its name, environment variable, default and help."""

    name: str
    variable: str
    default: str
    help: str
    choices: tuple[str, ...] = ()


def describe() -> list[Described]:
    """Return every setting, in the order of declaration."""
    return [_described(field) for field in msgspec.structs.fields(Settings)]


def _described(field: msgspec.structs.FieldInfo) -> Described:
    kind, meta = get_args(field.type)[:2]
    choices = tuple(get_args(kind)) if get_origin(kind) is Literal else ()
    return Described(field.name, variable(field.name), str(field.default), meta.description or "", choices)


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + name.upper()


def load(given: Mapping[str, object] | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings: those `given` (None stands for not given), else the environment's, else the defaults.

    Raises InvalidSettings.
    """
    given = given or {}
    values: dict[str, object] = {}
    for setting in describe():
        if given.get(setting.name) is not None:
            values[setting.name] = _checked(
                setting.name, given[setting.name], f"--{setting.name.replace('_', '-')}"
            )
        elif environ.get(setting.variable):
            values[setting.name] = _checked(setting.name, environ[setting.variable], setting.variable)
    return msgspec.convert(values, Settings)


def _checked(name: str, value: object, source: str) -> object:
    kind = next(field.type for field in msgspec.structs.fields(Settings) if field.name == name)
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        wrong = next(validation.problems({name: value}, Settings, strict=False))
        raise InvalidSettings(f"{source} is {value!r}: it {wrong.code.removeprefix(f'{name} ')}.") from error
