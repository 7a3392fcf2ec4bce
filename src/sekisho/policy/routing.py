"""In which order the deployments of a model, and the models it falls back to, are tried."""

from collections.abc import Callable, Sequence
from hashlib import sha256

from msgspec import Struct

from sekisho.config.snapshot import Deployment, Snapshot
from sekisho.core.caller import Caller
from sekisho.policy.access import may_use
from sekisho.policy.naming import find_group


class Stage(Struct, frozen=True):
    """One model group of a plan, with its deployments in the order to try them."""

    group: str
    deployments: tuple[Deployment, ...]


def plan_roads(
    snapshot: Snapshot,
    caller: Caller,
    group: str,
    wished: Sequence[str] | None,
    resting: Callable[[str], float],
    chance: Callable[[str], float],
) -> list[Stage]:
    """The model group asked for, then its fallbacks; within each, the deployments by `order` and weighted chance.

    `wished` are the request's own fallbacks, in place of the configured ones. `resting` tells how many seconds a
    deployment (by id) is still to be left alone, `chance` gives it a number from 0 to 1. Resting ones come last in the
    whole plan, the first to wake first, so that a call is lost only when really nothing answers. Fallbacks the caller
    may not use are left out.
    """
    groups = [group, *_fallbacks(snapshot, caller, group, wished)] if snapshot.failover else [group]
    stages: list[Stage] = []
    asleep: list[Stage] = []
    for name in groups:
        awake, tired = _split_by_rest(snapshot.groups[name], resting)
        ordered = _shuffle(awake, chance)
        if not snapshot.failover:
            ordered = (ordered or tired)[:1]
            tired = []
        if ordered:
            stages.append(Stage(name, tuple(ordered)))
        if tired:
            asleep.append(Stage(name, tuple(tired)))
    return stages + asleep


def _fallbacks(snapshot: Snapshot, caller: Caller, group: str, wished: Sequence[str] | None) -> list[str]:
    """Names to fall back to: each once, never the group itself, at most `max_fallbacks`."""
    names = wished if wished is not None else snapshot.fallbacks.get(group, snapshot.default_fallbacks)
    found: list[str] = []
    for name in names:
        fallback = find_group(snapshot, name)
        if fallback is not None and fallback != group and fallback not in found and may_use(caller, fallback):
            found.append(fallback)
    return found[: snapshot.max_fallbacks]


def _split_by_rest(
    deployments: Sequence[Deployment], resting: Callable[[str], float]
) -> tuple[list[Deployment], list[Deployment]]:
    """Those that may be called, and those at rest with the first to wake first."""
    rest = {deployment.id: resting(deployment.id) for deployment in deployments}
    awake = [deployment for deployment in deployments if rest[deployment.id] <= 0]
    tired = [deployment for deployment in deployments if rest[deployment.id] > 0]
    return awake, sorted(tired, key=lambda deployment: rest[deployment.id])


def chance_of_session(session_id: str) -> Callable[[str], float]:
    """Chance that is the same for all calls of a session, so that they meet the prompt cache of those before.

    Over many sessions it is as even as chance is (weighted rendezvous hashing), and when a deployment rests, only its
    own sessions go elsewhere.
    """

    def chance(deployment_id: str) -> float:
        digest = sha256(f"{session_id}\0{deployment_id}".encode()).digest()
        return int.from_bytes(digest[:7], "big") / (1 << 56)

    return chance


def _shuffle(deployments: Sequence[Deployment], chance: Callable[[str], float]) -> list[Deployment]:
    """LiteLLM's `simple-shuffle`: lowest `order` first, within it weighted by `weight`, else `rpm`, else `tpm`."""
    if len(deployments) < 2:
        return list(deployments)
    weights = _weights(deployments)
    keyed = [
        (deployment.order or 0, -(chance(deployment.id) ** (1.0 / weight)), position)
        for position, (deployment, weight) in enumerate(zip(deployments, weights, strict=True))
    ]
    return [deployments[position] for _, _, position in sorted(keyed)]


def _weights(deployments: Sequence[Deployment]) -> list[float]:
    """The first of weight, rpm and tpm that any of them states; a deployment that does not state it weighs little."""
    for name in ("weight", "rpm", "tpm"):
        values = [getattr(deployment, name) for deployment in deployments]
        if any(value is not None for value in values):
            return [max(float(value or 0), 1e-3) for value in values]
    return [1.0] * len(deployments)
