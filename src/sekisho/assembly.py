"""Build the application from a checked configuration: the only place where concrete classes of all rooms meet."""

import asyncio
import contextlib
import importlib
import os
import pkgutil
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import msgspec
from msgspec import Struct, field

from sekisho import __version__, dialects, providers
from sekisho.config.loader import DEFAULT_FILE
from sekisho.config.snapshot import Deployment, Finding, Snapshot
from sekisho.control.deferred import DeferredControl
from sekisho.control.services.context import Services
from sekisho.core.clock import Clock, SystemClock
from sekisho.core.errors import ConfigError, StoreUnavailable
from sekisho.core.ids import new_id
from sekisho.core.target import Counterpart, ProviderEnvironment, Target
from sekisho.core.wire import ClientDialect
from sekisho.gateway.alerts import SoftBudgets
from sekisho.gateway.app import Gateway
from sekisho.gateway.attachments import AttachmentFetcher
from sekisho.gateway.catalogue import Catalogue
from sekisho.gateway.continuity import Continuity
from sekisho.gateway.discovery import Discoverer
from sekisho.gateway.exchange import Exchange
from sekisho.gateway.health import HealthChecks
from sekisho.gateway.observing import METRICS_PATHS, MetricsPage, post_by
from sekisho.gateway.outbound import UpstreamAccess
from sekisho.gateway.queueing import Queue
from sekisho.gateway.relay import JSON
from sekisho.gateway.reloading import Reloader
from sekisho.gateway.roads import World
from sekisho.gateway.sharing import Sharing
from sekisho.gateway.standing import Standings
from sekisho.gateway.thinking import ThinkingKeeper
from sekisho.gateway.traffic import Traffic
from sekisho.gateway.upkeep import Upkeep
from sekisho.gateway.waking import Waker
from sekisho.gateway.work import Rooms
from sekisho.gateway.worlds import WorldKeeper, build_world
from sekisho.http.asgi import Receive, Send
from sekisho.http.asgi import Scope as AsgiScope
from sekisho.http.client import UpstreamClient
from sekisho.identity.authenticate import Identity
from sekisho.identity.preparing import ensure_key, find_absent_budget
from sekisho.ledger.estimate import Estimator
from sekisho.ledger.ledger import Ledger
from sekisho.ledger.lessor import Lessor
from sekisho.ledger.rates import RateLimits
from sekisho.policy.access import may_use
from sekisho.providers import Provider
from sekisho.store.engine import Store, open_store
from sekisho.telemetry.counts import open_counts
from sekisho.telemetry.destinations import read_export
from sekisho.telemetry.exporter import Exporter
from sekisho.telemetry.log import log_untraced
from sekisho.telemetry.metrics import Metrics
from sekisho.telemetry.spans import SpanWriter
from sekisho.telemetry.telling import Telemetry


class Settings(Struct, frozen=True, kw_only=True):
    """What an application is built from.

    config: the file that the snapshot was read from, which a reload reads again; None for the built-in one.
    spool: the folder where usage is written down until it is in the database. workers: how many processes serve the
    same callers, as far as is known here. counterpart: set when Bedrock is to be simulated. run: what tells the workers
    of one gateway from those of any other, before and after it.
    """

    snapshot: Snapshot
    master_key: str
    database_url: str
    config: str | None = None
    spool: str | None = None
    workers: int = 1
    counterpart: Counterpart | None = None
    run: str = field(default_factory=lambda: new_id(SystemClock().now()))


_ALIVE = frozenset({"/health/liveliness", "/health/liveness"})
_PING_SECONDS = 2.0
_PURGE_SECONDS = 3600.0


