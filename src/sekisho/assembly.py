"""Build the application from a checked configuration: the only place where concrete classes of all rooms meet."""

import asyncio
import contextlib
import importlib
import os
import pkgutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import msgspec
from fastapi import FastAPI
from msgspec import Struct

from sekisho import __version__, dialects, providers
from sekisho.config.snapshot import Deployment, Finding, Snapshot
from sekisho.control.api.app import build_control
from sekisho.control.services.context import Services
from sekisho.core.caller import BudgetWindow, Scope
from sekisho.core.clock import Clock, SystemClock
from sekisho.core.durations import next_reset
from sekisho.core.errors import ConfigError, Conflict, StoreUnavailable
from sekisho.core.target import Counterpart, ProviderEnvironment, Target
from sekisho.core.wire import ClientDialect
from sekisho.gateway.app import Gateway
from sekisho.gateway.attachments import AttachmentFetcher
from sekisho.gateway.catalogue import Catalogue
from sekisho.gateway.continuity import Continuity
from sekisho.gateway.cooldowns import Cooldowns
from sekisho.gateway.exchange import Exchange, Receive, Send
from sekisho.gateway.exchange import Scope as AsgiScope
from sekisho.gateway.outbound import UpstreamAccess
from sekisho.gateway.relay import JSON
from sekisho.gateway.roads import World
from sekisho.gateway.serving import Rooms
from sekisho.gateway.thinking import ThinkingKeeper
from sekisho.gateway.upkeep import Upkeep
from sekisho.gateway.upstream import UpstreamClient
from sekisho.gateway.worlds import WorldKeeper, build_world
from sekisho.identity.authenticate import Identity
from sekisho.identity.keys import hash_key, mask_key
from sekisho.ledger.estimate import Estimator
from sekisho.ledger.ledger import Ledger
from sekisho.ledger.lessor import Lessor
from sekisho.ledger.rates import RateLimits
from sekisho.policy.access import may_use
from sekisho.providers import Provider
from sekisho.store.engine import Store, open_store
from sekisho.store.records import KeyRecord, UsageRow


class Settings(Struct, frozen=True, kw_only=True):
    """What an application is built from.

    spool: the folder where usage is written down until it is in the database. workers: how many processes serve the
    same callers, as far as is known here. counterpart: set when Bedrock is to be simulated.
    """

    snapshot: Snapshot
    master_key: str
    database_url: str
    spool: str | None = None
    workers: int = 1
    counterpart: Counterpart | None = None


_ALIVE = frozenset({"/health/liveliness", "/health/liveness"})
_PING_SECONDS = 2.0
_PURGE_SECONDS = 3600.0


class Application:
    """The whole gateway as one ASGI application: health, the model endpoints, and the admin API for the rest."""

    def __init__(
        self,
        gateway: Gateway,
        control: FastAPI,
        store: Store,
        identity: Identity,
        worlds: WorldKeeper,
        client: UpstreamClient,
        upkeep: Upkeep,
        purging: asyncio.Task[None],
    ) -> None:
        self._upkeep = upkeep
        self._purging = purging
        self._gateway = gateway
        self._control = control
        self._store = store
        self._identity = identity
        self._worlds = worlds
        self._client = client

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = scope["path"]
        if self._gateway.serves(path):
            await self._gateway(scope, receive, send)
        elif path in _ALIVE:
            await Exchange(scope, receive, send).answer(200, [JSON], b'"I\'m alive!"')
        elif path == "/health/readiness":
            await Exchange(scope, receive, send).answer(200, [JSON], await self._tell_readiness())
        else:
            await self._control(scope, receive, send)

    async def _tell_readiness(self) -> bytes:
        """Ready also without the database: known keys go on being served, and usage is written later."""
        database = "connected"
        try:
            async with asyncio.timeout(_PING_SECONDS):
                await self._store.ping()
        except (StoreUnavailable, TimeoutError):
            database = "disconnected"
        return msgspec.json.encode({"status": "healthy", "db": database, "sekisho_version": __version__})

    async def close(self) -> None:
        """Write what is still to be written, and free everything."""
        self._purging.cancel()
        await asyncio.gather(self._purging, return_exceptions=True)
        await self._upkeep.close()
        await self._client.close()
        await self._worlds.close()
        await self._identity.close()
        await self._store.close()


