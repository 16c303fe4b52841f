"""Generated audit log events: any number of different ones from a seed."""

from random import Random
from typing import Any

import msgspec

from tenantry.core.clock import timestamp

ACTIONS = ("user.signed_in", "user.invited", "invoice.paid", "document.shared", "role.changed")
TARGET_TYPES = ("user", "team", "document")
ACTORS = 1000
TARGETS = 5000
_WORDS = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliet")

SCHEMA = msgspec.json.encode(
    {
        "actor": {"metadata": {"type": "object", "properties": {"role": {"type": "string"}}}},
        "targets": [{"type": name} for name in TARGET_TYPES],
        "metadata": {
            "type": "object",
            "properties": {"reason": {"type": "string"}, "attempt": {"type": "number"}},
            "required": ["reason"],
        },
    }
)
"""What each of ACTIONS has as its schema, as a request's body."""


def event(random: Random, milliseconds: int) -> dict[str, Any]:
    """Return an event of that time as an app sends it, some 500 bytes."""
    actor = random.randrange(ACTORS)
    return {
        "action": random.choice(ACTIONS),
        "occurred_at": timestamp(milliseconds),
        "actor": {
            "id": f"user_{actor}",
            "type": "user",
            "name": f"{_WORDS[actor % 10].title()} {_WORDS[actor // 10 % 10].title()}",
            "metadata": {"role": "admin" if actor % 7 == 0 else "member"},
        },
        "targets": [
            {"id": f"target_{random.randrange(TARGETS)}", "type": random.choice(TARGET_TYPES)}
            for _ in range(random.choice((1, 1, 2)))
        ],
        "context": {
            "location": f"192.0.2.{random.randrange(256)}",
            "user_agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)",
        },
        "metadata": {
            "reason": f"{random.choice(_WORDS)} {random.choice(_WORDS)} {random.getrandbits(32):08x}",
            "attempt": random.randrange(5),
        },
    }
