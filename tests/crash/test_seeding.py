"""A seed that is cut off by kill -9 is there once, whole, after the next start."""

import subprocess
import sys
import time
from pathlib import Path

from support import NO_DNS, Server, client, free_port

COUNT = 3000
CUTS = (0.5, 0.8, 1.1, 1.4, 1.8)


def test_a_seed_that_was_cut_off_is_whole_after_the_next_start(tmp_path: Path) -> None:
    seed = tmp_path / "seed.yaml"
    organizations = "".join(f"  - {{name: N{number}, external_id: e{number}}}\n" for number in range(COUNT))
    endpoint = "webhookEndpoints: [{endpoint_url: 'http://127.0.0.1:9/hook', events: []}]\n"
    seed.write_text(f"organizations:\n{organizations}{endpoint}")
    database = f"sqlite:///{tmp_path / 'kept.db'}"
    line = [sys.executable, "-m", "tenantry", "dev", "--database", database, "--seed", str(seed)]
    for seconds in CUTS:
        process = subprocess.Popen([*line, "--port", str(free_port())], env=NO_DNS, stdout=subprocess.DEVNULL)
        time.sleep(seconds)
        process.kill()
        process.wait()
    server = Server(database, tmp_path, "--seed", str(seed), command="dev")
    with client(server.base_url, "sk_test_default") as api:
        total = api.get("/organizations", params={"total": "true"}).json()["total"]
        endpoints = api.get("/webhook_endpoints").json()["data"]
        created, after = 0, None
        while True:
            query = {"events": "organization.created", "limit": "100"} | ({"after": after} if after else {})
            page = api.get("/events", params=query).json()
            created += len(page["data"])
            after = page["list_metadata"]["after"]
            if after is None:
                break
        deliveries = api.get(f"/tenantry/webhook_endpoints/{endpoints[0]['id']}/deliveries").json()["data"]
    assert (total["count"], created, len(endpoints), deliveries) == (COUNT, COUNT, 1, [])
    assert server.stop() == 0
