"""`sekisho serve`: prepare once, then serve in this process or in several."""

import asyncio
import os
import socket
import sys
from pathlib import Path

import uvloop
from msgspec import Struct

from sekisho.assembly import Settings, assemble, prepare_store, resolve, simulation_needed
from sekisho.cli.allocating import giving_back, keep_one_heap
from sekisho.cli.banner import Ready, write_banner
from sekisho.cli.collecting import collect_seldom
from sekisho.cli.home import find_home, keep_master_key, keep_starter_key
from sekisho.cli.signals import reload_on_hangup, stop_on_signals
from sekisho.cli.sockets import is_loopback, listen
from sekisho.cli.tls import Certificate, choose_certificate
from sekisho.cli.workers import Workers
from sekisho.config import default, load
from sekisho.config.snapshot import Loaded
from sekisho.core.clock import SystemClock
from sekisho.core.errors import ConfigError, StoreUnavailable
from sekisho.core.target import Counterpart, ProviderEnvironment
from sekisho.gateway.reloading import Reloaded
from sekisho.gateway.roads import World
from sekisho.http.server import Server
from sekisho.policy.wildcards import ANY
from sekisho.simulator.settings import DEFAULT_ACCESS_KEY, DEFAULT_SECRET_KEY, SimulatorSettings
from sekisho.telemetry.log import configure_logging

_MIN_KEY_LENGTH = 16


class Plan(Struct, frozen=True, kw_only=True):
    """Everything decided before the first request: what to serve, where, and with what sockets."""

    settings: Settings
    listener: socket.socket
    simulator: socket.socket | None
    workers: int
    certificate: Certificate | None
    ready: Ready


def serve(
    config: Path | None,
    host: str,
    port: int,
    workers: int,
    ssl_certfile: str | None = None,
    ssl_keyfile: str | None = None,
) -> int:
    """Serve until told to stop. Returns the exit status: 2 when it cannot start, with the reason on standard error."""
    configure_logging()
    keep_one_heap()
    try:
        certificate = choose_certificate(ssl_certfile, ssl_keyfile)
        plan = _plan(config, host, port, workers, certificate)
    except (ConfigError, StoreUnavailable, OSError) as error:
        print(f"sekisho: cannot start: {error}", file=sys.stderr)
        return 2
    uvloop.run(_run(plan))
    return 0


def _plan(config: Path | None, host: str, port: int, workers: int, certificate: Certificate | None) -> Plan:
    if certificate is not None:
        certificate.open()  # what is wrong with it is told before anything begins
    loaded = _load(None if config is None else str(config))
    _print_findings(loaded)
    os.environ.update(loaded.bootstrap.environment)
    is_local = is_loopback(host)
    home = find_home()
    master_key, origin = _find_master_key(loaded, home, is_local=is_local)
    database_url = os.environ.get("DATABASE_URL") or loaded.bootstrap.database_url
    os.umask(0o077)  # what is written from here on, the database above all, is for this user only
    listener = listen(host, port)
    counterpart, simulator = None, None
    if is_local and asyncio.run(simulation_needed(loaded.snapshot)):
        simulator = listen("127.0.0.1", 0)
        counterpart = _counterpart(simulator)
    settings = Settings(
        snapshot=loaded.snapshot,
        master_key=master_key,
        config=str(config) if config is not None else None,
        database_url=database_url or f"sqlite:///{home / 'sekisho.db'}",
        spool=str(home / "spool"),
        workers=workers,
        counterpart=counterpart,
    )
    world = _resolve_models(settings)
    starter_key = keep_starter_key(home) if is_local and not database_url else None
    asyncio.run(prepare_store(settings, SystemClock(), starter_key))
    ready = Ready(
        url=f"{'http' if certificate is None else 'https'}://{_shown_host(host)}:{listener.getsockname()[1]}",
        data=str(home) if not database_url else f"{home}, database from DATABASE_URL or database_url",
        models=_callable_models(world),
        workers=workers,
        simulated=_callable_models(world, simulated=True),
        master_key=master_key if origin is None else None,
        master_key_origin=origin or "",
        virtual_key=starter_key,
    )
    return Plan(
        settings=settings,
        listener=listener,
        simulator=simulator,
        workers=workers,
        certificate=certificate,
        ready=ready,
    )


