"""The routes of a universe's DNS."""

from typing import Annotated

import msgspec
from msgspec import Meta

from tenantry.core.endpoints import Endpoint
from tenantry.core.errors import ApiError, EntityNotFound, FieldError, ValidationFailed
from tenantry.lab.dns_server import ENDING
from tenantry.lab.routes import Visit, route
from tenantry.lab.zones import MOST_NAMES, Others, Rule, TooManyNames, ZoneName

_ALL = "/tenantry/lab/dns"
_ONE = f"{_ALL}/{{name}}"


class DnsNameNotFound(EntityNotFound):
    """Nothing is set for the name: 404."""

    def __init__(self, name: str) -> None:
        super().__init__("DNS name", name)


class TooManyDnsNames(ApiError):
    """As many names are set in the universe as may be: 409."""

    status = 409
    code = "too_many_dns_names"
    message = f"There are {MOST_NAMES} names, as many as may be. DELETE {_ALL} forgets them all."


class DnsPortTaken(ApiError):
    """The lab's name server cannot listen: 409."""

    status = 409
    code = "dns_port_taken"
    message = "The lab's name server cannot listen: another has its port. Choose one with --dns-port."


class DnsName(Rule, frozen=True, kw_only=True, tag_field="object", tag="dns_name"):
    """What is set for a name."""

    name: str


class Dns(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="dns"):
    """The DNS of a universe: what is set, what other names get, and where it can be asked.

    `server` is asked for a name with `ending` behind it.
    """

    universe: str
    server: str
    ending: str
    others: Others
    data: list[DnsName]


class ChangeDns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What names get that are not set."""

    others: Annotated[
        Others,
        Meta(description="`nxdomain`, `servfail`, `refused`, `timeout`, `empty`, or `resolver`: the real DNS."),
    ]


async def _read(visit: Visit) -> Dns:
    try:
        await visit.lab.dns.start()
    except OSError as error:
        raise DnsPortTaken from error
    universe, zones = visit.universe, visit.universe.zones
    return Dns(
        universe=universe.id,
        server=visit.lab.dns.address,
        ending="" if universe is visit.lab.main else f".{universe.id.lower()}{ENDING}",
        others=zones.others,
        data=[_shown(name, rule) for name, rule in zones.names()],
    )


async def _change(visit: Visit) -> Dns:
    visit.universe.zones.others = visit.body.others
    return await _read(visit)


async def _clear(visit: Visit) -> None:
    visit.universe.zones.clear()


async def _get(visit: Visit) -> DnsName:
    name = _name(visit)
    rule = visit.universe.zones.get(name)
    if rule is None:
        raise DnsNameNotFound(name)
    return _shown(name, rule)


async def _put(visit: Visit) -> DnsName:
    name, rule = _name(visit), visit.body
    if rule.cname is not None and rule.txt:
        raise ValidationFailed([FieldError("txt", "txt must be empty: a name with a cname has no other records")])
    try:
        visit.universe.zones.put(name, rule)
    except TooManyNames as error:
        raise TooManyDnsNames from error
    return _shown(name, rule)


async def _delete(visit: Visit) -> None:
    name = _name(visit)
    if not visit.universe.zones.remove(name):
        raise DnsNameNotFound(name)


def _name(visit: Visit) -> str:
    """Return the name of the path. Raises ValidationFailed."""
    try:
        return str(ZoneName.parse(visit.path["name"]))
    except ValueError as error:
        raise ValidationFailed([FieldError("name", f"name {error}")]) from error


def _shown(name: str, rule: Rule) -> DnsName:
    fields = {field: getattr(rule, field) for field in Rule.__struct_fields__}
    return DnsName(name=name, **fields | {"cname": rule.cname and str(rule.cname)})


ENDPOINTS: tuple[Endpoint, ...] = (
    route(
        _read,
        method="GET",
        path=_ALL,
        name="dns.read",
        summary="Show what is set in the DNS of the universe, and where it can be asked",
        answer=Dns,
        errors=(DnsPortTaken,),
    ),
    route(
        _change,
        method="PUT",
        path=_ALL,
        name="dns.change",
        summary="Say what names get that are not set",
        body=ChangeDns,
        answer=Dns,
        errors=(DnsPortTaken,),
    ),
    route(_clear, method="DELETE", path=_ALL, name="dns.clear", summary="Forget every name", status=204),
    route(
        _get,
        method="GET",
        path=_ONE,
        name="dns.get",
        summary="Show what a name answers",
        answer=DnsName,
        errors=(DnsNameNotFound,),
    ),
    route(
        _put,
        method="PUT",
        path=_ONE,
        name="dns.put",
        summary="Set what a name answers",
        body=Rule,
        answer=DnsName,
        errors=(TooManyDnsNames,),
    ),
    route(
        _delete,
        method="DELETE",
        path=_ONE,
        name="dns.delete",
        summary="Forget a name",
        status=204,
        errors=(DnsNameNotFound,),
    ),
)
