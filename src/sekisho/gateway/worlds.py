"""The configuration in use, rebuilt whenever what was added to it has changed.

The files of the configuration are read at the start, and again when somebody asks for it. Models and fallbacks that are
added through the admin API lie in the database; every process looks at them again when somebody has changed something.
A call keeps the world that it began with.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from sekisho.config.added import add_to, find_objection, read_added
from sekisho.config.snapshot import Deployment, Snapshot
from sekisho.core.caller import Caller
from sekisho.core.errors import ConfigError, InvalidRequest, StoreUnavailable
from sekisho.core.target import Target
from sekisho.gateway.roads import World
from sekisho.gateway.views import MOST_NAMED, Overrides, names_in, names_in_snapshot, widen
from sekisho.policy.wildcards import ANY
from sekisho.store.engine import Store
from sekisho.store.records import AddedFallbacks, AddedModel
from sekisho.telemetry.log import log_unusable_model

Resolve = Callable[[Deployment], Target]
"""Makes a deployment ready to be called. Raises ConfigError for what cannot work."""

_RETRY_SECONDS = 0.5


class _Additions(Struct, frozen=True):
    """What is in the database."""

    models: tuple[AddedModel, ...] = ()
    fallbacks: tuple[AddedFallbacks, ...] = ()


class WorldKeeper:
    """Keeps the world up to date; `world` is the one now.

    Args:
        files: what the files of the configuration say.
        store: where models and fallbacks are added.
        resolve: makes a deployment ready to be called.
        environment: the variables that added models may name.
        tell: called with each new snapshot.
    """

    def __init__(
        self,
        files: Snapshot,
        store: Store,
        resolve: Resolve,
        environment: Mapping[str, str],
        tell: Callable[[Snapshot], None],
    ) -> None:
        self.files = files
        self._store = store
        self.resolve = resolve
        self._environment = environment
        self._followers = [tell]
        self._added = _Additions()
        self.world = self._base = self._of_files = build_world(files, resolve)
        self._overrides = Overrides()
        self._reported: dict[str, str] = {}
        self._reading = asyncio.Lock()
        self._stale = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    @property
    def snapshot(self) -> Snapshot:
        """The configuration now, with all that was added."""
        return self.world.snapshot

    def view(self, world: World, caller: Caller, asked: Iterable[str | None]) -> World:
        """The world as a call sees it that began in `world` and names these models."""
        snapshot = world.snapshot
        if snapshot.wildcards:
            names = {name for name in asked if name is not None}
            names |= {caller.aliases[name] for name in names if name in caller.aliases} | names_in(caller.routing)
            if new := names - snapshot.groups.keys():
                world = self._widen(world, new)
        return self._overrides.apply(world, caller) if caller.routing else world

    def follow(self, tell: Callable[[Snapshot], None]) -> None:
        """Have `tell` called with each new snapshot, too."""
        self._followers.append(tell)

    async def start(self) -> None:
        """Read what was added, and follow changes from now on. Raises StoreUnavailable."""
        await self.refresh()
        self._following = asyncio.create_task(self._follow(), name="world-keeper")

    async def close(self) -> None:
        """Follow no longer."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    def doubt(self) -> None:
        """Look soon at what is in the database: somebody has changed something."""
        self._stale.set()

    async def refresh(self) -> None:
        """Look now. Raises StoreUnavailable, and then the world stays as it is."""
        async with self._reading:
            models, fallbacks = await self._store.models.find(), await self._store.fallbacks.find()
            added = _Additions(tuple(models), tuple(fallbacks))
            if added == self._added:
                return
            world = self._base = self._build(added)
            self._added, self.world = added, self._rename(world)
        self._report(added, world)
        self._tell()

    def adopt(self, files: Snapshot) -> bool:
        """Let other files of the configuration count from now on; whether they say anything else.

        What is in them as it was keeps its target, and so its credentials.
        """
        if files == self.files:
            return False
        of_files = build_world(files, self._find_target)
        self.files, self._of_files = files, of_files
        world = self._base = self._build(self._added)
        self.world = self._rename(world)
        self._report(self._added, world)
        for deployment_id, problem in of_files.problems.items():
            log_unusable_model(deployment_id, problem)
        self._tell()
        return True

    def check(self, identity: str, entry: Mapping[str, Any]) -> None:
        """Refuse an entry (as of `model_list`) that cannot be added under this id, or not be called from here.

        Raises:
            InvalidRequest: saying what is wrong, and where.
        """
        try:
            if objection := find_objection(entry):
                raise InvalidRequest(objection.message, param=objection.field)
            _add_target({}, self._read(identity, entry), self.resolve)
        except ConfigError as error:
            raise InvalidRequest(f"This model cannot be called: {error.message}") from error

    def _report(self, added: _Additions, world: World) -> None:
        """Log what keeps added models from being called, once."""
        problems: dict[str, str] = {}
        for identity in (model.model_id for model in added.models):
            if identity not in world.added:
                problems[identity] = "a model of the configuration file has its id, and counts; delete one of them"
            elif identity in world.problems:
                problems[identity] = world.problems[identity]
        for identity, problem in problems.items():
            if self._reported.get(identity) != problem:
                log_unusable_model(identity, problem)
        self._reported = problems

    def _tell(self) -> None:
        for tell in self._followers:
            tell(self.snapshot)

    async def _follow(self) -> None:
        while True:
            await self._stale.wait()
            self._stale.clear()
            try:
                await self.refresh()
            except StoreUnavailable:
                self._stale.set()
                await asyncio.sleep(_RETRY_SECONDS)

    def _build(self, added: _Additions) -> World:
        """The world of the files with what was added. What is as it was keeps its target, and so its credentials."""
        targets, problems = dict(self._of_files.targets), dict(self._of_files.problems)
        of_files = {deployment.id for deployment in self.files.deployments}
        models = {model.model_id: model for model in added.models if model.model_id not in of_files}
        usable: list[Deployment] = []
        for identity, model in models.items():
            try:
                deployment = self._read(identity, model.entry())
                _add_target(targets, deployment, self._find_target)
                usable.append(deployment)
            except ConfigError as error:
                problems[identity] = error.message
            except Exception as error:  # noqa: BLE001  # one model that nobody foresaw must not keep the others away
                problems[identity] = f"it cannot be read ({type(error).__name__})"
        fallbacks = {each.model: each.fallback_models for each in added.fallbacks}
        world = World(add_to(self.files, usable, fallbacks), targets, problems, models)
        return widen(world, names_in_snapshot(world.snapshot), self._find_target)

    def _widen(self, world: World, names: Iterable[str]) -> World:
        """The world with these names that wildcards stand for; the next call will find them there."""
        current = world is self.world
        named = len(world.snapshot.groups) - len(self._base.snapshot.groups)
        wider = widen(self._base if current and named >= MOST_NAMED else world, names, self._find_target)
        if current:
            self.world = wider
        return wider

    def _rename(self, world: World) -> World:
        """A new world with the names that wildcards stood for in the one before."""
        return widen(world, self.world.snapshot.groups, self._find_target)

    def _find_target(self, deployment: Deployment) -> Target:
        before = self.world.targets.get(deployment.id)
        group = self.world.snapshot.groups.get(deployment.model_name, ())
        if before is not None and any(_is_same_target(deployment, known) for known in group):
            return before
        return self.resolve(deployment)

    def _read(self, identity: str, entry: Mapping[str, Any]) -> Deployment:
        return read_added(identity, entry, self.files.deployment_defaults, self._environment)


def _add_target(targets: dict[str, Target], deployment: Deployment, resolve: Resolve) -> None:
    """Add what a deployment is called by; of a wildcard only see that it can be. Raises ConfigError."""
    if ANY not in deployment.model_name:
        targets[deployment.id] = resolve(deployment)
    elif deployment.model != ANY:  # the models that it stands for are called, each by itself
        resolve(deployment)


def _is_same_target(one: Deployment, other: Deployment) -> bool:
    """Whether two deployments are the same but for the line that they stand in."""
    return one == other or replace(one, where=other.where) == other


def build_world(snapshot: Snapshot, resolve: Resolve) -> World:
    """The world of a snapshot: the targets of its deployments, and what keeps some of them from being called."""
    targets: dict[str, Target] = {}
    problems: dict[str, str] = {}
    for deployment in snapshot.deployments:
        try:
            _add_target(targets, deployment, resolve)
        except ConfigError as error:
            problems[deployment.id] = error.message
    return widen(World(snapshot, targets, problems), names_in_snapshot(snapshot), resolve)
