"""Build the application from a checked configuration: the only place where concrete classes of all rooms meet."""

import asyncio
import contextlib
import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from functools import partial
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
from sekisho.core.catalogue import ModelEntry
from sekisho.core.clock import Clock, SystemClock
from sekisho.core.errors import ConfigError, Conflict, StoreUnavailable
from sekisho.core.target import Counterpart, ProviderEnvironment, Target
from sekisho.core.wire import ClientDialect
from sekisho.gateway.app import Gateway
from sekisho.gateway.attachments import AttachmentFetcher
from sekisho.gateway.continuity import Continuity
from sekisho.gateway.cooldowns import Cooldowns
from sekisho.gateway.exchange import Exchange, Receive, Scope, Send
from sekisho.gateway.outbound import UpstreamAccess
from sekisho.gateway.relay import JSON
from sekisho.gateway.roads import World
from sekisho.gateway.serving import Rooms
from sekisho.gateway.thinking import ThinkingKeeper
from sekisho.gateway.upstream import UpstreamClient
from sekisho.identity.authenticate import Identity
from sekisho.identity.keys import hash_key, mask_key
from sekisho.ledger.estimate import Estimator
from sekisho.ledger.ledger import Ledger
from sekisho.policy.access import may_use
from sekisho.providers import Provider
from sekisho.store.engine import Store, open_store
from sekisho.store.records import KeyRecord, UsageRow


class Settings(Struct, frozen=True, kw_only=True):
    """What an application is built from. `counterpart` is set when Bedrock is to be simulated."""

    snapshot: Snapshot
    master_key: str
    database_url: str
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
        client: UpstreamClient,
        purging: asyncio.Task[None],
    ) -> None:
        self._purging = purging
        self._gateway = gateway
        self._control = control
        self._store = store
        self._identity = identity
        self._client = client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
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
        await self._client.close()
        await self._identity.close()
        await self._store.close()


async def assemble(settings: Settings, clock: Clock | None = None) -> Application:
    """Build and start the application; to be closed in the same event loop. Raises ConfigError or StoreUnavailable."""
    clock = clock or SystemClock()
    world, _ = resolve(settings.snapshot, ProviderEnvironment(clock=clock, counterpart=settings.counterpart))
    store = await open_store(settings.database_url, clock)
    identity = Identity(store, clock, settings.master_key)
    await identity.start()
    ledger = Ledger(clock, settings.snapshot.budget_exceeded_status)
    store.journal.on_durable = partial(_confirm, ledger)
    client = UpstreamClient()
    continuity = Continuity(store.responses, clock, settings.snapshot.response_retention)
    rooms = Rooms(
        clock=clock,
        world=lambda: world,
        identity=identity,
        ledger=ledger,
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
        catalogue=Catalogue(world),
        may_use=may_use,
        version=__version__,
    )
    purging = asyncio.create_task(_purge(continuity), name="purge-kept-responses")
    return Application(Gateway(rooms, client_dialects()), build_control(services), store, identity, client, purging)


async def prepare_store(database_url: str, clock: Clock, starter_key: str | None) -> None:
    """Bring the database up to date, once for all workers, and make sure that the starter key is in it."""
    store = await open_store(database_url, clock)
    try:
        if starter_key is not None:
            await _ensure_key(store, starter_key, clock.now())
    finally:
        await store.close()


async def _ensure_key(store: Store, key: str, now: float) -> None:
    """The starter key's record, if it is not there: a key without limits that belongs to nobody."""
    key_hash = hash_key(key)
    if await store.keys.get(key_hash) is None:
        record = KeyRecord(
            key_hash=key_hash,
            key_name=mask_key(key),
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
    """The targets of all deployments, and what keeps some deployments from being called."""
    targets: dict[str, Target] = {}
    findings: list[Finding] = []
    for deployment in snapshot.deployments:
        try:
            if "*" in deployment.model_name:
                raise ConfigError(f"model_name '{deployment.model_name}': wildcards are not served yet")
            targets[deployment.id] = _provider_of(deployment).resolve(deployment, environment)
        except ConfigError as error:
            findings.append(Finding(level="warning", where=deployment.where, message=error.message))
    return World(snapshot, targets), findings


async def _purge(continuity: Continuity) -> None:
    """Forget what was kept for long enough, now and every hour."""
    while True:
        with contextlib.suppress(StoreUnavailable):  # the next round will do
            await continuity.purge()
        await asyncio.sleep(_PURGE_SECONDS)


def _confirm(ledger: Ledger, rows: Sequence[UsageRow]) -> None:
    """Tell the ledger which settled amounts the store now knows of."""
    for row in rows:
        for kind, scope_id in (("key", row.key_hash), ("user", row.user_id), ("team", row.team_id)):
            if scope_id is not None and row.cost_nano:
                ledger.confirm(kind, scope_id, row.cost_nano)


class Catalogue:
    """The models on offer, for the admin API."""

    def __init__(self, world: World) -> None:
        self._entries = [
            ModelEntry(
                model_name=deployment.model_name,
                deployment_id=deployment.id,
                upstream_model=deployment.model,
                provider=target.provider,
                facts=target.facts,
                price=target.price,
                params=_without_secrets(deployment.params),
                mode="chat" if "chat" in target.dialects else "embedding",
            )
            for deployment in world.snapshot.deployments
            if (target := world.targets.get(deployment.id)) is not None
        ]

    def entries(self) -> Sequence[ModelEntry]:
        """One entry per deployment that can be called."""
        return self._entries


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


def _without_secrets(params: Mapping[str, object]) -> dict[str, object]:
    hidden = ("key", "secret", "token", "password", "headers")
    return {name: value for name, value in params.items() if not any(word in name.lower() for word in hidden)}
