"""What all calls have in common that one caller makes for one model, worked out with the first of them."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

from msgspec import Struct

from sekisho.core.caller import Caller
from sekisho.core.chat import ClientCall
from sekisho.core.target import Errand, Sender
from sekisho.core.wire import Operation
from sekisho.gateway.limits import RawHeaders, tell_limits
from sekisho.gateway.networks import Network
from sekisho.gateway.roads import World
from sekisho.http.failures import Timeouts
from sekisho.ledger.rates import RateLimits
from sekisho.policy.naming import ChosenModel, choose_model
from sekisho.store.records import UsageCaller, UsageRoad

View = Callable[[World, Caller, Iterable[str | None]], World]
"""Gives a world as a call of some caller sees it that names some models."""

_MOST_STANDINGS: Final = 4_000


class Manner(Struct, frozen=True):
    """How requests of one kind are put to one target.

    dialect: the one to speak, by its name and itself; familiar: whether it is of the client's own family.
    drop_params: what the configuration says of it. timeouts: of one attempt.
    """

    errand: Errand
    dialect: Any
    familiar: bool
    drop_params: bool
    timeouts: Timeouts


class Standing(Struct, frozen=True):
    """What is the same for all calls of a caller for a model.

    world: the configuration as they see it. billed: the caller as usage rows name it. sender, notes: as upstreams are
    told of it, and as is noted in their logs. tell_limits: the headers that say how much the caller may still do.
    watched: whether a soft budget is to be looked at after calls.
    networks: where calls may go that have no tags and wishes of their own, by group and operation.
    manners: how requests are put to targets of this world, by their identity, the client's family of formats, what is
        asked, and whether a stream is wanted.
    roads: as usage rows name them, by the target's identity, the kind of call, the group and the price's version.
    """

    caller: Caller
    world: World
    model: ChosenModel
    owner: str
    billed: UsageCaller
    sender: Sender
    notes: Mapping[str, str]
    tell_limits: Callable[[], RawHeaders]
    watched: bool
    networks: dict[tuple[str, Operation], Network]
    manners: dict[tuple[int, str, Operation, bool], Manner]
    roads: dict[tuple[int, str, str | None, str | None], UsageRoad]


class Standings:
    """The standings of calls, each made once for as long as the world stays the same."""

    def __init__(self, view: View, rates: RateLimits) -> None:
        self._view = view
        self._rates = rates
        self._world: World | None = None
        self._made: dict[tuple[int, str | None], Standing] = {}

    def find(self, world: World, caller: Caller, call: ClientCall) -> Standing:
        """The standing of a call that began in this world. Raises InvalidRequest, UnknownModel or AccessDenied."""
        if call.fallbacks is not None:
            return self._make(world, caller, call)
        if self._world is not world:
            self._world, self._made = world, {}
        key = (id(caller), call.model)  # callers stay the same objects until something about them changes
        made = self._made.get(key)
        if made is None:  # the caller is kept, too, so that no other can have its id
            if len(self._made) >= _MOST_STANDINGS:
                self._made.clear()
            made = self._made[key] = self._make(world, caller, call)
        return made

    def _make(self, world: World, caller: Caller, call: ClientCall) -> Standing:
        world = self._view(world, caller, (call.model, *(call.fallbacks or ())))
        model = choose_model(world.snapshot, caller, call.model)
        sender = Sender(
            user_id=caller.user_id,
            team_id=caller.team_id,
            organization_id=caller.organization_id,
            key_alias=caller.key_alias,
        )
        notes = {"user": caller.user_id, "team": caller.team_id}
        return Standing(
            caller=caller,
            world=world,
            model=model,
            owner=caller.owner,
            billed=name_caller(caller),
            sender=sender,
            notes={name: value for name, value in notes.items() if value is not None},
            tell_limits=partial(tell_limits, self._rates, caller.scopes, model.group),
            watched=any(scope.soft_budget is not None for scope in caller.scopes),
            networks={},
            manners={},
            roads={},
        )


def name_caller(caller: Caller | None) -> UsageCaller:
    """The caller as usage rows name it."""
    if caller is None:
        return UsageCaller()
    return UsageCaller(
        caller.key_hash, caller.key_alias, caller.user_id, caller.team_id, caller.organization_id, caller.project_id
    )
