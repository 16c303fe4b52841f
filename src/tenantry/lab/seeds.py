"""What a seed file says, as a function of its text: organizations, endpoints, keys, faults, events, environments.

The format is that of `@workos/emulate` as far as organizations go, with additions of our own. What neither
has is named in a warning and left out; a value that cannot be is named with its line, all of them at once.
"""

import hashlib
import importlib
import json
import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec import UNSET, Meta, UnsetType, inspect

from tenantry.core.caller import DomainPolicy
from tenantry.core.errors import FieldError, ValidationFailed
from tenantry.core.ids import ulid
from tenantry.core.parsing import Moment
from tenantry.core.validation import convert, kinds_of, nul_problems
from tenantry.domains.wire import DomainRecord, OrganizationDomainCursor
from tenantry.environments.service import slug_of
from tenantry.events.names import known_names
from tenantry.events.wire import Context, EventId
from tenantry.lab import hooks
from tenantry.lab.faults import MOST_RULES
from tenantry.lab.hooks import Hook
from tenantry.organizations.wire import Name, OrganizationCursor, OrganizationRecord
from tenantry.webhooks.imports import EndpointRecord
from tenantry.webhooks.names import subscribable_names
from tenantry.webhooks.wire import WebhookEndpointCursor

FOUND_BY_ITSELF = (
    "tenantry.yaml",
    "workos-emulate.config.yaml",
    "workos-emulate.config.yml",
    "workos-emulate.config.json",
)
"""The names under which a seed is found in the working folder, the first that is there."""

MAIN_ENVIRONMENT = "Development"
"""The environment of what stands at a file's top: that of the known key."""

MADE_AT = 1_735_689_600_000
"""The beginning of the day in ids that are made from names, and of what has them: 2025-01-01."""

_DAY = 24 * 60 * 60 * 1000
_KEY = re.compile(r"[\x21-\x7e]{3,200}")

Format = Literal["yaml", "json"]


class Problem(msgspec.Struct, frozen=True):
    """Something in a seed: its line if that is known, its place as `organizations[0].name`, and a sentence."""

    line: int | None
    place: str
    reason: str

    def told(self, file: str) -> str:
        """Return it as one line for people."""
        line = "" if self.line is None else f", line {self.line}"
        return f"{file}{line}: {self.place} {self.reason}".replace(":  ", ": ")


class SeedRefused(Exception):
    """A seed cannot be used; the message has a line for each reason."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        super().__init__("\n".join(problem.told(file) for problem in problems))
        self.problems = problems


class PinnedId(OrganizationCursor):
    """The id of an organization, as the file has it."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the id. Raises ValueError."""
        try:
            return super().parse(text)
        except ValueError as error:
            raise ValueError("must be org_ and a ULID, as org_01EHWNCE74X7JSDV0X3SZ3KJNY, or left out") from error


class SeedOrganization(OrganizationRecord, frozen=True, kw_only=True):
    """An organization; what is absent is as for a new one."""

    name: Name
    id: PinnedId | UnsetType = UNSET


class SeedKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key. `organization` is checked and says nothing more: a key opens all of its environment."""

    value: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    read_only: bool = False
    organization: str | UnsetType = UNSET
    environment: str | UnsetType = UNSET


class SeedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event to put into the feed after those of the organizations, also of a kind that Tenantry never makes."""

    event: str
    data: dict[str, Any]
    id: EventId | UnsetType = UNSET
    created_at: Moment | UnsetType = UNSET
    organization_id: str | UnsetType | None = UNSET
    context: Context | UnsetType = UNSET


class SeedEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook endpoint; `url` is the old name of `endpoint_url`, and no `events` at all are all of them."""

    endpoint_url: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    events: list[str] | None = None
    enabled: bool = True
    secret: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    id: WebhookEndpointCursor | UnsetType = UNSET


class _Contents(msgspec.Struct, kw_only=True):
    """What a seed has for one environment, as the file writes it."""

    organizations: list[SeedOrganization] | None = None
    webhook_endpoints: list[SeedEndpoint] | None = msgspec.field(default=None, name="webhookEndpoints")
    api_keys: list[SeedKey] | None = msgspec.field(default=None, name="apiKeys")
    events: list[SeedEvent] | None = None


class _Named(_Contents, kw_only=True):
    """A further environment."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    slug: str | UnsetType = UNSET
    domain_policy: DomainPolicy = "exclusive"


