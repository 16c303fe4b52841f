"""The router."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.core.routing import Router


@pytest.fixture(scope="module")
def router() -> Router[str]:
    built: Router[str] = Router()
    for method, path in (
        ("GET", "/organizations"),
        ("GET", "/organizations/{id}"),
        ("PUT", "/organizations/{id}"),
        ("GET", "/organizations/external_id/{external_id:path}"),
        ("GET", "/organizations/{id}/roles"),
        ("GET", "/organizations/{organization_id}/groups/{group_id}"),
    ):
        built.add(method, path, f"{method} {path}")
    return built


@pytest.mark.parametrize(
    ("method", "path", "target", "parameters"),
    [
        ("GET", "/organizations", "GET /organizations", {}),
        ("GET", "/oRGANIZATIONS/Org_1", "GET /organizations/{id}", {"id": "Org_1"}),
        ("PUT", "/organizations/external_id", "PUT /organizations/{id}", {"id": "external_id"}),
        ("GET", "/organizations/external_id/a/b/", "GET /organizations/external_id/{external_id:path}",
         {"external_id": "a/b/"}),
        ("GET", "/organizations/x/roles", "GET /organizations/{id}/roles", {"id": "x"}),
        ("GET", "/organizations/o/groups/g", "GET /organizations/{organization_id}/groups/{group_id}",
         {"organization_id": "o", "group_id": "g"}),
    ],
)  # fmt: skip
def test_a_path_leads_to_its_target(
    router: Router[str], method: str, path: str, target: str, parameters: dict[str, str]
) -> None:
    assert router.match(method, path) == (target, parameters)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", ""),
        ("GET", "/organizations/"),
        ("DELETE", "/organizations"),
        ("GET", "/organizations/x/y"),
        ("GET", "/organizations//roles"),
        ("GET", "/organizations/external_id/"),
        ("GET", "/organizations/a\0b"),
    ],
)
def test_other_paths_lead_nowhere(router: Router[str], method: str, path: str) -> None:
    assert router.match(method, path) is None


@given(st.text(max_size=60))
def test_any_path_is_answered(path: str) -> None:
    built: Router[str] = Router()
    built.add("GET", "/a/{b}/{c:path}", "target")
    built.match("GET", "/" + path)
