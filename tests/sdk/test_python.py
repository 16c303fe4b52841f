"""The newest official Python SDK, unmodified: its sync and its async client against a real server."""

import asyncio
import csv
import inspect
import io
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
import workos
from workos import audit_logs
from workos.common.models import OrganizationDomainDataState as State
from workos.organizations.models import OrganizationDomainData

from support import Access, Server
from support import client as http_client

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_LOOKS = 400
_UNKNOWN_ID = "org_01ARZ3NDEKTSV4RRFFQ69G5FAV"
_CLIENTS = {"sync": workos.WorkOSClient, "async": workos.AsyncWorkOSClient}


class Awaited:
    """A client, or a part of one, whose every method is awaited, so that one test drives both clients."""

    def __init__(self, target: object) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        return _awaited(value) if callable(value) else Awaited(value)


def _awaited(method: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    async def call(*arguments: Any, **options: Any) -> Any:
        result = method(*arguments, **options)
        return await result if inspect.isawaitable(result) else result

    return call


async def every(page: workos.SyncPage[Any] | workos.AsyncPage[Any]) -> list[Any]:
    """Return the items of all pages from `page` on, as the SDK's own auto-pagination finds them."""
    if isinstance(page, workos.AsyncPage):
        return [item async for item in page.auto_paging_iter()]
    return list(page.auto_paging_iter())


Connect = Callable[..., Any]
"""Returns a client for an `Access`, and for another server than the shared one when given one."""


@pytest_asyncio.fixture(params=_CLIENTS)
async def connect(request: pytest.FixtureRequest, server: Server) -> AsyncIterator[Connect]:
    async with AsyncExitStack() as opened:

        def open_client(access: Access, at: Server = server) -> Awaited:
            client = _CLIENTS[request.param](
                api_key=access.key, base_url=at.base_url, max_retries=0, request_timeout=10
            )
            opened.push_async_callback(_awaited(client.close))
            return Awaited(client)

        yield open_client


@pytest.fixture
def organizations(connect: Connect, access: Access) -> Any:
    """The SDK's organizations in an environment of the test's own."""
    return connect(access).organizations


def pending(domain: str) -> OrganizationDomainData:
    return OrganizationDomainData(domain=domain, state=State.PENDING)


def verified(domain: str) -> OrganizationDomainData:
    return OrganizationDomainData(domain=domain, state=State.VERIFIED)


def states(organization: Any) -> dict[str, str]:
    return {domain.domain: domain.state.value for domain in organization.domains}


async def test_create_takes_every_field(organizations: Any) -> None:
    created = await organizations.create_organization(
        name="Acme",
        allow_profiles_outside_organization=True,
        domains=["old.example.com"],
        domain_data=[
            pending("pending.example.com"),
            verified("verified.example.com"),
        ],
        metadata={"tier": "gold", "größe": "XL"},
        external_id="customer/42 a",
    )
    assert re.fullmatch(r"org_[0-9A-HJKMNP-TV-Z]{26}", created.id)
    assert (created.object, created.name) == ("organization", "Acme")
    assert created.allow_profiles_outside_organization is True
    assert created.metadata == {"tier": "gold", "größe": "XL"}
    assert created.external_id == "customer/42 a"
    assert created.stripe_customer_id is None
    assert created.created_at == created.updated_at
    assert abs(datetime.now(UTC) - created.created_at) < timedelta(minutes=1)
    assert states(created) == {
        "old.example.com": "legacy_verified",
        "pending.example.com": "pending",
        "verified.example.com": "verified",
    }


async def test_a_pending_domain_comes_with_its_dns_record(organizations: Any) -> None:
    created = await organizations.create_organization(name="Acme", domain_data=[pending("example.com")])
    (domain,) = created.domains
    assert domain.organization_id == created.id
    assert domain.verification_strategy.value == "dns"
    assert domain.verification_prefix.startswith("acme-domain-verification-")
    assert domain.verification_token


async def test_create_needs_a_name_alone(organizations: Any) -> None:
    created = await organizations.create_organization(name="Acme")
    assert (created.domains, created.metadata, created.external_id) == ([], {}, None)
    assert created.allow_profiles_outside_organization is False


async def test_create_takes_null_where_the_sdk_does(organizations: Any) -> None:
    created = await organizations.create_organization(name="Acme", metadata=None, external_id=None)
    assert (created.metadata, created.external_id) == ({}, None)


async def test_get_returns_what_create_returned(organizations: Any) -> None:
    created = await organizations.create_organization(name="Acme", domains=["example.com"])
    assert await organizations.get_organization(created.id) == created


async def test_get_by_external_id_takes_any_external_id(organizations: Any) -> None:
    for external_id in ("plain", "with/slash", "with space", "100%", "a?b#c", "external_id", "%2F"):
        created = await organizations.create_organization(name="Acme", external_id=external_id)
        assert await organizations.get_organization_by_external_id(external_id) == created


async def test_update_takes_every_field(organizations: Any) -> None:
    created = await organizations.create_organization(name="Acme", domains=["gone.example.com"])
    updated = await organizations.update_organization(
        created.id,
        name="Acme Corp",
        allow_profiles_outside_organization=True,
        domains=["old.example.com"],
        domain_data=[verified("new.example.com")],
        stripe_customer_id="cus_1",
        metadata={"tier": "gold"},
        external_id="42",
    )
    assert (updated.id, updated.name, updated.created_at) == (created.id, "Acme Corp", created.created_at)
    assert updated.allow_profiles_outside_organization is True
    assert (updated.stripe_customer_id, updated.external_id) == ("cus_1", "42")
    assert updated.metadata == {"tier": "gold"}
    assert states(updated) == {"old.example.com": "legacy_verified", "new.example.com": "verified"}
    assert await organizations.get_organization(created.id) == updated


async def test_update_leaves_what_it_is_not_given(organizations: Any) -> None:
    created = await organizations.create_organization(
        name="Acme", domains=["example.com"], metadata={"tier": "gold"}, external_id="42"
    )
    updated = await organizations.update_organization(created.id, name="Acme Corp")
    assert (updated.domains, updated.metadata, updated.external_id) == (
        created.domains,
        created.metadata,
        created.external_id,
    )


async def test_update_merges_metadata_and_null_deletes_a_key(organizations: Any) -> None:
    created = await organizations.create_organization(name="Acme", metadata={"a": "1", "b": "2"})
    for change, left in (
        ({"b": "3", "c": "4"}, {"a": "1", "b": "3", "c": "4"}),
        ({"a": None}, {"b": "3", "c": "4"}),
        (None, {"b": "3", "c": "4"}),
        ({}, {}),
    ):
        updated = await organizations.update_organization(created.id, metadata=change)
        assert updated.metadata == left


async def test_update_clears_the_external_id_with_none(organizations: Any) -> None:
    created = await organizations.create_organization(name="Acme", external_id="42")
    updated = await organizations.update_organization(created.id, external_id=None)
    assert updated.external_id is None
    assert (await organizations.create_organization(name="Other", external_id="42")).external_id == "42"


async def test_a_domain_listed_as_verified_becomes_so(organizations: Any) -> None:
    created = await organizations.create_organization(name="Acme", domain_data=[pending("example.com")])
    updated = await organizations.update_organization(created.id, domain_data=[verified("example.com")])
    assert states(updated) == {"example.com": "verified"}
    assert updated.domains[0].id == created.domains[0].id


async def test_delete_returns_none_and_the_organization_is_gone(organizations: Any) -> None:
    created = await organizations.create_organization(name="Acme")
    assert await organizations.delete_organization(created.id) is None
    with pytest.raises(workos.NotFoundError):
        await organizations.get_organization(created.id)


@pytest.mark.parametrize("order", ["desc", "asc"])
async def test_auto_pagination_meets_each_organization_once_in_order(organizations: Any, order: str) -> None:
    created = [(await organizations.create_organization(name=f"Acme {n}")).id for n in range(25)]
    first = await organizations.list_organizations(limit=10, order=order)
    assert len(first.data) == 10
    assert first.before is None
    assert first.after == first.data[-1].id
    walked = [organization.id for organization in await every(first)]
    assert walked == (created if order == "asc" else created[::-1])


async def test_before_leads_to_the_page_before(organizations: Any) -> None:
    created = [(await organizations.create_organization(name=f"Acme {n}")).id for n in range(5)]
    page = await organizations.list_organizations(limit=2, order="asc", before=created[4])
    assert [organization.id for organization in page.data] == created[2:4]
    assert (page.before, page.after) == (created[2], created[3])


async def test_an_empty_list_has_no_cursors(organizations: Any) -> None:
    page = await organizations.list_organizations()
    assert (page.data, page.before, page.after) == ([], None, None)


async def test_the_domains_filter_finds_organizations_with_any_of_them(organizations: Any) -> None:
    first = await organizations.create_organization(name="First", domains=["one.example.com"])
    second = await organizations.create_organization(name="Second", domains=["two.example.com"])
    await organizations.create_organization(name="Third", domains=["three.example.com"])
    page = await organizations.list_organizations(domains=["one.example.com", "TWO.example.com"])
    assert page.data == [second, first]


async def test_search_finds_a_part_of_the_name_in_any_case(organizations: Any) -> None:
    for name in ("Acme Müller", "Blueprint", "100% Beef"):
        await organizations.create_organization(name=name)
    for text, name in (("mÜLL", "Acme Müller"), ("print", "Blueprint"), ("0% b", "100% Beef")):
        page = await organizations.list_organizations(search=text)
        assert [organization.name for organization in page.data] == [name]


async def test_auto_pagination_keeps_the_filters(organizations: Any) -> None:
    for n in range(6):
        await organizations.create_organization(name=f"Wanted {n}", domains=["example.com"])
        await organizations.create_organization(name=f"Other {n}")
    page = await organizations.list_organizations(limit=2, search="wanted", domains=["example.com"])
    names = [organization.name for organization in await every(page)]
    assert names == [f"Wanted {n}" for n in reversed(range(6))]


async def test_two_equal_creates_are_two_organizations(organizations: Any) -> None:
    first = await organizations.create_organization(name="Acme")
    assert (await organizations.create_organization(name="Acme")).id != first.id


async def test_an_idempotency_key_makes_a_repeated_create_one(organizations: Any) -> None:
    options: workos.RequestOptions = {"idempotency_key": "create-acme"}
    first = await organizations.create_organization(name="Acme", request_options=options)
    assert await organizations.create_organization(name="Acme", request_options=options) == first
    assert len((await organizations.list_organizations()).data) == 1


async def test_an_idempotency_key_with_another_body_is_a_bad_request(organizations: Any) -> None:
    options: workos.RequestOptions = {"idempotency_key": "bar"}
    await organizations.create_organization(name="Acme", request_options=options)
    error = await refused(
        workos.BadRequestError, organizations.create_organization(name="Other", request_options=options)
    )
    assert error.message == (
        "Another idempotency key (bar) with different request parameters was found. "
        "Please use a different idempotency key."
    )


async def refused(kind: type[Any], call: Awaitable[Any]) -> Any:
    """Return the error of exactly `kind` that `call` ends with, which names its request."""
    with pytest.raises(kind) as caught:
        await call
    error: Any = caught.value
    assert type(error) is kind
    assert _UUID.fullmatch(error.request_id)
    return error


async def test_a_used_external_id_is_a_bad_request(organizations: Any) -> None:
    holder = await organizations.create_organization(name="Acme", external_id="42")
    other = await organizations.create_organization(name="Other")
    for call in (
        organizations.create_organization(name="Third", external_id="42"),
        organizations.update_organization(other.id, external_id="42"),
    ):
        error = await refused(workos.BadRequestError, call)
        assert (error.status_code, error.code) == (400, "external_id_already_used")
        assert error.message == f"The external_id '42' is already used by organization '{holder.id}'."
        assert error.errors is None


async def test_a_used_stripe_customer_is_a_bad_request(organizations: Any) -> None:
    holder = await organizations.create_organization(name="Acme")
    other = await organizations.create_organization(name="Other")
    await organizations.update_organization(holder.id, stripe_customer_id="cus_1")
    error = await refused(
        workos.BadRequestError, organizations.update_organization(other.id, stripe_customer_id="cus_1")
    )
    assert (error.status_code, error.code) == (400, "stripe_customer_id_already_used")
    assert "cus_1" in error.message


@pytest.mark.parametrize(
    "metadata",
    [
        {"k" * 41: "v"},
        {"key": "v" * 601},
        {"key": 1},
        {f"key{n}": "v" for n in range(51)},
    ],
    ids=["long key", "long value", "number", "51 keys"],
)
async def test_metadata_over_a_limit_is_a_bad_request(organizations: Any, metadata: dict[str, Any]) -> None:
    error = await refused(
        workos.BadRequestError, organizations.create_organization(name="Acme", metadata=metadata)
    )
    assert (error.status_code, error.code) == (400, "invalid_metadata")
    assert error.message.startswith("metadata ")


async def test_an_unknown_key_is_an_authentication_error(connect: Connect, access: Access) -> None:
    stranger = connect(Access(access.environment_id, "sk_test_unknown"))
    error = await refused(workos.AuthenticationError, stranger.organizations.list_organizations())
    assert (error.status_code, error.message, error.code) == (401, "Unauthorized", None)


async def test_a_read_only_key_may_read_and_not_write(connect: Connect, read_only: Access) -> None:
    organizations = connect(read_only).organizations
    assert (await organizations.list_organizations()).data == []
    for call in (
        organizations.create_organization(name="Acme"),
        organizations.update_organization(_UNKNOWN_ID, name="Acme"),
        organizations.delete_organization(_UNKNOWN_ID),
    ):
        error = await refused(workos.AuthorizationError, call)
        assert (error.status_code, error.code) == (403, "forbidden")
        assert "read-only" in error.message


async def test_an_unknown_organization_is_not_found(organizations: Any) -> None:
    for call in (
        organizations.get_organization(_UNKNOWN_ID),
        organizations.get_organization_by_external_id(_UNKNOWN_ID),
        organizations.update_organization(_UNKNOWN_ID, name="Acme"),
        organizations.delete_organization(_UNKNOWN_ID),
    ):
        error = await refused(workos.NotFoundError, call)
        assert (error.status_code, error.code) == (404, "entity_not_found")
        assert error.message == f"Organization not found: '{_UNKNOWN_ID}'."
        assert error.response_json["entity_id"] == _UNKNOWN_ID


async def test_an_organization_of_another_environment_is_not_found(
    connect: Connect, organizations: Any, unique: Access
) -> None:
    created = await organizations.create_organization(name="Acme", external_id="42")
    stranger = connect(unique).organizations
    for call in (
        stranger.get_organization(created.id),
        stranger.get_organization_by_external_id("42"),
        stranger.update_organization(created.id, name="Mine"),
        stranger.delete_organization(created.id),
    ):
        await refused(workos.NotFoundError, call)
    assert await organizations.get_organization(created.id) == created


async def test_a_domain_that_another_has_is_a_conflict_where_domains_are_unique(
    connect: Connect, unique: Access
) -> None:
    organizations = connect(unique).organizations
    await organizations.create_organization(name="Acme", domains=["example.com"])
    other = await organizations.create_organization(name="Other")
    for call in (
        organizations.create_organization(name="Third", domains=["example.com"]),
        organizations.update_organization(other.id, domains=["example.com"]),
    ):
        error = await refused(workos.ConflictError, call)
        assert error.status_code == 409
        assert error.message == "An Organization with the domain example.com already exists."


async def test_all_wrong_fields_are_told_at_once(organizations: Any) -> None:
    error = await refused(
        workos.UnprocessableEntityError,
        organizations.create_organization(name="", domains=[1], external_id="é"),
    )
    assert (error.status_code, error.message) == (422, "Validation failed")
    assert error.errors == [
        {"field": "name", "code": "name should not be empty"},
        {"field": "domains.0", "code": "each value in domains must be a string"},
        {"field": "external_id", "code": "external_id must contain only ASCII characters"},
    ]


async def test_a_wrong_list_parameter_is_unprocessable(organizations: Any) -> None:
    for parameters, sentence in (
        ({"limit": 101}, "limit must not be greater than 100"),
        ({"limit": 0}, "limit must not be less than 1"),
        ({"order": "up"}, "order must be one of the following values: normal, desc, asc"),
        ({"after": "nothing"}, "after must be an id that begins with org_"),
    ):
        error = await refused(workos.UnprocessableEntityError, organizations.list_organizations(**parameters))
        assert error.errors == [{"field": next(iter(parameters)), "code": sentence}]


async def test_too_many_requests_say_when_to_come_again(
    connect: Connect, access: Access, throttled_server: Server
) -> None:
    organizations = connect(access, throttled_server).organizations

    async def ask_thrice() -> None:
        # One a minute: three cannot all fall into minutes of their own.
        for _ in range(3):
            await organizations.list_organizations()

    error = await refused(workos.RateLimitExceededError, ask_thrice())
    assert (error.status_code, error.code) == (429, "rate_limit_exceeded")
    assert error.message == "Too many requests."
    assert 0 < error.retry_after <= 60


async def test_an_operation_not_there_yet_is_a_server_error_that_names_it(
    connect: Connect, access: Access
) -> None:
    error = await refused(workos.ServerError, connect(access).multi_factor_auth.get_factor("auth_factor_1"))
    assert (error.status_code, error.code) == (501, "not_implemented")
    assert error.message == "Tenantry does not have this operation yet: GET /auth/factors/{id}."


async def test_a_domain_is_created_fetched_verified_and_deleted(connect: Connect, access: Access) -> None:
    sdk = connect(access)
    organization = await sdk.organizations.create_organization(name="Acme")
    domains = sdk.organization_domains
    made = await domains.create_organization_domain(domain="ACME.example.com", organization_id=organization.id)
    assert (made.object, made.domain, made.organization_id) == (
        "organization_domain",
        "acme.example.com",
        organization.id,
    )
    assert (made.state, made.verification_strategy) == ("pending", "dns")
    assert made.verification_prefix == f"acme-domain-verification-{made.id[-6:].lower()}"
    assert re.fullmatch(r"[A-Za-z0-9]{25}", made.verification_token)
    assert (await domains.get_organization_domain(made.id)).to_dict() == made.to_dict()
    assert (await domains.verify_organization_domain(made.id)).state == "pending"
    [shown] = (await sdk.organizations.get_organization(organization.id)).domains
    assert shown.id == made.id
    await domains.delete_organization_domain(made.id)
    error = await refused(workos.NotFoundError, domains.get_organization_domain(made.id))
    assert error.status_code == 404


async def test_what_is_wrong_with_a_domain_has_its_exception(connect: Connect, access: Access) -> None:
    sdk = connect(access)
    organization = await sdk.organizations.create_organization(
        name="Acme", domain_data=[verified("verified.example.com")]
    )
    domains = sdk.organization_domains

    async def create(domain: str, organization_id: str = organization.id) -> Any:
        return await domains.create_organization_domain(domain=domain, organization_id=organization_id)

    error = await refused(workos.ConflictError, create("verified.example.com"))
    assert error.code == "domain_already_exists"
    error = await refused(workos.UnprocessableEntityError, create("co.uk"))
    assert error.errors[0]["field"] == "domain"
    await refused(workos.NotFoundError, create("other.example.com", _UNKNOWN_ID))
    error = await refused(workos.BadRequestError, domains.verify_organization_domain(organization.domains[0].id))
    assert (error.code, error.message) == ("domain_already_verified", "Domain is already verified.")


async def test_audit_logs_are_written_by_the_schema_of_their_action(connect: Connect, access: Access) -> None:
    client = connect(access)
    organization = await client.organizations.create_organization(name="Audited")
    metadata = {"type": "object", "properties": {"role": {"type": "string"}}}
    schema = await client.audit_logs.create_schema(
        "user.signed_in",
        targets=[audit_logs.AuditLogSchemaTargetInput(type="team")],
        actor=audit_logs.AuditLogSchemaActorInput(metadata=metadata),
    )
    assert schema.version == 1
    assert [action.name for action in await every(await client.audit_logs.list_actions())] == ["user.signed_in"]
    listed = await every(await client.audit_logs.list_action_schemas("user.signed_in"))
    assert [each.version for each in listed] == [1]

    def event(**metadata: Any) -> audit_logs.AuditLogEvent:
        return audit_logs.AuditLogEvent(
            action="user.signed_in",
            occurred_at=datetime.now(UTC),
            actor=audit_logs.AuditLogEventActor(id="user_1", type="user", metadata=metadata),
            targets=[audit_logs.AuditLogEventTarget(id="team_1", type="team")],
            context=audit_logs.AuditLogEventContext(location="192.0.2.1"),
        )

    sent = {"organization_id": organization.id, "idempotency_key": "once"}
    assert (await client.audit_logs.create_event(event=event(role="admin"), **sent)).success
    with pytest.raises(workos.BadRequestError) as refused:
        await client.audit_logs.create_event(organization_id=organization.id, event=event(role=1))
    assert refused.value.code == "invalid_audit_log_event"


async def test_audit_log_retention_is_set_by_period_or_days(connect: Connect, access: Access) -> None:
    client = connect(access)
    organization = await client.organizations.create_organization(name="Retained")
    before = await client.audit_logs.get_organization_audit_logs_retention(organization.id)
    assert before.retention_period_in_days is None
    for retention, days in (
        (audit_logs.RetentionPeriod("2_YEARS"), 730),
        (audit_logs.RetentionPeriodInDays(30), 30),
    ):
        await client.audit_logs.update_organization_audit_logs_retention(organization.id, retention=retention)
        after = await client.audit_logs.get_organization_audit_logs_retention(organization.id)
        assert after.retention_period_in_days == days


async def test_audit_logs_are_exported_to_a_csv(connect: Connect, access: Access) -> None:
    client = connect(access)
    organization = await client.organizations.create_organization(name="Exported")
    await client.audit_logs.create_schema(
        "user.signed_in", targets=[audit_logs.AuditLogSchemaTargetInput(type="team")]
    )
    now = datetime.now(UTC)
    for name in ("Ann", "Bob"):
        event = audit_logs.AuditLogEvent(
            action="user.signed_in",
            occurred_at=now,
            actor=audit_logs.AuditLogEventActor(id=f"user_{name}", type="user", name=name),
            targets=[audit_logs.AuditLogEventTarget(id="team_1", type="team")],
            context=audit_logs.AuditLogEventContext(location="192.0.2.1"),
        )
        await client.audit_logs.create_event(organization_id=organization.id, event=event)
    made = await client.audit_logs.create_export(
        organization_id=organization.id,
        range_start=(now - timedelta(hours=1)).isoformat(),
        range_end=(now + timedelta(hours=1)).isoformat(),
        actions=["user.signed_in"],
        actor_names=["Ann"],
        targets=["team"],
    )
    assert (made.state, made.url) == ("pending", None)
    for _ in range(_LOOKS):
        made = await client.audit_logs.get_export(made.id)
        if made.state != "pending":
            break
        await asyncio.sleep(0.05)
    assert made.state == "ready"
    async with httpx.AsyncClient() as anyone:
        file = await anyone.get(made.url)
    rows = list(csv.DictReader(io.StringIO(file.text, newline="")))
    assert [(row["action"], row["actor_name"]) for row in rows] == [("user.signed_in", "Ann")]
    with pytest.raises(workos.BadRequestError) as refused:
        await client.audit_logs.create_export(
            organization_id=organization.id, range_start=now.isoformat(), range_end="2001-01-01T00:00:00Z"
        )
    assert refused.value.code == "invalid_audit_log_export_range_date"
    with pytest.raises(workos.NotFoundError):
        await client.audit_logs.get_export("audit_log_export_01EHQMYV6MBK39QC5PZXHY59C3")


async def test_the_audit_log_configuration_can_be_read(connect: Connect, access: Access) -> None:
    client = connect(access)
    organization = await client.organizations.create_organization(name="Configured")
    found = await client.organizations.get_audit_log_configuration(organization.id)
    assert (found.organization_id, found.retention_period_in_days, found.state) == (organization.id, 365, "active")


@pytest.mark.parametrize(
    ("type_", "destination"),
    [
        ("GenericHttps", {"generic_https": {"url": "https://logs.example/audit"}}),
        ("Datadog", {"datadog": {"api_key": "key"}}),
        ("Splunk", {"splunk": {"url": "https://splunk.example:8088", "token": "token"}}),
        (
            "S3",
            {"s3": {"bucket": "audit", "region": "eu-central-1", "access_key_id": "a", "secret_access_key": "s"}},
        ),
    ],
)
async def test_the_audit_log_configuration_has_the_log_stream(
    connect: Connect, access: Access, server: Server, type_: str, destination: dict[str, Any]
) -> None:
    client = connect(access)
    organization = await client.organizations.create_organization(name="Streamed")
    with http_client(server.base_url, access.key) as api:
        path = f"/tenantry/organizations/{organization.id}/audit_log_streams"
        made = api.post(path, json={"type": type_} | destination).raise_for_status().json()
        for state in ("active", "inactive"):
            api.patch(f"/tenantry/audit_log_streams/{made['id']}", json={"state": state}).raise_for_status()
            found = (await client.organizations.get_audit_log_configuration(organization.id)).log_stream
            assert found is not None
            assert (found.id, found.type.value, found.state.value) == (made["id"], type_, state)
            assert found.last_synced_at is None
