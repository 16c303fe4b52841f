"""Examining a domain: which questions are asked, in which order, and how many at most."""

import msgspec

from tenantry.domains.doctor import Verdict
from tenantry.domains.questions import Question


class Examination(msgspec.Struct, frozen=True):
    """What an examination came to. `found` is None when it could not be told: neither proof nor miss."""

    found: bool | None
    verdict: Verdict
    questions: tuple[Question, ...]
