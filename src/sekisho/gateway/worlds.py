"""The configuration in use, rebuilt whenever what was added to it has changed.

The files of the configuration are read once, at the start. Models and fallbacks that are added through the admin API
lie in the database; every process looks at them again when somebody has changed something. A call keeps the world that
it began with.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from sekisho.config.added import add_to, find_objection, read_added
from sekisho.config.snapshot import Deployment, Snapshot
from sekisho.core.errors import ConfigError, InvalidRequest, StoreUnavailable
from sekisho.core.target import Target
from sekisho.gateway.roads import World
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
    """Keeps the world up to date.

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
        self._resolve = resolve
        self._environment = environment
        self._tell = tell
        self._added = _Additions()
        self._world = self._of_files = build_world(files, resolve)
        self._reported: dict[str, str] = {}
        self._reading = asyncio.Lock()
        self._stale = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    @property
    def world(self) -> World:
        """The world now."""
        return self._world

    @property
    def snapshot(self) -> Snapshot:
        """The configuration now, with all that was added."""
        return self._world.snapshot

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
            world = self._build(added)
            self._added, self._world = added, world
        self._report(added, world)
        self._tell(world.snapshot)

    def check(self, identity: str, entry: Mapping[str, Any]) -> None:
        """Refuse an entry (as of `model_list`) that cannot be added under this id, or not be called from here.

        Raises:
            InvalidRequest: saying what is wrong, and where.
        """
        try:
            if objection := find_objection(entry):
                raise InvalidRequest(objection.message, param=objection.field)
            self._resolve(self._read(identity, entry))
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
                targets[identity] = self._find_target(deployment)
                usable.append(deployment)
            except ConfigError as error:
                problems[identity] = error.message
            except Exception as error:  # noqa: BLE001  # one model that nobody foresaw must not keep the others away
                problems[identity] = f"it cannot be read ({type(error).__name__})"
        fallbacks = {each.model: each.fallback_models for each in added.fallbacks}
        return World(add_to(self.files, usable, fallbacks), targets, problems, models)

    def _find_target(self, deployment: Deployment) -> Target:
        before = self._world.targets.get(deployment.id)
        if before is not None and deployment in self._world.snapshot.groups.get(deployment.model_name, ()):
            return before
        return self._resolve(deployment)

    def _read(self, identity: str, entry: Mapping[str, Any]) -> Deployment:
        return read_added(identity, entry, self.files.deployment_defaults, self._environment)


def build_world(snapshot: Snapshot, resolve: Resolve) -> World:
    """The world of a snapshot: the targets of its deployments, and what keeps some of them from being called."""
    targets: dict[str, Target] = {}
    problems: dict[str, str] = {}
    for deployment in snapshot.deployments:
        try:
            targets[deployment.id] = resolve(deployment)
        except ConfigError as error:
            problems[deployment.id] = error.message
    return World(snapshot, targets, problems)
