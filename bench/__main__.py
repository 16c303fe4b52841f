"""`python -m bench`: what can be measured."""

import click

from bench.audit import audit
from bench.compare import compare
from bench.deliveries import deliveries
from bench.domains import domains
from bench.events import events
from bench.imports import imports
from bench.lab import lab
from bench.organizations import organizations
from bench.profile import profile
from bench.scale import scale
from bench.versus import versus
from bench.workers import workers


@click.group()
def main() -> None:
    """Measure a server of its own on both engines; write tables to bench/results/."""


for command in (
    *(organizations, compare, events, deliveries, domains, audit, lab, imports),
    *(profile, scale, versus, workers),
):
    main.add_command(command)

if __name__ == "__main__":
    main()