async def assemble(settings: Settings, clock: Clock | None = None) -> Application:
    """Build and start the application; to be closed in the same event loop. Raises ConfigError or StoreUnavailable."""
    clock = clock or SystemClock()
    store = await _open_store(settings, clock)
    installation = _limit_installation(settings.snapshot)
    identity = Identity(store, clock, settings.master_key, installation, settings.snapshot.access_groups)
    await identity.start()
    worlds = _keep_worlds(settings, clock, store, identity)
    await worlds.start()
    lessor = Lessor(store.escrow, clock)
    rates = RateLimits(clock, store.grants if _has_company(settings) else None)
    ledger = Ledger(clock, lessor, rates, settings.snapshot.budget_exceeded_status)
    store.journal.on_durable = partial(_confirm, ledger)
    upkeep = Upkeep(escrow=store.escrow, recovery=store.recovery, ledger=ledger, lessor=lessor, rates=rates)
    await upkeep.start()
    client = UpstreamClient()
    continuity = Continuity(store.responses, clock, settings.snapshot.response_retention)
    rooms = Rooms(
        clock=clock,
        world=lambda: worlds.world,
        identity=identity,
        ledger=ledger,
        rates=rates,
        estimator=Estimator(),
        access=UpstreamAccess(client, upstream_dialects(), Cooldowns(clock), Random()),  # noqa: S311  # chance, not secrecy
        attachments=AttachmentFetcher(),
        thinking=ThinkingKeeper(clock),
        continuity=continuity,
        journal=store.journal,
    )
    services = Services(
        store=store,
        identity=identity,
        clock=clock,
        catalogue=Catalogue(lambda: worlds.world),
        worlds=worlds,
        may_use=may_use,
        version=__version__,
    )
    purging = asyncio.create_task(_purge(continuity, store, settings.snapshot.usage_retention), name="purge")
    gateway = Gateway(rooms, client_dialects())
    return Application(gateway, build_control(services), store, identity, worlds, client, upkeep, purging)


def _keep_worlds(settings: Settings, clock: Clock, store: Store, identity: Identity) -> WorldKeeper:
    """The keeper of the configuration in use, which follows the changes that `identity` watches for."""
    environment = ProviderEnvironment(clock=clock, counterpart=settings.counterpart)
    worlds = WorldKeeper(
        settings.snapshot,
        store,
        partial(resolve_deployment, environment),
        os.environ,
        lambda snapshot: identity.use_groups(snapshot.access_groups),
    )
    identity.follow(worlds.doubt)
    return worlds


async def prepare_store(settings: Settings, clock: Clock, starter_key: str | None) -> None:
    """Bring the database up to date, once for all workers, and make sure that the starter key is in it."""
    store = await _open_store(settings, clock)
    try:
        if starter_key is not None:
            await _ensure_key(store, starter_key, clock.now())
    finally:
        await store.close()


async def _open_store(settings: Settings, clock: Clock) -> Store:
    return await open_store(settings.database_url, clock, spool=Path(settings.spool) if settings.spool else None)


def _has_company(settings: Settings) -> bool:
    """Whether other processes may serve the same callers: only a lone worker on SQLite knows that none does."""
    return settings.workers > 1 or settings.database_url.startswith("postgres")


def _limit_installation(snapshot: Snapshot) -> Scope:
    """The widest scope. All processes name its windows alike, since they are counted from the epoch."""
    budgets: tuple[BudgetWindow, ...] = ()
    if snapshot.max_budget is not None:
        duration = snapshot.budget_duration
        resets_at = None if duration is None else next_reset(duration, 0.0)
        budgets = (BudgetWindow(limit=snapshot.max_budget, duration=duration, resets_at=resets_at),)
    return Scope(kind="installation", id="all", budgets=budgets, max_parallel_requests=snapshot.max_parallel_requests)


