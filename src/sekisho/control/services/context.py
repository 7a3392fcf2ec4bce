"""What every service works with."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from sekisho.config.snapshot import Finding, Snapshot
from sekisho.control.services.fields import Present
from sekisho.core.caller import Caller
from sekisho.core.catalogue import DeploymentHealth, ModelCatalogue
from sekisho.core.clock import Clock
from sekisho.identity.authenticate import Identity
from sekisho.store.engine import Store


class Worlds(Protocol):
    """What keeps the configuration in use up to date with what is added to it."""

    @property
    def files(self) -> Snapshot:
        """What the files of the configuration say."""
        ...

    @property
    def snapshot(self) -> Snapshot:
        """The configuration now, with all that was added."""
        ...

    def check(self, identity: str, entry: Mapping[str, Any]) -> None:
        """Refuse an entry as of `model_list` that cannot be added under this id. Raises InvalidRequest."""
        ...

    async def refresh(self) -> None:
        """Let what has just been added count in this process. Raises StoreUnavailable."""
        ...


class Reload(Protocol):
    """What came of reading the configuration anew."""

    @property
    def changed(self) -> bool:
        """Whether anything is different now."""
        ...

    @property
    def findings(self) -> Sequence[Finding]:
        """What is worth knowing of the files."""
        ...


class Reloads(Protocol):
    """What reads the files of the configuration anew."""

    async def reload(self) -> Reload:
        """Read, check and use them. Raises ConfigError, and then what was in use stays in use."""
        ...


class Health(Protocol):
    """What checks deployments."""

    async def find(self, model: str | None = None, deployment_id: str | None = None) -> Sequence[DeploymentHealth]:
        """The health of all deployments, of those of one model, or of one."""
        ...


class Services(Struct, frozen=True, kw_only=True):
    """The rooms below.

    may_use: whether a caller may use a model name.
    """

    store: Store
    identity: Identity
    clock: Clock
    catalogue: ModelCatalogue
    worlds: Worlds
    reloader: Reloads
    health: Health
    may_use: Callable[[Caller, str], bool]
    version: str

    def present(self) -> Present:
        """When a request is made, and on whose clock its budget windows end unless it says so."""
        files = self.worlds.files
        return Present(self.clock.now(), files.timezone, files.budget_rollover)
