"""How often Python looks for objects that only refer to each other.

Counting references frees nearly everything a call leaves behind. What remains for the collector are cycles, mostly of
exceptions and their tracebacks; with Python's own settings, looking for them took 7 % of the gateway's CPU time.
"""

import gc
from typing import Final

_NEW_OBJECTS: Final = 5_000
"""So many more containers made than freed until it looks: some milliseconds' work, and no more than some hundreds of
calls could have left in cycles, so that memory stays bounded."""


def collect_nothing() -> None:
    """While starting, when everything that is made will stay."""
    gc.disable()


def collect_seldom() -> None:
    """From now on, among what is made from now on. To be called when all that stays as long as the process is there.

    The few thousand objects in cycles that a start leaves behind stay, too: to find them takes longer than they are
    worth.
    """
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])
    gc.enable()