def _find_master_key(loaded: Loaded, home: Path, *, is_local: bool) -> tuple[str, str | None]:
    """The master key, and where it was given; None when it is one that this gateway made for itself."""
    for name in ("SEKISHO_MASTER_KEY", "LITELLM_MASTER_KEY"):
        if value := os.environ.get(name):
            return _check_master_key(value, name, is_local=is_local), name
    if value := loaded.bootstrap.master_key:
        return _check_master_key(value, "general_settings.master_key", is_local=is_local), "general_settings.master_key"
    if not is_local:
        raise ConfigError(
            "listening beyond this machine needs a master key: set SEKISHO_MASTER_KEY (or general_settings.master_key) "
            f"to at least {_MIN_KEY_LENGTH} characters that nobody can guess, or listen on 127.0.0.1"
        )
    return keep_master_key(home), None


def _check_master_key(key: str, origin: str, *, is_local: bool) -> str:
    if len(key) >= _MIN_KEY_LENGTH:
        return key
    problem = f"the master key in {origin} has {len(key)} characters"
    if not is_local:
        raise ConfigError(f"{problem}; listening beyond this machine needs at least {_MIN_KEY_LENGTH}")
    print(f"sekisho: warning: {problem}; that is good enough for this machine only", file=sys.stderr)
    return key


def _resolve_models(settings: Settings) -> World:
    """What can be called; what cannot is printed."""
    environment = ProviderEnvironment(clock=SystemClock(), counterpart=settings.counterpart)
    world, findings = resolve(settings.snapshot, environment)
    for finding in findings:
        print(f"{finding.where}: {finding.level}: {finding.message}", file=sys.stderr)
    return world


def _callable_models(world: World, *, simulated: bool = False) -> tuple[str, ...]:
    """The names of models with a deployment that can be called, or is simulated, in the order of the configuration."""
    names: dict[str, None] = {}
    for deployment in world.snapshot.deployments:
        target = world.targets.get(deployment.id)
        callable_as_wildcard = ANY in deployment.model_name and deployment.id not in world.problems and not simulated
        if callable_as_wildcard or (target is not None and (target.simulated or not simulated)):
            names[deployment.model_name] = None
    return tuple(names)


def _shown_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _counterpart(simulator: socket.socket) -> Counterpart:
    return Counterpart(
        url=f"http://127.0.0.1:{simulator.getsockname()[1]}",
        access_key_id=DEFAULT_ACCESS_KEY,
        secret_access_key=DEFAULT_SECRET_KEY,
    )


async def _run(plan: Plan) -> None:
    """The gateway, here or in workers, and the simulator beside it where there is one."""
    stopping = stop_on_signals()
    simulator = asyncio.create_task(_run_simulator(plan, stopping))
    if plan.workers > 1:
        await _run_workers(plan, stopping)
    else:
        await _run_gateway(plan, stopping)
    await simulator


async def _run_workers(plan: Plan, stopping: asyncio.Event) -> None:
    workers = Workers(plan.workers, plan.settings, plan.listener, plan.certificate)
    collect_seldom()

    async def reload() -> None:
        loaded = await asyncio.to_thread(_load, plan.settings.config)
        _print_findings(loaded)
        workers.adopt(loaded.snapshot)

    with reload_on_hangup(reload):
        print(write_banner(plan.ready), flush=True)
        await workers.run_until(stopping)


async def _run_gateway(plan: Plan, stopping: asyncio.Event) -> None:
    app = await assemble(plan.settings)
    tls = plan.certificate.open() if plan.certificate is not None else None
    collect_seldom()

    async def reload() -> None:
        if plan.certificate is not None and tls is not None:
            plan.certificate.renew(tls)
        _print_findings(await app.reloader.reload())

    try:
        with reload_on_hangup(reload), giving_back():
            print(write_banner(plan.ready), flush=True)
            await Server(app, tls).run_until(stopping, plan.listener)
    finally:
        await app.close()


def _load(config: str | None) -> Loaded:
    return load(Path(config), os.environ) if config is not None else default(os.environ)


def _print_findings(read: Loaded | Reloaded) -> None:
    for finding in read.findings:
        print(f"{finding.where}: {finding.level}: {finding.message}", file=sys.stderr)


async def _run_simulator(plan: Plan, stopping: asyncio.Event) -> None:
    if plan.simulator is not None:
        from sekisho.simulator.app import build_simulator  # noqa: PLC0415  # most gateways have none

        app = build_simulator(SimulatorSettings(), SystemClock())
        await Server(app).run_until(stopping, plan.simulator)
