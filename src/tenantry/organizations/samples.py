"""Some names of an environment, as they were lately."""

from tenantry.core.db import Transaction
from tenantry.organizations.search import Sample


def last_seen(tx: Transaction, environment_id: str) -> Sample | None:
    """Return names that the environment had not long ago; None when they should be read anew."""
    sample: Sample | None = tx.hints.get((keep, environment_id))
    return sample


def keep(tx: Transaction, environment_id: str, names: str) -> Sample:
    """Keep folded names, one a line, for those who search later, and return them."""
    sample = Sample(names)
    tx.hints.put((keep, environment_id), sample)
    return sample
