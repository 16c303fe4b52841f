"""Whose a domain is when two organizations prove it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from registry import Registry
from tenantry.core.db import Database
from tenantry.domains.wire import DomainData, DomainName


@pytest.fixture
def registry(database: Database, now: list[int]) -> Registry:
    return Registry(database, now)


def owner_ids(registry: Registry) -> list[str]:
    return [owner.organization_domain_id for owner in registry.ownership().owners]


def contested(registry: Registry) -> tuple[str, str]:
    """Let two organizations prove one domain, the first a day before the second; return both domains' ids."""
    holder = registry.new_claim()
    registry.check(**{holder: True})
    registry.pass_days(1, **{holder: True})
    challenger = registry.new_claim()
    registry.check(**{holder: True, challenger: True})
    return holder, challenger


def test_a_second_proof_opens_a_contest_and_takes_nothing_away(registry: Registry) -> None:
    holder, challenger = contested(registry)
    assert (registry.state(holder), registry.state(challenger)) == ("verified", "pending")
    told = registry.events("contested")
    assert [each["data"]["challenger"]["id"] for each in told] == [challenger, challenger]
    found = registry.ownership()
    assert owner_ids(registry) == [holder]
    assert [claimant.organization_domain_id for claimant in found.claimants] == [challenger]
    [contest] = found.contests
    assert (contest.holder.id, contest.challenger.id) == (holder, challenger)
    assert contest.ends_at > contest.started_at


def test_the_events_of_a_contest_are_of_both_organizations(registry: Registry) -> None:
    holder, challenger = contested(registry)
    found = registry.database.read(
        lambda tx: tx.all("SELECT organization_id FROM events WHERE event = 'organization_domain.contested'")
    )
    assert sorted(found) == sorted((registry.domain(each).organization_id,) for each in (holder, challenger))


def test_a_holder_whose_record_is_still_there_keeps_the_domain(registry: Registry) -> None:
    holder, challenger = contested(registry)
    registry.pass_days(6.5, **{holder: True, challenger: True})
    assert registry.events("contest_ended") == []
    registry.pass_days(1, **{holder: True, challenger: True})
    assert (registry.state(holder), registry.state(challenger)) == ("verified", "failed")
    assert {each["data"]["outcome"] for each in registry.events("contest_ended")} == {"kept"}
    [failed] = registry.events("verification_failed")
    assert failed["data"]["reason"] == "domain_verified_by_other_organization"
    assert failed["data"]["organization_domain"]["id"] == challenger


def test_a_holder_whose_record_is_gone_loses_the_domain(registry: Registry) -> None:
    holder, challenger = contested(registry)
    registry.pass_days(7.5, **{challenger: True})
    assert (registry.state(holder), registry.state(challenger)) == ("failed", "verified")
    assert {each["data"]["outcome"] for each in registry.events("contest_ended")} == {"moved"}
    [failed] = registry.events("verification_failed")
    assert failed["data"]["organization_domain"]["id"] == holder
    assert failed["data"]["reason"] == "domain_verified_by_other_organization"
    assert owner_ids(registry) == [challenger]
    assert registry.ownership().contests == []


def test_a_challenger_whose_record_goes_away_ends_the_contest(registry: Registry) -> None:
    holder, challenger = contested(registry)
    registry.pass_days(1, **{holder: True})
    assert {each["data"]["outcome"] for each in registry.events("contest_ended")} == {"withdrawn"}
    assert (registry.state(holder), registry.state(challenger)) == ("verified", "pending")
    assert registry.ownership().contests == []


def test_a_resolver_that_fails_decides_nothing(registry: Registry) -> None:
    holder, challenger = contested(registry)
    registry.pass_days(8, **{holder: None, challenger: None})
    assert registry.events("contest_ended") == []
    registry.pass_days(1.1, **{holder: True, challenger: True})
    assert registry.state(challenger) == "failed"


def test_a_holder_that_gives_the_domain_up_leaves_it_to_the_challenger(registry: Registry) -> None:
    holder, challenger = contested(registry)
    registry.delete(holder)
    assert {each["data"]["outcome"] for each in registry.events("contest_ended")} == {"withdrawn"}
    registry.check(**{challenger: True})
    assert registry.state(challenger) == "verified"


def test_the_callers_word_stands_against_a_proof_and_the_old_bare_list_does_not(registry: Registry) -> None:
    registry.organization(domain_data=[DomainData(DomainName("word.com"), "verified")])
    registry.organization(domains=["bare.com"])
    against_word, against_bare = registry.new_claim("word.com"), registry.new_claim("bare.com")
    registry.pass_days(8, **{against_word: True, against_bare: True})
    assert registry.state(against_word) == "failed"
    assert registry.state(against_bare) == "verified"


def test_where_domains_are_shared_everyone_who_proves_one_has_it(database: Database, now: list[int]) -> None:
    registry = Registry(database, now, policy="shared")
    first, second = registry.new_claim(), registry.new_claim()
    registry.check(**{first: True, second: True})
    assert sorted(owner_ids(registry)) == sorted([first, second])
    assert registry.events("contested") == []


def test_of_two_that_are_proved_at_the_same_time_one_is_first(registry: Registry) -> None:
    first, second = registry.new_claim(), registry.new_claim()
    claimed = registry.due()
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda check: registry.end([check], {first: True, second: True}), claimed))
    assert sorted([registry.state(first), registry.state(second)]) == ["pending", "verified"]
    assert len(registry.ownership().contests) == 1


def test_the_best_proof_comes_first(registry: Registry) -> None:
    registry.organization(domains=["acme.com"])
    registry.organization(domain_data=[DomainData(DomainName("acme.com"), "verified")])
    proofs = [owner.proof for owner in registry.ownership().owners]
    assert proofs == ["manual", "legacy"]


def test_a_domain_that_nobody_names_has_no_owner(registry: Registry) -> None:
    found = registry.ownership("nobody.com")
    assert (found.owners, found.claimants, found.contests, found.policy) == ([], [], [], "exclusive")
