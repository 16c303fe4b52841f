"""The official Node SDK meets every fault. What is asked of it stands in `tests/sdk/node/faults.test.js`."""

import pytest

from node_tests import VERSIONS, run_node_tests
from support import Server

MAIN_KEY = "sk_test_default"


@pytest.mark.parametrize("sdk", VERSIONS)
def test_the_node_sdk_meets_every_fault_as_documented(dev: Server, sdk: str) -> None:
    run_node_tests("faults.test.js", sdk, BASE_URL=dev.base_url, MAIN_KEY=MAIN_KEY)
