"""Commands are tested as people run them: as processes."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Done = subprocess.CompletedProcess[str]
Tenantry = Callable[..., Done]

_SECONDS = 30


@pytest.fixture
def tenantry(tmp_path: Path) -> Tenantry:
    """Runs `tenantry` with arguments, in an empty folder; keywords are environment variables."""
    plain = {
        name: value for name, value in os.environ.items() if not name.startswith("TENANTRY_") and name != "COLUMNS"
    }

    def run(*arguments: str, **variables: str) -> Done:
        return subprocess.run(
            [sys.executable, "-m", "tenantry", *arguments],
            cwd=tmp_path,
            env=plain | variables,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )

    return run
