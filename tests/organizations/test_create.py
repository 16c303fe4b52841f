"""POST /organizations."""

import re

import httpx
import pytest

ID = re.compile(r"org_[0-7][0-9A-HJKMNP-TV-Z]{25}")
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def test_a_name_is_enough(api: httpx.Client) -> None:
    answer = api.post("/organizations", json={"name": "Acme"})
    body = answer.json()
    assert answer.status_code == 201
    assert ID.fullmatch(body["id"])
    assert TIMESTAMP.fullmatch(body["created_at"])
    assert body == {
        "object": "organization",
        "id": body["id"],
        "name": "Acme",
        "allow_profiles_outside_organization": False,
        "created_at": body["created_at"],
        "updated_at": body["created_at"],
        "domains": [],
        "metadata": {},
        "external_id": None,
    }


def test_every_field_is_kept(api: httpx.Client) -> None:
    given = {
        "name": "Acme",
        "allow_profiles_outside_organization": True,
        "metadata": {"tier": "diamond", "Ort": "Zürich"},
        "external_id": "customer/17 ~",
    }
    made = api.post("/organizations", json=given).json()
    assert {name: made[name] for name in given} == given
    assert api.get(f"/organizations/{made['id']}").json() == made


def test_a_pending_domain_gets_a_record_to_publish(api: httpx.Client) -> None:
    body = api.post(
        "/organizations",
        json={"name": "Acme", "domain_data": [{"domain": " Bücher.Example. ", "state": "pending"}]},
    ).json()
    (domain,) = body["domains"]
    assert domain == {
        "object": "organization_domain",
        "id": domain["id"],
        "organization_id": body["id"],
        "domain": "xn--bcher-kva.example",
        "state": "pending",
        "verification_strategy": "dns",
        "verification_prefix": f"acme-domain-verification-{domain['id'][-6:].lower()}",
        "verification_token": domain["verification_token"],
        "created_at": body["created_at"],
        "updated_at": body["created_at"],
    }
    assert re.fullmatch(r"[A-Za-z0-9]{25}", domain["verification_token"])


def test_a_domain_without_state_is_pending(api: httpx.Client) -> None:
    body = api.post("/organizations", json={"name": "Acme", "domain_data": [{"domain": "acme.com"}]}).json()
    assert [domain["state"] for domain in body["domains"]] == ["pending"]


def test_a_verified_domain_is_taken_at_the_callers_word(api: httpx.Client) -> None:
    body = api.post(
        "/organizations", json={"name": "Acme", "domain_data": [{"domain": "acme.com", "state": "verified"}]}
    ).json()
    (domain,) = body["domains"]
    assert (domain["state"], domain["verification_strategy"]) == ("verified", "manual")
    assert not {"verification_prefix", "verification_token"} & domain.keys()


def test_the_old_domain_list_makes_legacy_verified_domains(api: httpx.Client) -> None:
    body = api.post("/organizations", json={"name": "Acme", "domains": ["acme.com"]}).json()
    (domain,) = body["domains"]
    assert domain["state"] == "legacy_verified"
    assert "verification_strategy" not in domain


def test_domain_data_counts_where_both_lists_name_a_domain(api: httpx.Client) -> None:
    body = api.post(
        "/organizations",
        json={
            "name": "Acme",
            "domains": ["a.com", "B.com"],
            "domain_data": [{"domain": "b.com", "state": "verified"}],
        },
    ).json()
    assert {domain["domain"]: domain["state"] for domain in body["domains"]} == {
        "a.com": "legacy_verified",
        "b.com": "verified",
    }


def test_names_need_not_be_unique(api: httpx.Client) -> None:
    ids = {api.post("/organizations", json={"name": "Acme"}).json()["id"] for _ in range(2)}
    assert len(ids) == 2


def test_an_external_id_belongs_to_one_organization(api: httpx.Client) -> None:
    holder = api.post("/organizations", json={"name": "Acme", "external_id": "17"}).json()
    answer = api.post("/organizations", json={"name": "Other", "external_id": "17"})
    assert answer.status_code == 400
    assert answer.json() == {
        "message": f"The external_id '17' is already used by organization '{holder['id']}'.",
        "code": "external_id_already_used",
    }


