"""The benchmark's name server answers as real ones do, and counts what it is asked."""

import time

from bench.responder import responding

from tenantry.core.addresses import servers
from tenantry.domains.examine import ResolverOptions, examine
from tenantry.domains.records import Expected
from tenantry.domains.resolver import PORT, Resolver

_TOKEN = "5h3fn5uPEBcd7G3kL9mN2xQzR"


def _expected(domain: str) -> Expected:
    return Expected(domain, "app-domain-verification-z3kjny", _TOKEN, "app")


async def test_a_domain_with_its_record_costs_two_questions_and_one_without_nine() -> None:
    proved, other = _expected("proved.com"), _expected("other.com")
    began = time.time()
    with responding({"proved.com": proved.value, "other.com": "v=spf1 -all"}) as responder:
        resolver = Resolver(ResolverOptions(servers=servers(responder.address, PORT), rate=1000.0))
        found = await examine(resolver, proved, lambda: 0)
        assert (found.found, found.verdict.code) == (True, "verified")
        assert responder.asked(began, time.time()) == 2
        missed = await examine(resolver, other, lambda: 0)
        assert (missed.found, missed.verdict.code) == (False, "no_record")
        assert responder.asked(began, time.time()) == 11
        assert 2 <= responder.most_in_a_second(began, time.time()) <= 11
