"""Two environments: organizations come from there to here."""

import pytest

from tenantry.core.db import Database
from transfer_places import Place


@pytest.fixture
def here(database: Database) -> Place:
    return Place(database)


@pytest.fixture
def there(database: Database) -> Place:
    return Place(database)
