"""The settings of the router that are blocks of their own: strategy, policies by kind of failure, the queue."""

from collections.abc import Mapping
from typing import Any, Protocol

from sekisho.config import keys
from sekisho.config.keys import Block
from sekisho.config.kinds import WEIGHT, describe_mismatch
from sekisho.config.places import Document, Path, Report, show_name, show_path
from sekisho.config.sections import check_block, nearest_name
from sekisho.config.snapshot import STRATEGIES, HealthSettings, PerFailure, QueueSettings

_SECTION = "router_settings"
_KINDS = {
    "BadRequestError": "bad_request",
    "AuthenticationError": "authentication",
    "TimeoutError": "timeout",
    "RateLimitError": "rate_limit",
    "ContentPolicyViolationError": "content_policy",
    "InternalServerError": "internal",
}
"""LiteLLM's words for kinds of failure, and the fields of `PerFailure`."""
_ELSEWHERE = frozenset({"lar1", "provider-budget-routing"})
"""Strategies of LiteLLM's that are not had here."""
_PLAIN = (
    "connect_timeout",
    "idle_timeout",
    "total_timeout",
    "max_attempt_seconds",
    "disable_cooldowns",
    "default_max_parallel_requests",
    "enable_pre_call_checks",
    "enable_tag_filtering",
)


class Names(Protocol):
    """The names that models may have."""

    def __contains__(self, name: str) -> bool:
        """Whether some model has this name."""
        ...

    def complain(self, name: str) -> str:
        """What to say of a name that no model has."""
        ...


def read_router(document: Document, router: dict[str, Any], names: Names, report: Report) -> dict[str, Any]:
    """The fields of the snapshot that come of `router_settings` alone; those not given are left out."""
    fields = {name: router.get(name) for name in _PLAIN} | {
        "routing_strategy": _read_strategy(document, router, report),
        "routing_strategy_args": _read_block(document, router, "routing_strategy_args", keys.STRATEGY_ARGS, report),
        "model_group_retry_policy": _read_group_retries(document, router, names, report),
        "queue": _read_queue(document, router, report),
    }
    for name, read in (("retry_policy", read_retries), ("allowed_fails_policy", read_allowed_fails)):
        if name in router:
            fields[name] = read(document, router[name], (_SECTION, name), report)
    return {name: value for name, value in fields.items() if value is not None}


def read_health(general: Mapping[str, Any]) -> HealthSettings:
    """How deployments are checked, of `general_settings`."""
    given = {
        "background": general.get("background_health_checks"),
        "interval": general.get("health_check_interval"),
        "details": general.get("health_check_details"),
        "concurrency": general.get("health_check_concurrency"),
    }
    return HealthSettings(**{name: value for name, value in given.items() if value is not None})


def read_retries(document: Document, block: object, path: Path, report: Report) -> PerFailure:
    """A `retry_policy`: how often to try again after each kind of failure."""
    return _read_per_failure(document, block, path, keys.RETRY_POLICY, "Retries", report)


def read_allowed_fails(document: Document, block: object, path: Path, report: Report) -> PerFailure:
    """An `allowed_fails_policy`: how many failures of each kind a minute are borne."""
    return _read_per_failure(document, block, path, keys.ALLOWED_FAILS_POLICY, "AllowedFails", report)


def _read_per_failure(
    document: Document, block: object, path: Path, known: Block, suffix: str, report: Report
) -> PerFailure:
    if not isinstance(block, dict):
        report.error(document.value_place(path), f"`{show_path(path)}`: expected a mapping")
        return PerFailure()
    checked = check_block(document, block, path, known, report)
    return PerFailure(**{_KINDS[name.removesuffix(suffix)]: number for name, number in checked.items()})


def _read_group_retries(
    document: Document, router: dict[str, Any], names: Names, report: Report
) -> dict[str, PerFailure]:
    policies: dict[str, PerFailure] = {}
    for model, block in router.get("model_group_retry_policy", {}).items():
        path: Path = (_SECTION, "model_group_retry_policy", model)
        if model not in names:
            report.warn(document.key_place(path), f"`{_SECTION}.model_group_retry_policy`: {names.complain(model)}")
        if block is not None:
            policies[model] = read_retries(document, block, path, report)
    return policies


def _read_block(
    document: Document, router: dict[str, Any], name: str, known: Block, report: Report
) -> dict[str, Any] | None:
    block = router.get(name)
    return None if block is None else check_block(document, block, (_SECTION, name), known, report)


def _read_strategy(document: Document, router: dict[str, Any], report: Report) -> str | None:
    """The strategy; one that only LiteLLM has is warned of, and ours is used."""
    name, path = router.get("routing_strategy"), (_SECTION, "routing_strategy")
    if name is None or name in STRATEGIES:
        return name
    place = document.value_place(path)
    if name in _ELSEWHERE:
        report.warn(place, f"`{show_path(path)}`: `{name}` has no effect in this version; `{STRATEGIES[0]}` is used")
        return None
    near = nearest_name(name, STRATEGIES)
    hint = f": did you mean `{near}`?" if near else f"; there are: {', '.join(STRATEGIES)}"
    report.error(place, f"`{show_path(path)}`: there is no strategy `{show_name(name)}`{hint}")
    return None


def _read_queue(document: Document, router: dict[str, Any], report: Report) -> QueueSettings | None:
    checked = _read_block(document, router, "queue", keys.QUEUE, report)
    if checked is None:
        return None
    weights: dict[str, Any] = {}
    for team, weight in checked.pop("team_weights", {}).items():
        path: Path = (_SECTION, "queue", "team_weights", team)
        try:
            weights[team] = WEIGHT.read(weight)
        except ValueError:
            report.error(document.value_place(path), f"`{show_path(path)}`: {describe_mismatch(WEIGHT, weight)}")
    return QueueSettings(team_weights=weights, **checked)