async def _ensure_key(store: Store, key: str, now: float) -> None:
    """The starter key's record, if it is not there: a key without limits that belongs to nobody."""
    key_hash = hash_key(key)
    if await store.keys.get(key_hash) is None:
        record = KeyRecord(
            key_hash=key_hash,
            key_name=mask_key(key),
            account_id=key_hash,
            key_alias="starter",
            created_at=now,
            created_by="sekisho serve",
            updated_at=now,
        )
        with contextlib.suppress(Conflict):  # somebody gave this alias to a key of their own: theirs stays
            await store.keys.insert(record)


async def simulation_needed(snapshot: Snapshot) -> bool:
    """Whether some deployment needs credentials from this machine's surroundings and none are to be found."""
    for provider in _providers():
        served = [deployment for deployment in snapshot.deployments if provider.claims(deployment.model)]
        if await provider.detect_simulation(served):
            return True
    return False


def resolve(snapshot: Snapshot, environment: ProviderEnvironment) -> tuple[World, list[Finding]]:
    """The targets of all deployments, and what keeps some of them from being called."""
    world = build_world(snapshot, partial(resolve_deployment, environment))
    findings = [
        Finding(level="warning", where=deployment.where, message=world.problems[deployment.id])
        for deployment in snapshot.deployments
        if deployment.id in world.problems
    ]
    return world, findings


def resolve_deployment(environment: ProviderEnvironment, deployment: Deployment) -> Target:
    """Make a deployment ready to be called. Raises ConfigError for what cannot work."""
    if "*" in deployment.model_name:
        raise ConfigError(f"model_name '{deployment.model_name}': wildcards are not served yet")
    return _provider_of(deployment).resolve(deployment, environment)


async def _purge(continuity: Continuity, store: Store, usage_retention: float | None) -> None:
    """Forget what was kept for long enough, now and every hour."""
    while True:
        with contextlib.suppress(StoreUnavailable):  # the next round will do
            await continuity.purge()
            if usage_retention is not None:
                await store.retention.purge(usage_retention)
        await asyncio.sleep(_PURGE_SECONDS)


def _confirm(ledger: Ledger, calls: Sequence[tuple[UsageRow, Mapping[str, bool]]]) -> None:
    """Tell the ledger which settled amounts the store now knows of."""
    for row, booked in calls:
        for account, leased in booked.items():
            if leased and row.cost_nano:
                ledger.confirm(account, row.cost_nano)


def client_dialects() -> list[ClientDialect]:
    """The dialects that clients may speak: whoever adds a folder adds a dialect."""
    return [folder.client for folder in _folders(dialects) if hasattr(folder, "client")]


def upstream_dialects() -> dict[str, Any]:
    """The dialects that upstreams may speak, by name; of the three kinds in `core.wire`."""
    return {folder.name: folder.upstream for folder in _folders(dialects) if hasattr(folder, "upstream")}


def _providers() -> list[Provider]:
    return [folder for folder in _folders(providers) if hasattr(folder, "claims")]


def _provider_of(deployment: Deployment) -> Provider:
    for provider in _providers():
        if provider.claims(deployment.model):
            return provider
    known = ", ".join(provider.name for provider in _providers())
    raise ConfigError(
        f"no provider here serves '{deployment.model}' (there are: {known}); "
        f"calls to '{deployment.model_name}' do not reach this deployment"
    )


def _folders(package: ModuleType) -> list[Any]:
    """The packages in a package; what is in them is known only when they are there."""
    found = pkgutil.iter_modules(package.__path__)
    return [importlib.import_module(f"{package.__name__}.{module.name}") for module in found if module.ispkg]
