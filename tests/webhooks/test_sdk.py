"""The official Python SDK, unmodified, drives the four operations of webhook endpoints."""

from collections.abc import Iterator

import pytest
import workos

from support import Access, Server


@pytest.fixture
def sdk(server: Server, access: Access) -> Iterator[workos.WorkOSClient]:
    with workos.WorkOSClient(api_key=access.key, base_url=server.base_url, max_retries=0) as client:
        yield client


def test_the_sdk_creates_lists_updates_and_deletes(sdk: workos.WorkOSClient) -> None:
    webhooks = sdk.webhooks
    made = [
        webhooks.create_webhook_endpoint(
            endpoint_url=f"https://{number}.invalid/hook", events=["organization.created"]
        )
        for number in range(12)
    ]
    assert made[0].status == "enabled"
    assert made[0].secret.startswith("whsec_")
    listed = list(webhooks.list_webhook_endpoints(limit=5).auto_paging_iter())
    assert [each.id for each in listed] == [each.id for each in reversed(made)]
    changed = webhooks.update_webhook_endpoint(made[0].id, status="disabled", events=["user.created"])
    assert (changed.status, changed.events) == ("disabled", ["user.created"])
    assert changed.secret == made[0].secret
    webhooks.delete_webhook_endpoint(made[0].id)
    with pytest.raises(workos.NotFoundError):
        webhooks.delete_webhook_endpoint(made[0].id)


def test_the_sdk_tells_what_was_refused(sdk: workos.WorkOSClient) -> None:
    webhooks, events = sdk.webhooks, ["organization.created"]
    webhooks.create_webhook_endpoint(endpoint_url="https://one.invalid", events=events)
    with pytest.raises(workos.ConflictError) as conflict:
        webhooks.create_webhook_endpoint(endpoint_url="https://one.invalid", events=events)
    assert conflict.value.code == "duplicate_endpoint"
    with pytest.raises(workos.UnprocessableEntityError) as refused:
        webhooks.create_webhook_endpoint(endpoint_url="https://127.0.0.1", events=events)
    assert refused.value.code == "invalid_url"
    with pytest.raises(workos.UnprocessableEntityError) as unknown:
        webhooks.create_webhook_endpoint(endpoint_url="https://two.invalid", events=["organization.exploded"])
    assert unknown.value.code == "invalid_request_parameters"