def test_an_external_id_is_free_again_after_its_organization_is_gone(api: httpx.Client) -> None:
    holder = api.post("/organizations", json={"name": "Acme", "external_id": "17"}).json()
    api.delete(f"/organizations/{holder['id']}")
    assert api.post("/organizations", json={"name": "Other", "external_id": "17"}).status_code == 201


def test_stripe_customer_id_is_ignored_on_create(api: httpx.Client) -> None:
    body = api.post("/organizations", json={"name": "Acme", "stripe_customer_id": "cus_1"}).json()
    assert "stripe_customer_id" not in body


def test_unknown_properties_are_ignored(api: httpx.Client) -> None:
    assert api.post("/organizations", json={"name": "Acme", "idempotency_key": "x"}).status_code == 201


def test_null_stands_for_not_given(api: httpx.Client) -> None:
    nothing = dict.fromkeys(
        ("allow_profiles_outside_organization", "domains", "domain_data", "metadata", "external_id")
    )
    body = api.post("/organizations", json={"name": "Acme", **nothing}).json()
    assert (body["metadata"], body["domains"], body["external_id"]) == ({}, [], None)


def test_all_wrong_fields_are_reported_at_once(api: httpx.Client) -> None:
    answer = api.post(
        "/organizations",
        json={
            "name": "",
            "allow_profiles_outside_organization": "yes",
            "domains": ["a.com", 7, "a..b"],
            "domain_data": [{"state": "sure"}, "b.com"],
            "metadata": [],
            "external_id": "é",
        },
    )
    assert answer.status_code == 422
    assert answer.json() == {
        "message": "Validation failed",
        "errors": [
            {"field": "name", "code": "name should not be empty"},
            {
                "field": "allow_profiles_outside_organization",
                "code": "allow_profiles_outside_organization must be a boolean value",
            },
            {"field": "domains.1", "code": "each value in domains must be a string"},
            {
                "field": "domains.2",
                "code": "each value in domains must be a valid domain name such as example.com",
            },
            {"field": "domain_data.0.domain", "code": "domain_data.0.domain should not be empty"},
            {
                "field": "domain_data.0.state",
                "code": "domain_data.0.state must be one of the following values: pending, verified",
            },
            {"field": "domain_data.1", "code": "domain_data.1 must be an object"},
            {"field": "metadata", "code": "metadata must be an object"},
            {"field": "external_id", "code": "external_id must contain only ASCII characters"},
        ],
    }


def test_what_is_right_beside_a_wrong_field_is_not_named(api: httpx.Client) -> None:
    answer = api.post("/organizations", json={"name": 7, "external_id": "crm-1"})
    assert answer.json()["errors"] == [{"field": "name", "code": "name must be a string"}]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (None, "name should not be empty"),
        (7, "name must be a string"),
        ("n" * 1001, "name must be shorter than or equal to 1000 characters"),
        ("a\0b", "name must not contain NUL characters"),
    ],
)
def test_a_wrong_name_is_named(api: httpx.Client, name: object, sentence: str) -> None:
    answer = api.post("/organizations", json={"name": name})
    assert (answer.status_code, answer.json()["errors"]) == (422, [{"field": "name", "code": sentence}])


