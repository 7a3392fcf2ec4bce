"""What every service works with."""

from collections.abc import Callable

from msgspec import Struct

from sekisho.core.caller import Caller, ScopeKind
from sekisho.core.catalogue import ModelCatalogue
from sekisho.core.clock import Clock
from sekisho.identity.authenticate import Identity
from sekisho.store.engine import Store


class Services(Struct, frozen=True, kw_only=True):
    """The rooms below, and whom to tell about changes.

    may_use: whether a caller may use a model name.
    on_change: called with the kind and the id of what an administrator changed, after the change is durable.
    """

    store: Store
    identity: Identity
    clock: Clock
    catalogue: ModelCatalogue
    may_use: Callable[[Caller, str], bool]
    version: str
    on_change: tuple[Callable[[ScopeKind, str], None], ...] = ()

    def changed(self, kind: ScopeKind, identity: str) -> None:
        """Let everyone in this process know of a change at once; other processes see the change counter."""
        self.identity.invalidate()
        for tell in self.on_change:
            tell(kind, identity)
