"""`python -m tenantry`, the same as `tenantry`."""

from tenantry.cli import main

main()
