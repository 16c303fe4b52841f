"""Text that has rules of its own."""

import pytest

from tenantry.core.parsing import Moment


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("2026-01-15", "2026-01-15T00:00:00.000Z"),
        ("2026-01-15T12:00Z", "2026-01-15T12:00:00.000Z"),
        ("2026-01-15T12:00:00.123456789Z", "2026-01-15T12:00:00.123Z"),
        ("2026-01-15T12:00:00+00:00", "2026-01-15T12:00:00.000Z"),
        ("2026-01-15T12:00:00.317999+00:00", "2026-01-15T12:00:00.317Z"),
    ],
)
def test_a_moment_is_a_time_in_utc_also_as_python_writes_it(text: str, form: str) -> None:
    assert Moment.parse(text) == form
    assert Moment.parse(form) == form


@pytest.mark.parametrize(
    "text", ["", "now", "2026-01-15T12:00:00+01:00", "2026-01-15T12:00:00Z+00:00", "2026-02-30", "10000-01-01"]
)
def test_what_is_no_time_in_utc_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match="must be an ISO 8601 time in UTC"):
        Moment.parse(text)
