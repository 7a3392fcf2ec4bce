"""Other gateways, measured in the same run: a module each, which finds one and has it serve the cheap upstream.

A module has `find(folder)`, which returns a `Rival`, or None where it is not installed. Its docstring says how it is
installed. What is switched on in it is what it has of limits and budgets without further services.
"""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.rivals import ferrogw, litellm, nginx, portkey, tensorzero
from benchmarks.rivals.rival import Rival


def find_rivals(folder: Path) -> Iterator[Rival]:
    """Those that are installed, on this machine or in `folder`, the leanest first."""
    for module in (nginx, tensorzero, ferrogw, portkey, litellm):
        if (rival := module.find(folder)) is not None:
            yield rival
