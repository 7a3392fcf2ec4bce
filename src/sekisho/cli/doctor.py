"""`sekisho doctor`: whether every deployment can be called, and what to do about those that cannot.

Nothing is changed anywhere, and without `--call` nothing is billed.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sekisho.assembly import resolve, upstream_dialects
from sekisho.config import default, load
from sekisho.config.snapshot import Deployment, Loaded
from sekisho.core.clock import Clock, SystemClock
from sekisho.core.errors import ConfigError
from sekisho.core.target import Check, Examinable, ProviderEnvironment, Target
from sekisho.gateway.roads import World
from sekisho.gateway.trial import try_target
from sekisho.http.client import UpstreamClient

_AT_ONCE = 8
_SIGNS = {"ok": ("ok", "green"), "warning": ("?", "yellow"), "broken": ("broken", "red")}
_COLUMNS = ("config", "identity", "key", "model", "access", "quota", "price", "call")
_PATTERN = Check("config", "warning", "a pattern for many models", "examine a deployment of one of them")
_UNEXAMINED = Check("config", "warning", "its provider has no checks", "run with --call")


class Patient(Struct, frozen=True, kw_only=True):
    """A deployment and what was found. `region` and `account` are None where they are not known."""

    model_name: str
    deployment_id: str
    model: str
    where: str
    provider: str | None
    account: str | None
    region: str | None
    checks: tuple[Check, ...]

    @property
    def broken(self) -> bool:
        """Whether calls to it will fail."""
        return any(check.verdict == "broken" for check in self.checks)


def doctor(config: Path | None, *, call: bool, as_json: bool) -> int:
    """Examine every deployment and print what was found.

    Args:
        config: the configuration file; None for the built-in configuration.
        call: whether each is also asked for one token, which is billed.
        as_json: print JSON for programs in place of a table.

    Returns:
        The exit status: 0 when none is broken, 1 when one is, 2 when the configuration cannot be used.
    """
    try:
        loaded = load(config, os.environ) if config is not None else default(os.environ)
    except ConfigError as error:
        print(f"sekisho: cannot examine: {error}", file=sys.stderr)
        return 2
    os.environ.update(loaded.bootstrap.environment)
    patients = asyncio.run(_examine_all(loaded, call=call))
    if as_json:
        print(msgspec.json.encode({"deployments": [_write(each) for each in patients]}).decode())
    else:
        _print_table(patients)
    return 1 if any(patient.broken for patient in patients) else 0


async def _examine_all(loaded: Loaded, *, call: bool) -> list[Patient]:
    clock = SystemClock()
    world, _ = resolve(loaded.snapshot, ProviderEnvironment(clock=clock))
    client = UpstreamClient() if call else None
    places = asyncio.Semaphore(_AT_ONCE)

    async def examine(deployment: Deployment) -> Patient:
        async with places:
            return await _examine(deployment, world, client, clock)

    try:
        return await asyncio.gather(*(examine(deployment) for deployment in loaded.snapshot.deployments))
    finally:
        if client is not None:
            await client.close()


async def _examine(deployment: Deployment, world: World, client: UpstreamClient | None, clock: Clock) -> Patient:
    target = world.targets.get(deployment.id)
    if target is not None:
        checks = await _check(target, client, clock)
    elif (problem := world.problems.get(deployment.id)) is not None:
        checks = [Check("config", "broken", problem, f"mend {deployment.where}")]
    else:
        checks = [_PATTERN]
    return Patient(
        model_name=deployment.model_name,
        deployment_id=deployment.id,
        model=deployment.model,
        where=deployment.where,
        provider=target.provider if target else None,
        account=target.account if target else None,
        region=target.region if target else None,
        checks=tuple(checks),
    )


async def _check(target: Target, client: UpstreamClient | None, clock: Clock) -> list[Check]:
    checks = list(await target.examine()) if isinstance(target, Examinable) else [_UNEXAMINED]
    if client is not None and not any(check.verdict == "broken" for check in checks):
        checks.append(await try_target(target, client, upstream_dialects(), clock))
    return checks


def _write(patient: Patient) -> dict[str, object]:
    return {"broken": patient.broken, **msgspec.to_builtins(patient)}


def _print_table(patients: Sequence[Patient]) -> None:
    """A row for each deployment, and below it what is not well, and what to do."""
    console = Console()
    seen = {check.what for patient in patients for check in patient.checks}
    kinds = [kind for kind in _COLUMNS if kind in seen]
    table = Table("model", "account", "region", *kinds, box=None, pad_edge=False)
    for patient in patients:
        found = {check.what: check for check in patient.checks}
        signs = [_sign(found.get(kind)) for kind in kinds]
        table.add_row(patient.model_name, patient.account or "", patient.region or "", *signs)
    console.print(table)
    for patient in patients:
        for check in patient.checks:
            if check.verdict != "ok":
                _print_finding(console, patient, check)
    broken = sum(patient.broken for patient in patients)
    console.print(f"\n{len(patients)} deployment{'' if len(patients) == 1 else 's'}, {broken} broken")


def _sign(check: Check | None) -> Text:
    return Text("") if check is None else Text(*_SIGNS[check.verdict])


def _print_finding(console: Console, patient: Patient, check: Check) -> None:
    """As plain text: what AWS says may have brackets in it, and lines must not be broken for programs that read it."""
    sign, style = _SIGNS[check.verdict]
    console.print(
        Text.assemble("\n", (sign, style), f" {patient.model_name} ({patient.where}), {check.what}: {check.found}"),
        soft_wrap=True,
    )
    if check.advice:
        console.print(Text(f"   → {check.advice}"), soft_wrap=True)
