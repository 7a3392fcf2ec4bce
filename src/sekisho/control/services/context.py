"""What every service works with."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from msgspec import Struct

from sekisho.config.snapshot import Snapshot
from sekisho.core.caller import Caller
from sekisho.core.catalogue import ModelCatalogue
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


class Services(Struct, frozen=True, kw_only=True):
    """The rooms below, and whom to tell about changes.

    may_use: whether a caller may use a model name.
    on_change: called with the kind and the id of what an administrator changed, after the change is durable.
    """

    store: Store
    identity: Identity
    clock: Clock
    catalogue: ModelCatalogue
    worlds: Worlds
    may_use: Callable[[Caller, str], bool]
    version: str
    on_change: tuple[Callable[[str, str], None], ...] = ()

    def changed(self, kind: str, identity: str) -> None:
        """Let everyone in this process know of a change at once; other processes see the change counter."""
        self.identity.invalidate()
        for tell in self.on_change:
            tell(kind, identity)
