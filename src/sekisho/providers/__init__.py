"""One folder per upstream: the dialects it speaks, its addresses, credentials, quirks, models and prices.

Belongs here: all that is true of one vendor. Folders do not import each other, except for `common` and `aws`, which are
no providers themselves; `assembly` finds the others by itself.
"""

from collections.abc import Sequence
from typing import Protocol

from sekisho.config.snapshot import Deployment
from sekisho.core.target import ProviderEnvironment, Target


class Provider(Protocol):
    """A provider folder: its package is the object."""

    @property
    def name(self) -> str:
        """The folder's name."""
        ...

    def claims(self, model: str) -> bool:
        """Whether a deployment's `model` is served here."""
        ...

    def resolve(self, deployment: Deployment, environment: ProviderEnvironment) -> Target:
        """The target of a deployment. Raises ConfigError for what cannot work."""
        ...

    async def detect_simulation(self, deployments: Sequence[Deployment]) -> bool:
        """Whether some of these deployments need credentials from this machine's surroundings and none are found."""
        ...