@pytest.mark.parametrize(
    ("domain", "rule"),
    [
        ("https://acme.com", "must be a domain name without a scheme such as https://"),
        ("me@acme.com", "must be a domain name, not an e-mail address"),
        ("acme.com/x", "must be a domain name without a path"),
        ("acme.com:80", "must be a domain name without a port"),
        ("*.acme.com", "must not be a wildcard"),
        ("localhost", "must have at least two labels, as in example.com"),
        ("127.0.0.1", "must be a domain name, not an IP address"),
        ("2001:db8::1", "must be a domain name, not an IP address"),
        ("[::1]:80", "must be a domain name, not an IP address"),
        ("a..com", "must be a valid domain name such as example.com"),
        ("co.uk", "must not be a public suffix such as co.uk, under which others register names"),
        ("Gmail.com", "must not be a consumer mail domain such as gmail.com, where anyone can have an address"),
    ],
)
def test_a_wrong_domain_is_told_the_rule(api: httpx.Client, domain: str, rule: str) -> None:
    answer = api.post(
        "/organizations", json={"name": "Acme", "domains": ["ok.com", domain], "domain_data": [{"domain": domain}]}
    )
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"field": "domains.1", "code": f"each value in domains {rule}"},
        {"field": "domain_data.0.domain", "code": f"domain_data.0.domain {rule}"},
    ]


@pytest.mark.parametrize(
    ("metadata", "rule"),
    [
        ({"k" * 41: "v"}, "must be at most 40 characters"),
        ({"k": "v" * 601}, "must be at most 600 characters"),
        ({"k": 7}, "must be a string, or null to delete the key"),
        ({"": "v"}, "must not be empty"),
        ({f"k{n}": "v" for n in range(51)}, "must have at most 50 keys"),
    ],
)
def test_metadata_over_a_limit_is_refused(api: httpx.Client, metadata: dict[str, object], rule: str) -> None:
    answer = api.post("/organizations", json={"name": "Acme", "metadata": metadata})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_metadata")
    assert rule in answer.json()["message"]


def test_metadata_at_its_limits_is_kept(api: httpx.Client) -> None:
    metadata = {f"{n:040}": "v" * 600 for n in range(50)}
    body = api.post("/organizations", json={"name": "Acme", "metadata": metadata}).json()
    assert body["metadata"] == metadata


def test_metadata_of_a_form_stays_an_object_when_its_keys_are_numbers(api: httpx.Client) -> None:
    answer = api.post("/organizations", data={"name": "Acme", "metadata[0]": "a", "metadata[1]": "b"})
    assert (answer.status_code, answer.json().get("metadata")) == (201, {"0": "a", "1": "b"})
    answer = api.post("/organizations", data={"name": "Acme", "metadata[]": "a"})
    assert answer.json()["errors"] == [{"field": "metadata", "code": "metadata must be an object"}]


def test_a_form_is_read_as_json_is(api: httpx.Client) -> None:
    answer = api.post(
        "/organizations",
        data={
            "name": "Acme & Söhne",
            "allow_profiles_outside_organization": "true",
            "metadata[tier]": "gold",
            "domains": "one.com",
            "domain_data[0][domain]": "two.com",
            "domain_data[0][state]": "verified",
            "external_id": "17",
        },
    )
    body = answer.json()
    assert answer.status_code == 201
    assert (body["name"], body["metadata"], body["external_id"]) == ("Acme & Söhne", {"tier": "gold"}, "17")
    assert body["allow_profiles_outside_organization"] is True
    assert {domain["domain"]: domain["state"] for domain in body["domains"]} == {
        "one.com": "legacy_verified",
        "two.com": "verified",
    }


def test_a_domain_may_be_given_to_one_organization(unique_api: httpx.Client) -> None:
    unique_api.post("/organizations", json={"name": "Acme", "domains": ["acme.com"]})
    answer = unique_api.post("/organizations", json={"name": "Other", "domains": ["ACME.com", "b.com"]})
    assert answer.status_code == 409
    assert answer.json() == {"message": "An Organization with the domain acme.com already exists."}
    assert unique_api.get("/organizations?domains=b.com").json()["data"] == []


def test_a_domain_may_be_shared_by_default(api: httpx.Client) -> None:
    for name in ("Acme", "Other"):
        assert api.post("/organizations", json={"name": name, "domains": ["acme.com"]}).status_code == 201
    assert len(api.get("/organizations?domains=acme.com").json()["data"]) == 2


def test_of_an_empty_body_the_content_type_says_nothing(api: httpx.Client) -> None:
    """Some clients name one for every request."""
    answer = api.post("/organizations", content=b"", headers={"content-type": "text/plain"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "name")
