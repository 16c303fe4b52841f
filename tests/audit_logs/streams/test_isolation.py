"""However many streams do not answer, the others are fed."""

from collections.abc import Callable

import httpx

from receivers import Receiver
from streaming import actors, make_generic, make_organization, wait_for_stream, write
from tenantry.audit_logs.streams.shipping import PLACES

SILENT = 2 * sum(PLACES.values())


def test_twice_as_many_silent_streams_as_there_are_places_delay_no_other(
    logs: httpx.Client, organization_id: str, receive: Callable[..., Receiver]
) -> None:
    """A receiver that never answers has two seconds each time; there is one of another organization that does."""
    silent, well = receive(seconds=3600), receive()
    healthy = make_organization(logs, "Healthy")
    stream = make_generic(logs, healthy, well)
    write(logs, healthy, "user_0")
    wait_for_stream(logs, stream["id"], lambda now: now["last_synced_at"] is not None)
    others = [make_organization(logs, f"Silent {number}") for number in range(SILENT)]
    for other in others:
        make_generic(logs, other, silent)
        write(logs, other, "user_0")
    for number, actor in enumerate(actors(5)):
        write(logs, healthy, actor)
        well.wait_for(number + 2)
    assert silent.received() == []
