"""`python -m magents`."""

from magents.cli import run

run()
