"""What is worked out once for the scopes of a caller, and used for all of its calls."""

from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from sekisho.core.caller import Scope

Plan = TypeVar("Plan")

_REMEMBERED: Final = 10_000


class Plans(Generic[Plan]):
    """Plans for calls to a model group, by the very object that a caller's scopes are: it stays until they change."""

    def __init__(self, make: Callable[[Sequence[Scope], str], Plan]) -> None:
        self._make = make
        self._known: dict[tuple[int, str], tuple[Sequence[Scope], Plan]] = {}

    def get(self, scopes: Sequence[Scope], group: str) -> Plan:
        """The plan, as it was made before if it was."""
        try:
            return self._known[id(scopes), group][1]
        except KeyError:
            return self.renew(scopes, group)

    def renew(self, scopes: Sequence[Scope], group: str) -> Plan:
        """Make the plan anew. It keeps the scopes, so that no others can come to have their identity."""
        if len(self._known) >= _REMEMBERED:
            del self._known[next(iter(self._known))]
        plan = self._make(scopes, group)
        self._known[id(scopes), group] = (scopes, plan)
        return plan

    def items(self) -> list[tuple[Sequence[Scope], str, Plan]]:
        """All plans, with the scopes and the group that they are for."""
        return [(scopes, group, plan) for (_, group), (scopes, plan) in self._known.items()]

    def forget(self) -> None:
        """Forget all plans."""
        self._known.clear()
