"""The application. Its database and its one key are in `PEER_DATABASE` and `PEER_KEY`."""

import hashlib
import os
import secrets
import string
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Header, Query, Request, status
from fastapi.responses import JSONResponse
from sqlalchemy import Select, exists, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from bench.peers.fastapi_sqlalchemy.database import Database
from bench.peers.fastapi_sqlalchemy.schemas import (
    CreateOrganization,
    DomainIn,
    DomainOut,
    ListMetadata,
    Metadata,
    OrganizationOut,
    OrganizationPage,
    UpdateOrganization,
)
from bench.peers.fastapi_sqlalchemy.tables import (
    MATCHING_ROWS,
    ApiKey,
    Base,
    Domain,
    Event,
    Organization,
    new_id,
    now,
)

_SHORTEST_PHRASE = 3
_LETTERS = string.ascii_letters + string.digits
_ENVIRONMENT = "environment_bench"

database = Database(os.environ["PEER_DATABASE"])


@asynccontextmanager
async def _lifespan(_app: FastAPI) -> AsyncIterator[None]:
    async with database.writer.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with database.to_write.begin() as session:
        await session.merge(ApiKey(hash=_hash(os.environ["PEER_KEY"]), environment_id=_ENVIRONMENT))
    yield
    await database.close()


app = FastAPI(lifespan=_lifespan)


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status_code: int, body: dict[str, str]) -> None:
        super().__init__(body["message"])
        self.status_code, self.body = status_code, body


@app.exception_handler(Refused)
async def _refused(_request: Request, error: Refused) -> JSONResponse:
    return JSONResponse(error.body, error.status_code)


@app.exception_handler(IntegrityError)
async def _already_used(_request: Request, _error: IntegrityError) -> JSONResponse:
    body = {"message": "The external_id is already used.", "code": "external_id_already_used"}
    return JSONResponse(body, status.HTTP_400_BAD_REQUEST)


def _not_found(identity: str) -> Refused:
    message = f"Organization not found: '{identity}'."
    return Refused(404, {"message": message, "code": "entity_not_found", "entity_id": identity})


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


async def _authenticate(session: AsyncSession, authorization: str | None) -> str:
    """Return the environment that the key opens."""
    scheme, _, secret = (authorization or "").partition(" ")
    query = select(ApiKey.environment_id).where(ApiKey.hash == _hash(secret))
    environment_id = await session.scalar(query) if scheme.lower() == "bearer" else None
    if environment_id is None:
        raise Refused(401, {"message": "Unauthorized"})
    return environment_id


class Caller:
    """Who calls, and the session of the request."""

    def __init__(self, session: AsyncSession, environment_id: str) -> None:
        self.session, self.environment_id = session, environment_id


async def _reading(authorization: Annotated[str | None, Header()] = None) -> AsyncIterator[Caller]:
    async with database.to_read() as session:
        yield Caller(session, await _authenticate(session, authorization))


async def _writing(authorization: Annotated[str | None, Header()] = None) -> AsyncIterator[Caller]:
    async with database.to_write.begin() as session:
        yield Caller(session, await _authenticate(session, authorization))


# "function": the transaction ends, and with it the write is on disk, before the answer is sent.
Reader = Annotated[Caller, Depends(_reading, scope="function")]
Writer = Annotated[Caller, Depends(_writing, scope="function")]


@app.get("/health")
async def health() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "ok"}


@app.get("/organizations/external_id/{external_id}")
async def get_by_external_id(caller: Reader, external_id: str) -> OrganizationOut:
    """Return the organization with that external id."""
    found = await caller.session.scalar(_all(caller).where(Organization.external_id == external_id))
    if found is None:
        raise _not_found(external_id)
    return OrganizationOut.model_validate(found)


@app.get("/organizations/{organization_id}")
async def get(caller: Reader, organization_id: str) -> OrganizationOut:
    """Return an organization."""
    return OrganizationOut.model_validate(await _found(caller, organization_id))


@app.get("/organizations")
async def list_page(
    caller: Reader,
    domains: Annotated[list[str], Query(max_length=100)] = [],  # noqa: B006 (FastAPI copies it)
    search: str = "",
    before: str | None = None,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 10,
    order: Literal["normal", "desc", "asc"] = "normal",
) -> OrganizationPage:
    """Return one page of those with any of the domains, with the text in their name."""
    if order == "normal":
        before, after = after, before
    backwards = after is None and before is not None
    descending = (order != "asc") != backwards
    cursor = before if backwards else after
    matching = _matching(caller, domains, search)
    key = Organization.id
    query = matching.order_by(key.desc() if descending else key).limit(limit + 1)
    if cursor is not None:
        query = query.where(key < cursor if descending else key > cursor)
    walked = list(await caller.session.scalars(query))
    rows = walked[:limit]
    ahead = rows[-1].id if len(walked) > limit else None
    behind = None
    if cursor is not None and rows:
        other = matching.where(key > rows[0].id if descending else key < rows[0].id)
        behind = rows[0].id if await caller.session.scalar(select(other.exists())) else None
    if backwards:
        rows, ahead, behind = rows[::-1], behind, ahead
    cursors = (ahead, behind) if order == "normal" else (behind, ahead)
    data = [OrganizationOut.model_validate(row) for row in rows]
    return OrganizationPage(data=data, list_metadata=ListMetadata(before=cursors[0], after=cursors[1]))