class Application:
    """The whole gateway as one ASGI application: health, the model endpoints, and the admin API for the rest."""

    def __init__(
        self,
        gateway: Gateway,
        control: DeferredControl,
        store: Store,
        identity: Identity,
        worlds: WorldKeeper,
        client: UpstreamClient,
        upkeep: Upkeep,
        purging: asyncio.Task[None],
        reloader: Reloader,
        health: HealthChecks,
        discoverer: Discoverer,
        sharing: Sharing,
        telemetry: Telemetry,
        metrics: MetricsPage,
    ) -> None:
        self._discoverer = discoverer
        self._sharing = sharing
        self.reloader = reloader
        self._health = health
        self._telemetry = telemetry
        self._metrics = metrics
        self._upkeep = upkeep
        self._purging = purging
        self._gateway = gateway
        self._control = control
        self._store = store
        self._identity = identity
        self._worlds = worlds
        self._client = client

    def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> Coroutine[None, None, None]:
        """Serve one request."""
        path = scope["path"]
        return self._gateway.serve(path, scope) or self._serve_others(path, scope, receive, send)

    async def _serve_others(self, path: str, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Serve what is no call to a model."""
        if path in _ALIVE:
            Exchange(scope).answer(200, [JSON], b'"I\'m alive!"')
        elif path in METRICS_PATHS:
            await self._metrics.answer(Exchange(scope))
        elif path == "/health/readiness":
            Exchange(scope).answer(200, [JSON], await self._tell_readiness())
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
        await self._health.close()
        await self._discoverer.close()
        await self._sharing.close()
        await self._upkeep.close()
        await self._telemetry.close()
        await self._client.close()
        await self._worlds.close()
        await self._identity.close()
        await self._store.close()


async def assemble(
    settings: Settings, clock: Clock | None = None, spread: Callable[[], None] | None = None
) -> Application:
    """Build and start the application; to be closed in the same event loop. Raises ConfigError or StoreUnavailable.

    `spread` is called when this process has read its configuration anew, so that others on the machine do so, too.
    """
    clock = clock or SystemClock()
    store = await _open_store(settings, clock)
    snapshot = settings.snapshot
    identity = Identity(store, clock, settings.master_key, snapshot.installation, snapshot.access_groups)
    identity.use_defaults(snapshot)
    await identity.start()
    lessor = Lessor(store.escrow, clock)
    rates = RateLimits(clock, store.grants if _has_company(settings) else None)
    ledger = Ledger(clock, lessor, rates, settings.snapshot.budget_exceeded_status)
    store.journal.on_durable = partial(confirm_booked, ledger)
    soft_budgets = SoftBudgets(store.alerts, store.journal)
    upkeep = Upkeep(
        clock=clock,
        escrow=store.escrow,
        recovery=store.recovery,
        ledger=ledger,
        lessor=lessor,
        rates=rates,
        soft_budgets=soft_budgets,
    )
    await upkeep.start()
    client = UpstreamClient()
    telemetry = _open_telemetry(settings, client)
    telemetry.start()
    continuity = Continuity(store.responses, clock, settings.snapshot.response_retention)
    traffic = Traffic(clock)
    discoverer, queue = Discoverer(traffic), Queue(traffic)
    sharing = Sharing(traffic, queue, store.roads, clock)
    if _has_company(settings):
        sharing.start()
    worlds = _keep_worlds(settings, clock, store, partial(_follow_settings, identity, ledger, continuity, discoverer))
    identity.follow(worlds.doubt)
    await worlds.start()
    discoverer.start(lambda: worlds.world)
    reloader = Reloader(Path(settings.config) if settings.config else DEFAULT_FILE, worlds, spread)
    rooms = Rooms(
        clock=clock,
        world=lambda: worlds.world,
        standings=Standings(worlds.view, rates),
        identity=identity,
        ledger=ledger,
        estimator=Estimator(),
        access=UpstreamAccess(client, upstream_dialects(), traffic, queue, Random()),  # noqa: S311  # chance, not secrecy
        attachments=AttachmentFetcher(),
        thinking=ThinkingKeeper(clock),
        continuity=continuity,
        journal=store.journal,
        soft_budgets=soft_budgets,
        telemetry=telemetry,
    )
    health = HealthChecks(rooms, client_dialects(), settings.master_key, worlds.resolve)
    worlds.follow(lambda _snapshot: health.doubt())
    waker = Waker(traffic, worlds.world.targets)
    worlds.follow(lambda _snapshot: waker.look(worlds.world.targets))
    health.start()
    services = Services(
        store=store,
        identity=identity,
        clock=clock,
        catalogue=Catalogue(lambda: worlds.world, traffic),
        worlds=worlds,
        reloader=reloader,
        health=health,
        may_use=may_use,
        version=__version__,
    )
    purging = asyncio.create_task(_purge(continuity, store, worlds), name="purge")
    gateway = Gateway(rooms, client_dialects())
    metrics = MetricsPage(telemetry, identity, lambda: worlds.world.snapshot.metrics_need_key)
    return Application(
        gateway,
        DeferredControl(services),
        store,
        identity,
        worlds,
        client,
        upkeep,
        purging,
        reloader,
        health,
        discoverer,
        sharing,
        telemetry,
        metrics,
    )


def _open_telemetry(settings: Settings, client: UpstreamClient) -> Telemetry:
    """Metrics that all workers of this machine share, and the destinations of spans that the environment names."""
    folder = Path(settings.spool).with_name("metrics") if settings.spool else None
    metrics = Metrics(open_counts(folder, settings.run))
    export = read_export(settings.snapshot.callbacks, os.environ, __version__)
    for problem in export.problems:
        log_untraced(problem)
    post = post_by(client)
    exporters = [Exporter(one, export, __version__, post, metrics) for one in export.destinations]
    return Telemetry(metrics, exporters, SpanWriter(export.environment))


def _keep_worlds(settings: Settings, clock: Clock, store: Store, tell: Callable[[Snapshot], None]) -> WorldKeeper:
    """The keeper of the configuration in use; `tell` is called with each new one."""
    environment = ProviderEnvironment(clock=clock, counterpart=settings.counterpart)
    return WorldKeeper(settings.snapshot, store, partial(resolve_deployment, environment), os.environ, tell)


def _follow_settings(
    identity: Identity, ledger: Ledger, continuity: Continuity, discoverer: Discoverer, snapshot: Snapshot
) -> None:
    """Let what was told at the start count as the configuration has it now."""
    discoverer.doubt()
    identity.use_groups(snapshot.access_groups)
    identity.use_installation(snapshot.installation)
    identity.use_defaults(snapshot)
    ledger.budget_status = snapshot.budget_exceeded_status
    continuity.retention_seconds = snapshot.response_retention


async def prepare_store(settings: Settings, clock: Clock, starter_key: str | None) -> None:
    """Bring the database up to date, once for all workers, with the starter key in it."""
    store = await _open_store(settings, clock)
    try:
        if starter_key is not None:
            await ensure_key(store, starter_key, clock.now())
        await find_absent_budget(store, settings.snapshot.end_user_budget_id)
    finally:
        await store.close()


async def _open_store(settings: Settings, clock: Clock) -> Store:
    return await open_store(settings.database_url, clock, spool=Path(settings.spool) if settings.spool else None)


def _has_company(settings: Settings) -> bool:
    """Whether other processes may serve the same callers: only a lone worker on SQLite knows that none does."""
    return settings.workers > 1 or settings.database_url.startswith("postgres")


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
    return _provider_of(deployment).resolve(deployment, environment)


async def _purge(continuity: Continuity, store: Store, worlds: WorldKeeper) -> None:
    """Forget what was kept for long enough, now and every hour."""
    while True:
        with contextlib.suppress(StoreUnavailable):  # the next round will do
            await continuity.purge()
            await store.retention.purge_accounts()
            if (retention := worlds.snapshot.usage_retention) is not None:
                await store.retention.purge(retention)
        await asyncio.sleep(_PURGE_SECONDS)


def confirm_booked(ledger: Ledger, amounts: Mapping[str, int]) -> None:
    """Tell the ledger which settled amounts the store now knows of."""
    for account, amount in amounts.items():
        ledger.confirm(account, amount)


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
