"""What a process says of itself."""

import subprocess
import sys

import pytest

FAILS = """
import structlog
from tenantry.core import log

def check(key):
    raise TimeoutError("no answer")

log.configure(readable=READABLE)
try:
    check("sk_" + "very_secret")
except TimeoutError as error:
    structlog.get_logger("x").error("failed", exc_info=error)
"""


@pytest.mark.parametrize("readable", ["True", "False"])
def test_an_error_is_told_with_its_place_and_without_the_values_of_variables(readable: str) -> None:
    program = FAILS.replace("READABLE", readable)
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "failed" in said
    assert "TimeoutError: no answer" in said
    assert "in check" in said
    assert "sk_very_secret" not in said