@app.post("/organizations", status_code=201)
async def create(caller: Writer, body: CreateOrganization) -> OrganizationOut:
    """Create an organization with its domains."""
    made = now()
    organization = Organization(
        environment_id=caller.environment_id,
        id=new_id("org"),
        name=body.name,
        allow_profiles_outside_organization=body.allow_profiles_outside_organization or False,
        external_id=body.external_id or None,
        stripe_customer_id=None,
        details=_merged({}, body.metadata),
        created_at=made,
        updated_at=made,
        domains=[],
    )
    caller.session.add(organization)
    _replace_domains(caller, organization, body.domain_data or [])
    shown = OrganizationOut.model_validate(organization)
    _record(caller, "organization.created", organization.id, shown)
    await caller.session.flush()
    return shown


@app.put("/organizations/{organization_id}")
async def update(caller: Writer, organization_id: str, body: UpdateOrganization) -> OrganizationOut:
    """Change what the body gives."""
    organization = await _found(caller, organization_id, for_update=True)
    before = OrganizationOut.model_validate(organization)
    given = body.model_dump(include=body.model_fields_set - {"metadata", "domain_data"})
    for name, value in given.items():
        if value is not None or name in {"external_id", "stripe_customer_id"}:
            setattr(organization, name, value or None if name.endswith("_id") else value)
    organization.details = _merged(organization.details, body.metadata)
    if body.domain_data is not None:
        _replace_domains(caller, organization, body.domain_data)
    shown = OrganizationOut.model_validate(organization)
    if shown == before:
        return shown
    organization.updated_at = shown.updated_at = now()
    _record(caller, "organization.updated", organization.id, shown, before)
    await caller.session.flush()
    return shown


def _all(caller: Caller) -> Select[Organization]:
    return select(Organization).where(Organization.environment_id == caller.environment_id)


async def _found(caller: Caller, organization_id: str, *, for_update: bool = False) -> Organization:
    query = _all(caller).where(Organization.id == organization_id)
    found = await caller.session.scalar(query.with_for_update() if for_update else query)
    if found is None:
        raise _not_found(organization_id)
    return found


def _matching(caller: Caller, domains: list[str], search: str) -> Select[Organization]:
    query = _all(caller)
    if domains:
        given = Domain.domain.in_([domain.lower() for domain in domains])
        here = (Domain.environment_id == caller.environment_id) & (Domain.organization_id == Organization.id)
        query = query.where(exists().where(here, given))
    if not search:
        return query
    if database.reader.dialect.name == "sqlite" and len(search) >= _SHORTEST_PHRASE:
        phrase = '"' + search.replace('"', '""') + '"'
        return query.where(MATCHING_ROWS.bindparams(phrase=phrase))
    return query.where(Organization.name.icontains(search, autoescape=True))


def _merged(current: dict[str, str], change: Metadata | None) -> dict[str, str]:
    """Return metadata as a change leaves it: null deletes a key, `{}` deletes all."""
    if not change:
        return current if change is None else {}
    return {key: value for key, value in {**current, **change}.items() if value is not None}


def _replace_domains(caller: Caller, organization: Organization, wanted: list[DomainIn]) -> None:
    kept = {each.domain: each for each in organization.domains}
    made = now()
    chosen = []
    for each in wanted:
        domain = kept.get(each.domain)
        if domain is None:
            domain = _new_domain(caller, organization, each, made)
            shown = DomainOut.model_validate(domain)
            _record(caller, "organization_domain.created", organization.id, shown)
        chosen.append(domain)
    organization.domains = chosen


def _new_domain(caller: Caller, organization: Organization, given: DomainIn, made: str) -> Domain:
    checked = given.state == "pending"
    identity = new_id("org_domain")
    return Domain(
        environment_id=caller.environment_id,
        id=identity,
        organization_id=organization.id,
        domain=given.domain,
        state=given.state,
        verification_strategy="dns" if checked else "manual",
        verification_prefix=f"tenantry-domain-verification-{identity[-6:].lower()}" if checked else None,
        verification_token="".join(secrets.choice(_LETTERS) for _ in range(25)) if checked else None,
        created_at=made,
        updated_at=made,
    )


def _record(
    caller: Caller,
    name: str,
    organization_id: str,
    shown: OrganizationOut | DomainOut,
    before: OrganizationOut | None = None,
) -> None:
    payload = {"data": shown.model_dump(mode="json")}
    if before is not None:
        old, new = before.model_dump(mode="json"), payload["data"]
        payload["previous_attributes"] = {key: value for key, value in old.items() if new.get(key) != value}
    caller.session.add(
        Event(
            environment_id=caller.environment_id,
            id=new_id("event"),
            event=name,
            organization_id=organization_id,
            created_at=shown.updated_at,
            payload=payload,
        )
    )
