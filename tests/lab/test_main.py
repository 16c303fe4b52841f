"""The main environment of `tenantry dev`: kept between starts, on either engine, with a clock of its own."""

from pathlib import Path

import httpx

from support import Server, client

KEY = "sk_test_default"
CLOCK = "/tenantry/lab/clock"
UNIVERSES = "/tenantry/lab/universes"


def served(server: Server) -> httpx.Client:
    return client(server.base_url, KEY)


def test_a_kept_database_goes_on_from_the_time_that_its_clock_was_put_to(
    empty_database_url: str, tmp_path: Path
) -> None:
    server = Server(empty_database_url, tmp_path, command="dev")
    with served(server) as api:
        before = api.post("/organizations", json={"name": "Before"}).json()
        moved = api.post(f"{CLOCK}/advance", json={"by": "30d"}).json()
        after = api.post("/organizations", json={"name": "After"}).json()
    assert after["created_at"] >= moved["now"]
    assert server.stop() == 0
    server = Server(empty_database_url, tmp_path, command="dev")
    with served(server) as api:
        assert api.get(CLOCK).json()["now"] >= after["created_at"]
        again = api.post("/organizations", json={"name": "Again"}).json()
        listed = [each["id"] for each in api.get("/organizations").json()["data"]]
        assert listed == [again["id"], after["id"], before["id"]]
    assert server.stop() == 0


def test_universes_are_forks_of_the_seed_whatever_the_main_database_holds(
    database_url: str, tmp_path: Path
) -> None:
    server = Server(database_url, tmp_path, command="dev")
    with served(server) as api:
        api.post("/organizations", json={"name": "Only in main"})
        universe = api.post(UNIVERSES).json()
        with client(server.base_url, universe["api_key"]) as fork:
            assert fork.get("/organizations").json()["data"] == []
            fork.post("/organizations", json={"name": "Only in the fork"})
        assert [each["name"] for each in api.get("/organizations").json()["data"]] == ["Only in main"]
        copied = api.post(UNIVERSES, json={"from": "main"})
        if database_url.startswith("sqlite"):
            with client(server.base_url, copied.json()["api_key"]) as fork:
                assert [each["name"] for each in fork.get("/organizations").json()["data"]] == ["Only in main"]
        else:
            assert (copied.status_code, copied.json()["code"]) == (409, "main_environment")
            assert "PostgreSQL" in copied.json()["message"]
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


def test_a_killed_server_leaves_the_main_environment_as_it_answered(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'kept.db'}"
    server = Server(url, tmp_path, command="dev")
    with served(server) as api:
        made = [api.post("/organizations", json={"name": f"Acme {number}"}).json()["id"] for number in range(20)]
    server.kill()
    server = Server(url, tmp_path, command="dev")
    with served(server) as api:
        assert [each["id"] for each in api.get("/organizations?order=asc&limit=100").json()["data"]] == made
    assert server.stop() == 0


def test_the_same_tests_pass_again_on_the_same_database(tmp_path: Path) -> None:
    """Each test forks a universe, so nothing of a run stands in the way of the next."""
    url = f"sqlite:///{tmp_path / 'kept.db'}"

    def run(server: Server) -> list[int]:
        statuses = []
        with served(server) as main:
            for _ in range(3):
                with client(server.base_url, main.post(UNIVERSES).json()["api_key"]) as api:
                    domain = {"domain": "acme.com", "state": "verified"}
                    body = {"name": "Acme", "external_id": "acme", "domain_data": [domain]}
                    statuses.append(api.post("/organizations", json=body).status_code)
                    statuses.append(api.post("/tenantry/lab/clock/advance", json={"by": "90d"}).status_code)
        return statuses

    server = Server(url, tmp_path, command="dev")
    first, second = run(server), run(server)
    assert server.stop() == 0
    server = Server(url, tmp_path, command="dev")
    third = run(server)
    assert server.stop() == 0
    assert first == second == third == [201, 200] * 3
