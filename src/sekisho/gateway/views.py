"""The world as one call sees it: with the models that it names by a wildcard, and with its caller's own routing."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from msgspec import structs

from sekisho.config.overrides import apply_override
from sekisho.config.snapshot import Deployment, Snapshot
from sekisho.core.caller import Caller
from sekisho.core.errors import ConfigError
from sekisho.core.target import Target
from sekisho.gateway.roads import World
from sekisho.policy.naming import find_wildcard
from sekisho.policy.wildcards import expand

MOST_NAMED: Final = 500
"""Models that wildcards stand for at a time; clients choose their names, so there must be an end."""
_MOST_OVERRIDES: Final = 1_000


def widen(world: World, names: Iterable[str], resolve: Callable[[Deployment], Target]) -> World:
    """The world with a group of its own for each of these names that only a wildcard covers.

    A name that no provider can serve is left out, and so stays unknown.
    """
    snapshot = world.snapshot
    missing = {name: pattern for name in names if (pattern := find_wildcard(snapshot, name)) is not None}
    if not missing:
        return world
    groups, targets = dict(snapshot.groups), dict(world.targets)
    for name, pattern in missing.items():
        found: list[Deployment] = []
        for deployment in expand(snapshot, pattern, name):
            try:
                targets[deployment.id] = resolve(deployment)
                found.append(deployment)
            except ConfigError:
                continue
        if found:
            groups[name] = tuple(found)
    return structs.replace(world, snapshot=structs.replace(snapshot, groups=groups), targets=targets)


def names_in(routing: Mapping[str, Any]) -> set[str]:
    """The models that routing sends calls to, by the snapshot's fields."""
    kinds = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "budget_fallbacks")
    names = {name for kind in kinds for targets in routing.get(kind, {}).values() for name in targets}
    return names.union(routing.get("default_fallbacks", ()), routing.get("model_group_alias", {}).values())


def names_in_snapshot(snapshot: Snapshot) -> set[str]:
    """The models that the configuration itself sends calls to."""
    names = names_in({name: getattr(snapshot, name) for name in snapshot.__struct_fields__})
    return names if snapshot.default_model is None else {*names, snapshot.default_model}


class Overrides:
    """The worlds of callers with routing of their own, each made once for as long as the world stays the same."""

    def __init__(self) -> None:
        self._world: World | None = None
        self._made: dict[int, tuple[Mapping[str, Any], World]] = {}

    def apply(self, world: World, caller: Caller) -> World:
        """The world as this caller meets it, who has routing of its own."""
        if self._world is not world or len(self._made) >= _MOST_OVERRIDES:
            self._world, self._made = world, {}
        made = self._made.get(id(caller.routing))
        if made is None:  # the mapping is kept, too, so that no other can have its id
            own = structs.replace(world, snapshot=apply_override(world.snapshot, caller.routing))
            made = self._made[id(caller.routing)] = (caller.routing, own)
        return made[1]