class _File(_Contents, kw_only=True):
    """The whole file: at its top the environment of the known key."""

    error_hooks: Annotated[list[Hook], Meta(max_length=MOST_RULES)] | None = msgspec.field(
        default=None, name="errorHooks"
    )
    environments: list[_Named] | None = None


class EnvironmentSeed(msgspec.Struct, frozen=True, kw_only=True):
    """What one environment is to have. `path` is where the file says so, `name` None for that of the known key."""

    path: str
    name: str | None
    slug: str | None
    domain_policy: DomainPolicy
    organizations: list[OrganizationRecord]
    endpoints: list[EndpointRecord]
    keys: list[SeedKey]
    events: list[SeedEvent]


class Seed(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says: the environment of the known key first, then the others; and the faults to begin with."""

    file: str
    text: str
    form: Format
    environments: list[EnvironmentSeed]
    error_hooks: list[Hook]

    def located(self, problems: Iterable[FieldError]) -> list[Problem]:
        """Return problems of fields, whose paths begin at the top of the file, with their lines."""
        return _located(self.text, self.form, problems)


def form_of(name: str) -> Format:
    """Return in which form a file of that name is read."""
    return "json" if name.lower().endswith(".json") else "yaml"


def read(file: str, text: str) -> tuple[Seed, list[Problem]]:
    """Return what a seed says, and warnings of what is left out. Raises SeedRefused."""
    form = form_of(file)
    value = _parsed(file, text, form)
    problems = list(nul_problems(value))
    keys = _KeyPlaces()
    raw = _File()
    if not problems:
        try:
            raw = convert(keys.listed(value), _File, strict=True)
        except ValidationFailed as error:
            problems = error.errors
    if not problems:
        problems = list(_wrong(raw))
    if problems:
        raise SeedRefused(file, _located(text, form, map(keys.original, problems)))
    seed = Seed(
        file=file,
        text=text,
        form=form,
        environments=_environments(raw),
        error_hooks=raw.error_hooks or [],
    )
    unknown = list(_unknown(keys.listed(value), inspect.type_info(_File), ""))
    left_out = [keys.original(each) for each in (*unknown, *_left_out(raw))]
    return seed, _located(text, form, left_out) if left_out else []


def _parsed(file: str, text: str, form: Format) -> dict[str, Any]:
    """Return the object that the file holds, an empty one when it holds nothing. Raises SeedRefused."""
    yaml_text = importlib.import_module("tenantry.lab.yaml_text")
    try:
        value = json.loads(text) if form == "json" and text.strip() else yaml_text.read(text)
    except json.JSONDecodeError as error:
        raise SeedRefused(file, [Problem(error.lineno, "", f"is no JSON: {error.msg}")]) from error
    except yaml_text.NotYaml as error:
        raise SeedRefused(file, [Problem(error.line, "", f"is no YAML that can be read: {error}")]) from error
    except RecursionError as error:
        raise SeedRefused(file, [Problem(None, "", "is nested too deeply")]) from error
    if value is not None and not isinstance(value, dict):
        raise SeedRefused(file, [Problem(1, "", "must hold an object, as `organizations: …`")])
    return value or {}


class _KeyPlaces:
    """API keys may be a list or a map from values; a list is made of the map, and its places are remembered."""

    def __init__(self) -> None:
        self._places: list[tuple[str, str]] = []

    def listed(self, value: Any) -> Any:
        """Return the file's value with every map of API keys as a list."""
        value = self._listed_at(value, "")
        environments = value.get("environments")
        if isinstance(environments, list):
            listed = [self._listed_at(each, f"environments.{index}.") for index, each in enumerate(environments)]
            value = value | {"environments": listed}
        return value

    def _listed_at(self, value: Any, path: str) -> Any:
        if not isinstance(value, dict) or not isinstance(value.get("apiKeys"), dict):
            return value
        keys = value["apiKeys"]
        for index, secret in enumerate(keys):
            self._places.append((f"{path}apiKeys.{index}", f"{path}apiKeys.{secret}"))
        listed = [each | {"value": secret} if isinstance(each, dict) else each for secret, each in keys.items()]
        return value | {"apiKeys": listed}

    def original(self, problem: FieldError) -> FieldError:
        """Return a problem with the path that the file has."""
        for listed, original in self._places:
            if problem.field == listed or problem.field.startswith(f"{listed}."):
                rest = problem.field.removeprefix(listed)
                return FieldError(original + rest, problem.code.replace(problem.field, original + rest))
        return problem


def _located(text: str, form: Format, problems: Iterable[FieldError]) -> list[Problem]:
    yaml_text = importlib.import_module("tenantry.lab.yaml_text")
    places: dict[str, int] = {}
    if form == "json":
        places = yaml_text.places_of_json(text)
    else:
        yaml_text.read(text, places)
    located = [Problem(_line(places, each.field), _shown(each.field), _reason(each)) for each in problems]
    return sorted(located, key=lambda problem: problem.line or 0)


def _line(places: dict[str, int], path: str) -> int | None:
    """Return the line of what stands at `path`, or of the nearest thing around it."""
    while path not in places and "." in path:
        path = path.rpartition(".")[0]
    return places.get(path, places.get(""))


def _shown(path: str) -> str:
    return re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", path)


def _reason(problem: FieldError) -> str:
    return problem.code.removeprefix(problem.field).strip()


def _unknown(value: Any, info: inspect.Type, path: str) -> Iterator[FieldError]:
    """Yield every key that no struct of the format has."""
    for kind in kinds_of(info):
        if isinstance(kind, inspect.StructType) and isinstance(value, dict):
            fields = {field.encode_name: field.type for field in kind.fields}
            for key, item in value.items():
                below = f"{path}.{key}" if path else key
                if key not in fields:
                    yield FieldError(below, f"{below} is not known here and left out")
                else:
                    yield from _unknown(item, fields[key], below)
        elif isinstance(kind, inspect.ListType) and isinstance(value, list):
            for index, item in enumerate(value):
                yield from _unknown(item, kind.item_type, f"{path}.{index}")


def _left_out(raw: _File) -> Iterator[FieldError]:
    """Yield what is known and means nothing here."""
    for path, contents in _everything(raw):
        for index, key in enumerate(contents.api_keys or []):
            place = f"{path}apiKeys.{index}"
            if key.value is UNSET:
                yield FieldError(place, f"{place} has no value, so that nobody could use it, and is left out")


def _everything(raw: _File) -> list[tuple[str, _Contents]]:
    others = [(f"environments.{index}.", each) for index, each in enumerate(raw.environments or [])]
    return [("", raw), *others]


def _wrong(raw: _File) -> Iterator[FieldError]:
    """Yield what each value by itself does not tell: what is there twice, and names of what is not there."""
    yield from _twice("environments", "name", [each.name for each in raw.environments or []])
    for index, named in enumerate(raw.environments or []):
        if named.name == MAIN_ENVIRONMENT:
            place = f"environments.{index}.name"
            yield FieldError(place, f"{place} must not be '{MAIN_ENVIRONMENT}', which is what stands at the top")
    values: list[tuple[str, str | UnsetType]] = []
    for path, contents in _everything(raw):
        yield from _wrong_organizations(f"{path}organizations", contents.organizations or [])
        yield from _wrong_endpoints(f"{path}webhookEndpoints", contents.webhook_endpoints or [])
        yield from _wrong_keys(f"{path}apiKeys", contents)
        yield from _wrong_events(f"{path}events", contents.events or [])
        values += [(f"{path}apiKeys.{index}", key.value) for index, key in enumerate(contents.api_keys or [])]
    yield from _twice_at([(f"{place}.value", value) for place, value in values])
    for index, hook in enumerate(raw.error_hooks or []):
        for error in hooks.problems(hook):
            yield FieldError(f"errorHooks.{index}.{error.field}", f"errorHooks.{index}.{error.code}")


def _wrong_organizations(path: str, organizations: list[SeedOrganization]) -> Iterator[FieldError]:
    yield from _twice(path, "id", [each.id for each in organizations])
    yield from _twice(path, "external_id", [each.external_id or UNSET for each in organizations])
    yield from _twice(
        path, "name", [UNSET if each.id or each.external_id else each.name for each in organizations]
    )
    domains = [
        (f"{path}.{index}.domains.{number}.id", domain.id)
        for index, each in enumerate(organizations)
        for number, domain in enumerate(each.domains or [])
    ]
    yield from _twice_at(domains)


def _wrong_endpoints(path: str, endpoints: list[SeedEndpoint]) -> Iterator[FieldError]:
    for index, each in enumerate(endpoints):
        if not (each.endpoint_url or each.url):
            yield FieldError(f"{path}.{index}.endpoint_url", f"{path}.{index}.endpoint_url should not be empty")
        for number, name in enumerate(each.events or []):
            if name not in subscribable_names():
                place = f"{path}.{index}.events.{number}"
                yield FieldError(place, f"{place} must be the name of an event to subscribe to; '{name}' is none")
    yield from _twice(path, "endpoint_url", [each.endpoint_url or each.url for each in endpoints])
    yield from _twice(path, "id", [each.id for each in endpoints])


def _wrong_keys(path: str, contents: _Contents) -> Iterator[FieldError]:
    organizations = {each.name for each in contents.organizations or []}
    for index, key in enumerate(contents.api_keys or []):
        if key.value is not UNSET and not _KEY.fullmatch(key.value):
            sentence = "must be 3 to 200 printable ASCII characters without spaces"
            yield FieldError(f"{path}.{index}.value", f"{path}.{index}.value {sentence}")
        if key.organization is not UNSET and key.organization not in organizations:
            place = f"{path}.{index}.organization"
            yield FieldError(
                place, f"{place} must be the name of an organization above; '{key.organization}' is none"
            )


def _wrong_events(path: str, events: list[SeedEvent]) -> Iterator[FieldError]:
    for index, each in enumerate(events):
        if each.event not in known_names():
            place = f"{path}.{index}.event"
            yield FieldError(place, f"{place} must be the name of an event; '{each.event}' is none")
    yield from _twice(path, "id", [each.id for each in events])


def _twice(path: str, field: str, values: list[Any]) -> Iterator[FieldError]:
    yield from _twice_at([(f"{path}.{index}.{field}", value) for index, value in enumerate(values)])


def _twice_at(placed: list[tuple[str, Any]]) -> Iterator[FieldError]:
    """Yield each value that stands at an earlier place too."""
    first: dict[str, str] = {}
    for place, value in placed:
        if value is not UNSET and first.setdefault(value, place) != place:
            yield FieldError(place, f"{place} is '{value}' as at {_shown(first[value])}, and must be another")


def _environment(path: str, named: _Named | None, contents: _Contents, keys: list[SeedKey]) -> EnvironmentSeed:
    name = "" if named is None else named.name
    return EnvironmentSeed(
        path=path,
        name=None if named is None else named.name,
        slug=None if named is None else named.slug or slug_of(named.name),
        domain_policy="exclusive" if named is None else named.domain_policy,
        organizations=[_identified(name, each) for each in contents.organizations or []],
        endpoints=[_endpoint(each) for each in contents.webhook_endpoints or []],
        keys=[key for key in keys if key.value is not UNSET],
        events=contents.events or [],
    )


def _environments(raw: _File) -> list[EnvironmentSeed]:
    """Return what each environment is to have; a key at the top may name another as its own."""
    others = {each.name: list(each.api_keys or []) for each in raw.environments or []}
    own: list[SeedKey] = []
    for key in raw.api_keys or []:
        others.get(key.environment or "", own).append(key)
    return [
        _environment("", None, raw, own),
        *(
            _environment(f"environments.{index}.", each, each, others[each.name])
            for index, each in enumerate(raw.environments or [])
        ),
    ]


def derived_id(prefix: str, *words: str, milliseconds: int | None = None) -> str:
    """Return the id that goes with `words`, the same in every run; its time too, unless it is given.

    The times of ids are spread over a day: a search finds rows of one millisecond in the order in which they came.
    """
    digest = hashlib.sha256("\0".join(words).encode()).digest()
    if milliseconds is None:
        milliseconds = MADE_AT + int.from_bytes(digest[10:]) % _DAY
    return f"{prefix}_{ulid(milliseconds, int.from_bytes(digest[:10]))}"


def _identified(environment: str, given: SeedOrganization) -> OrganizationRecord:
    """Return an organization with ids of its own and of its domains."""
    identity = given.id or derived_id("org", environment, *_words(given))
    domains: list[DomainRecord] | UnsetType = UNSET
    if given.domains is not UNSET:
        domains = [_identified_domain(identity, each) for each in given.domains]
    return msgspec.structs.replace(given, id=OrganizationCursor(identity), domains=domains)


def _words(given: SeedOrganization) -> tuple[str, str]:
    """Return what tells an organization from the others of its environment."""
    return ("external_id", given.external_id) if given.external_id else ("name", given.name)


def _identified_domain(organization_id: str, given: DomainRecord) -> DomainRecord:
    if given.id is not UNSET:
        return given
    identity = derived_id("org_domain", organization_id, given.domain)
    return msgspec.structs.replace(given, id=OrganizationDomainCursor(identity))


def _endpoint(given: SeedEndpoint) -> EndpointRecord:
    url = given.endpoint_url or given.url
    assert url, "it was looked at"
    return EndpointRecord(
        endpoint_url=url,
        id=given.id,
        secret=given.secret,
        status="enabled" if given.enabled else "disabled",
        events=given.events or [],
    )
