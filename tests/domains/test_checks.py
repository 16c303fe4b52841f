"""The life of a domain: checked, verified or failed, watched, with time as a value."""

from typing import Any

import pytest

from registry import RULES, Registry, rows
from tenantry.core.clock import milliseconds_of, timestamp
from tenantry.core.db import Database
from tenantry.domains import checks
from tenantry.domains.checks import Result, Rules
from tenantry.domains.doctor import Verdict
from tenantry.domains.examine import Examination
from tenantry.domains.schedule import DAY, WatchPolicy
from tenantry.domains.service import DomainAlreadyVerified
from tenantry.domains.wire import DomainData, DomainName
from tenantry.organizations import service as organizations
from tenantry.organizations.service import refresh_domains
from tenantry.organizations.wire import UpdateOrganization

MINUTE, HOUR = 60_000, 3_600_000


@pytest.fixture
def registry(database: Database, now: list[int]) -> Registry:
    return Registry(database, now)


def test_a_new_domain_is_checked_at_once_and_then_ever_more_seldom(registry: Registry) -> None:
    domain_id = registry.new_claim()
    waits = []
    for _ in range(9):
        assert registry.check() == [domain_id]
        due_at = registry.diagnosis(domain_id).next_check_at
        assert due_at is not None
        waits.append(milliseconds_of(due_at) - registry.now[0])
        registry.now[0] += waits[-1] - 1
        assert registry.check() == []
        registry.now[0] += 1
    assert [wait // MINUTE for wait in waits] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert registry.state(domain_id) == "pending"


def test_a_record_that_the_resolver_cannot_see_yet_is_looked_for_when_it_can(registry: Registry) -> None:
    domain_id = registry.new_claim()
    for _ in range(6):
        registry.check()
        registry.now[0] += HOUR
    until = timestamp(registry.now[0] + 5 * MINUTE)
    verdict = Verdict(code="not_propagated", sentence="It is there.", mend="Wait.", until=until)
    seen = Examination(found=False, verdict=verdict, questions=())
    results = [Result(check, seen, 0.5) for check in registry.due()]
    registry.database.write(lambda tx: checks.record(tx, results, RULES, refresh_domains))
    assert registry.diagnosis(domain_id).next_check_at == timestamp(registry.now[0] + 5 * MINUTE + 1000)


def test_a_record_that_is_found_verifies_the_domain_with_its_event(registry: Registry) -> None:
    domain_id = registry.new_claim()
    registry.now[0] += 5
    registry.check(**{domain_id: True})
    assert registry.state(domain_id) == "verified"
    domain = registry.domain(domain_id)
    [event] = registry.events("verified")
    assert event["data"]["id"] == domain_id
    assert event["data"]["state"] == "verified"
    assert event["context"]["actor"]["source"] == "system"
    assert domain.updated_at > domain.created_at
    assert domain.verification_token


def test_an_event_of_a_check_is_of_the_domains_organization(registry: Registry) -> None:
    domain_id = registry.new_claim()
    registry.check(**{domain_id: True})
    found = registry.database.read(
        lambda tx: tx.all("SELECT organization_id FROM events WHERE event = 'organization_domain.verified'")
    )
    assert found == [(registry.domain(domain_id).organization_id,)]


def test_after_thirty_days_a_domain_has_failed_with_the_reason(registry: Registry) -> None:
    domain_id = registry.new_claim()
    registry.check()
    registry.pass_days(29.9)
    assert registry.state(domain_id) == "pending"
    registry.pass_days(0.2)
    assert registry.state(domain_id) == "failed"
    [event] = registry.events("verification_failed")
    assert event["data"]["reason"] == "domain_verification_period_expired"
    assert event["data"]["organization_domain"]["state"] == "failed"
    registry.pass_days(2)
    assert len(registry.events("verification_failed")) == 1


def test_answers_without_a_conclusion_do_not_stop_the_thirty_days(registry: Registry) -> None:
    domain_id = registry.new_claim()
    registry.check(**{domain_id: None})
    registry.pass_days(30.1, **{domain_id: None})
    assert registry.state(domain_id) == "failed"


def test_verify_starts_a_failed_domain_anew_with_its_record_and_thirty_days(registry: Registry) -> None:
    domain_id = registry.new_claim()
    token = registry.domain(domain_id).verification_token
    registry.pass_days(30.1)
    restarted = registry.verify(domain_id)
    assert (restarted.state, restarted.verification_token) == ("pending", token)
    [event] = registry.events("updated")
    assert event["context"]["previous_attributes"]["state"] == "failed"
    assert registry.check() == [domain_id]
    registry.pass_days(29.9)
    assert registry.state(domain_id) == "pending"
    registry.check(**{domain_id: True})
    registry.pass_days(0.1, **{domain_id: True})
    assert registry.state(domain_id) == "verified"


def test_verify_checks_a_pending_domain_now_and_leaves_its_thirty_days(registry: Registry) -> None:
    domain_id = registry.new_claim()
    registry.check()
    expires_at = registry.diagnosis(domain_id).expires_at
    registry.now[0] += 1000
    assert registry.check() == []
    assert registry.verify(domain_id).state == "pending"
    assert registry.check() == [domain_id]
    assert registry.diagnosis(domain_id).expires_at == expires_at
    assert registry.events("updated") == []


@pytest.mark.parametrize(
    "claim", [{"domains": ["acme.com"]}, {"domain_data": [DomainData(DomainName("acme.com"), "verified")]}]
)
def test_a_domain_that_is_verified_already_is_not_verified_again(
    registry: Registry, claim: dict[str, Any]
) -> None:
    [domain] = registry.shown(registry.organization(**claim)).domains
    with pytest.raises(DomainAlreadyVerified):
        registry.verify(domain.id)
    assert registry.check() == []


def test_what_a_lost_process_had_claimed_is_due_again(registry: Registry) -> None:
    domain_id = registry.new_claim()
    assert [check.domain_id for check in registry.due()] == [domain_id]
    assert registry.due() == []
    registry.now[0] += 60_000
    assert [check.domain_id for check in registry.due()] == [domain_id]


def test_the_longest_due_come_first_and_no_more_than_asked_for(registry: Registry) -> None:
    made = []
    for number in range(5):
        made.append(registry.new_claim(f"acme{number}.com"))
        registry.now[0] += 1
    first = [check.domain_id for check in registry.due(3)]
    assert sorted(first) == made[:3]
    assert sorted(check.domain_id for check in registry.due(3)) == made[3:]


def test_what_the_dns_said_of_a_deleted_domain_counts_for_nothing(registry: Registry) -> None:
    domain_id = registry.new_claim()
    claimed = registry.due()
    registry.delete(domain_id)
    registry.end(claimed, {domain_id: True})
    assert registry.events("verified") == []
    assert registry.database.read(rows) == 0


def test_what_the_dns_said_of_a_domain_that_was_given_as_verified_changes_nothing(registry: Registry) -> None:
    domain_id = registry.new_claim()
    claimed = registry.due()
    body = UpdateOrganization(domain_data=[DomainData(DomainName("acme.com"), "verified")])
    organization_id = registry.domain(domain_id).organization_id
    registry.database.write(lambda tx: organizations.update(tx, registry.caller, organization_id, body))
    registry.end(claimed, {domain_id: False})
    assert registry.state(domain_id) == "verified"
    assert registry.domain(domain_id).verification_strategy == "manual"
    registry.pass_days(40)
    assert registry.state(domain_id) == "verified"


def test_a_result_that_is_recorded_twice_has_one_effect(registry: Registry) -> None:
    domain_id = registry.new_claim()
    claimed = registry.due()
    registry.end(claimed, {domain_id: True})
    registry.end(claimed, {domain_id: True})
    assert len(registry.events("verified")) == 1


def test_every_attempt_is_kept_and_old_ones_are_pruned(registry: Registry) -> None:
    domain_id = registry.new_claim()
    registry.check()
    registry.now[0] += MINUTE
    registry.check()
    diagnosis = registry.diagnosis(domain_id)
    assert diagnosis.attempts == 2
    assert diagnosis.last_attempt is not None
    assert diagnosis.last_attempt.verdict.code == "no_record"
    assert registry.database.read(rows) == 2
    registry.now[0] += 30 * DAY - 1
    assert registry.database.write(lambda tx: checks.prune(tx, 30)) == 1
    assert registry.database.read(rows) == 1


def test_a_diagnosis_says_which_records_prove_the_domain(registry: Registry) -> None:
    domain_id = registry.new_claim()
    domain = registry.domain(domain_id)
    records = registry.diagnosis(domain_id).publish
    assert [record.name for record in records] == ["acme.com", "_acme-challenge.acme.com"]
    assert {record.value for record in records} == {f"{domain.verification_prefix}={domain.verification_token}"}


def test_nothing_has_to_be_published_for_a_domain_given_as_verified(registry: Registry) -> None:
    organization_id = registry.organization(domain_data=[DomainData(DomainName("acme.com"), "verified")])
    [domain] = registry.shown(organization_id).domains
    diagnosis = registry.diagnosis(domain.id)
    assert (diagnosis.publish, diagnosis.next_check_at, diagnosis.last_attempt) == ([], None, None)


def test_a_verified_domain_is_looked_at_each_day(registry: Registry) -> None:
    domain_id = registry.new_claim()
    registry.check(**{domain_id: True})
    registry.pass_days(10, **{domain_id: True})
    assert registry.diagnosis(domain_id).attempts == 10
    assert registry.events("at_risk") == []


def test_a_record_that_is_gone_for_days_puts_its_domain_at_risk_and_no_more(registry: Registry) -> None:
    domain_id = registry.new_claim()
    registry.check(**{domain_id: True})
    registry.pass_days(3.9)
    assert registry.events("at_risk") == []
    registry.pass_days(0.2)
    [event] = registry.events("at_risk")
    assert event["data"]["organization_domain"]["id"] == domain_id
    assert event["data"]["misses"] == 4
    assert event["data"]["revoked_at"] is None
    [owner] = registry.ownership().owners
    assert owner.at_risk_since == event["created_at"]
    registry.pass_days(60)
    assert registry.state(domain_id) == "verified"
    assert len(registry.events("at_risk")) == 1


def test_a_record_that_is_there_again_ends_the_risk(registry: Registry) -> None:
    domain_id = registry.new_claim()
    registry.check(**{domain_id: True})
    registry.pass_days(5)
    registry.pass_days(1.1, **{domain_id: True})
    assert len(registry.events("risk_ended")) == 1
    assert registry.ownership().owners[0].at_risk_since is None
    registry.pass_days(2.5)
    assert len(registry.events("at_risk")) == 1


def test_a_resolver_that_fails_puts_nobody_at_risk(registry: Registry) -> None:
    domain_id = registry.new_claim()
    registry.check(**{domain_id: True})
    registry.pass_days(10, **{domain_id: None})
    assert registry.events("at_risk") == []


def test_where_it_is_set_a_domain_that_stays_at_risk_fails(database: Database, now: list[int]) -> None:
    rules = Rules(WatchPolicy(hours=24, misses=3, days=3, revoke_days=5), contest_days=7)
    registry = Registry(database, now, rules)
    domain_id = registry.new_claim()
    registry.check(**{domain_id: True})
    registry.pass_days(5)
    [at_risk] = registry.events("at_risk")
    assert at_risk["data"]["revoked_at"] is not None
    registry.pass_days(3.5)
    assert registry.state(domain_id) == "verified"
    registry.pass_days(2)
    assert registry.state(domain_id) == "failed"
    [failed] = registry.events("verification_failed")
    assert failed["created_at"] >= at_risk["data"]["revoked_at"]
    assert registry.ownership().owners == []


def test_an_environment_is_checked_under_its_own_name(registry: Registry) -> None:
    domain_id = registry.new_claim()
    [check] = registry.due()
    assert check.expected.slug == "acme"
    assert check.expected.token == registry.domain(domain_id).verification_token


def test_results_of_nothing_are_recorded(registry: Registry) -> None:
    registry.database.write(lambda tx: checks.record(tx, [], RULES, refresh_domains))
    assert registry.due() == []


def test_a_token_of_another_organization_is_told_whose_it_is(registry: Registry) -> None:
    other, domain_id = registry.new_claim(), registry.new_claim()
    token = registry.domain(other).verification_token
    assert token
    verdict = Verdict(code="other_token", sentence="Another token is there.", mend="", token=token)
    seen = Examination(found=False, verdict=verdict, questions=())
    results = [Result(check, seen, 0.5) for check in registry.due() if check.domain_id == domain_id]
    registry.database.write(lambda tx: checks.record(tx, results, RULES, refresh_domains))
    last = registry.diagnosis(domain_id).last_attempt
    assert last is not None
    assert registry.domain(other).organization_id in last.verdict.sentence
