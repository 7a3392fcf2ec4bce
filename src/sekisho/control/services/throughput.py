"""Guaranteed throughput: the limits of a team's keys that must not add up to more than the team's own.

Every limit here is enforced as it stands, which LiteLLM calls `best_effort_throughput`. A key whose limit is of the
type `guaranteed_throughput` is refused when the team could not give all such keys what they are promised at once.
"""

from collections.abc import Mapping
from typing import Any, Final

from sekisho.control.services.context import Services
from sekisho.core.errors import InvalidRequest
from sekisho.store.records import KeyRecord, Limits

GUARANTEED: Final = "guaranteed_throughput"
_KINDS: Final = ("tpm", "rpm")


async def check_guarantees(services: Services, fields: Mapping[str, Any], record: KeyRecord | None) -> None:
    """Refuse a new key, or a change to `record`, that promises more than its team has.

    Raises:
        InvalidRequest: naming the limit, and what of it is promised to others.
    """
    team_id = fields.get("team_id", record.team_id if record is not None else None)
    kinds = [kind for kind in _KINDS if _wanted(f"{kind}_limit_type", fields, record) == GUARANTEED]
    if team_id is None or not kinds:
        return
    team = await services.store.teams.get(team_id)
    if team is None:
        return
    keys = await services.store.keys.of_teams([team_id])
    others = [key for key in keys if record is None or key.account_id != record.account_id]
    for kind in kinds:
        promised = [_limits_of(key, kind) for key in others if key.extra.get(f"{kind}_limit_type") == GUARANTEED]
        most = _limits_of(team, kind)
        for model, wanted in _limits_wanted(kind, fields, record).items():
            taken = sum(limits.get(model, 0) for limits in promised)
            if model in most and taken + wanted > most[model]:
                raise _too_much(kind, model, wanted, taken, most[model])


def _wanted(name: str, fields: Mapping[str, Any], record: KeyRecord | None) -> Any:
    return fields[name] if name in fields else record.extra.get(name) if record is not None else None


def _limits_of(record: Limits, kind: str) -> dict[str | None, int]:
    """The limits of one kind: by model, and under None that of all models together."""
    limits: dict[str | None, int | None] = {None: getattr(record, f"{kind}_limit")}
    limits |= {model: getattr(of_model, f"{kind}_limit") for model, of_model in record.model_limits.items()}
    return {model: limit for model, limit in limits.items() if limit is not None}


def _limits_wanted(kind: str, fields: Mapping[str, Any], record: KeyRecord | None) -> dict[str | None, int]:
    """The limits that the key will have."""
    limits: dict[str | None, int | None] = {} if record is None else dict(_limits_of(record, kind))
    if f"{kind}_limit" in fields:
        limits[None] = fields[f"{kind}_limit"]
    if f"model_{kind}_limit" in fields:
        limits = {None: limits.get(None), **(fields[f"model_{kind}_limit"] or {})}
    return {model: limit for model, limit in limits.items() if limit is not None}


def _too_much(kind: str, model: str | None, wanted: int, taken: int, most: int) -> InvalidRequest:
    name = f"{kind}_limit" if model is None else f"model_{kind}_limit"
    what = "The team" if model is None else f"For the model {model!r} the team"
    promised = f"{taken} are guaranteed to its other keys"
    message = f"{what} has a {kind}_limit of {most}, of which {promised}: {wanted} is too much."
    return InvalidRequest(message, param=name)
