"""Gives deployments whose configuration was changed a new start: who mends one must not wait for its next trial."""

from collections.abc import Mapping

from sekisho.core.target import Target
from sekisho.gateway.traffic import Traffic


class Waker:
    """Compares the targets of each new configuration with those before it."""

    def __init__(self, traffic: Traffic, targets: Mapping[str, Target]) -> None:
        self._traffic = traffic
        self._targets = targets

    def look(self, targets: Mapping[str, Target]) -> None:
        """Forget the rest of targets that are new under their id. What did not change has kept its target."""
        for identity, target in targets.items():
            if self._targets.get(identity) is not target:
                self._traffic.rests.wake(target.bucket, identity)
        self._targets = targets
