"""From a file to a snapshot. The same path serves the start, a reload and `sekisho check`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from sekisho.config import callbacks, keys
from sekisho.config.deployments import collect_access_groups, group_deployments, list_wildcards, read_deployments
from sekisho.config.environment import read_variables, resolve_values
from sekisho.config.files import read_files
from sekisho.config.installation import read_end_users, read_installation, read_tags
from sekisho.config.places import Document, InvalidConfig, Report, show_name
from sekisho.config.router import read_health, read_router
from sekisho.config.routing import (
    ModelNames,
    Settings,
    check_fallbacks,
    read_aliases,
    read_default_fallbacks,
    read_default_model,
    read_fallbacks,
)
from sekisho.config.sections import check_block
from sekisho.config.snapshot import Bootstrap, Deployment, Finding, Loaded, Snapshot

DEFAULT_FILE = Path(__file__).with_name("default.yaml")

_BLOCKS = {
    "router_settings": keys.ROUTER_SETTINGS,
    "litellm_settings": keys.LITELLM_SETTINGS,
    "general_settings": keys.GENERAL_SETTINGS,
}
_SHARED = ("num_retries", "max_fallbacks", "cooldown_time", "allowed_fails", "tag_filtering_match_any")
_MEGABYTE = 1024 * 1024


class Examination(Struct, frozen=True, kw_only=True):
    """What was found in a file; `loaded` is None when there is an error among the findings."""

    loaded: Loaded | None
    findings: tuple[Finding, ...]


def load(path: Path, environment: Mapping[str, str]) -> Loaded:
    """Reads a configuration. Raises InvalidConfig (a ConfigError) naming `file:line:column` of every error."""
    examination = examine(path, environment)
    if examination.loaded is None:
        raise InvalidConfig(examination.findings)
    return examination.loaded


def default(environment: Mapping[str, str]) -> Loaded:
    """The built-in configuration, for a gateway that was given no file."""
    return load(DEFAULT_FILE, environment)


def examine(path: Path, environment: Mapping[str, str]) -> Examination:
    """Reads a configuration as far as it can be read and tells everything that is worth saying of it."""
    report = Report()
    try:
        document = read_files(path)
    except InvalidConfig as error:
        return Examination(loaded=None, findings=error.findings)
    variables = read_variables(document, environment, report)
    settings, deployments = _check_sections(document, {**environment, **variables}, report)
    snapshot = _build_snapshot(document, settings, deployments, report)
    findings = report.findings
    if report.failed:
        return Examination(loaded=None, findings=findings)
    general = settings["general_settings"]
    bootstrap = Bootstrap(
        master_key=general.get("master_key"), database_url=general.get("database_url"), environment=variables
    )
    return Examination(loaded=Loaded(snapshot=snapshot, bootstrap=bootstrap, findings=findings), findings=findings)


def _check_sections(
    document: Document, environment: Mapping[str, str], report: Report
) -> tuple[Settings, tuple[Deployment, ...]]:
    """The checked settings blocks, and the deployments."""
    resolved = {
        name: value
        if name == "environment_variables"  # done already, and its warnings given
        else resolve_values(document, value, (name,), environment, report)
        for name, value in document.sections.items()
    }
    sections = check_block(document, resolved, (), keys.TOP, report)
    settings = {
        name: check_block(document, sections.get(name, {}), (name,), block, report) for name, block in _BLOCKS.items()
    }
    return settings, read_deployments(document, sections.get("model_list", []), _read_defaults(settings), report)


def _read_defaults(settings: Settings) -> dict[str, object]:
    """The parameters that every deployment has which does not give them itself."""
    return {name: value for name, value in settings["litellm_settings"].items() if name in keys.AWS}


def _build_snapshot(
    document: Document, settings: Settings, deployments: tuple[Deployment, ...], report: Report
) -> Snapshot:
    router, litellm, general = (settings[name] for name in _BLOCKS)
    groups = group_deployments(deployments)
    aliases = read_aliases(document, router.get("model_group_alias", {}), report)
    names = ModelNames(groups, aliases.models)
    for alias, target in aliases.models.items():
        if target not in names:
            place = document.value_place(("router_settings", "model_group_alias", alias))
            report.warn(place, f"`router_settings.model_group_alias.{show_name(alias)}`: {names.complain(target)}")
    fallbacks: dict[str, Any] = {kind: read_fallbacks(document, settings, kind, report) for kind in keys.FALLBACKS}
    check_fallbacks(document, settings, names, report)
    default_fallbacks = read_default_fallbacks(document, settings, fallbacks["fallbacks"])
    return Snapshot(
        deployments=deployments,
        deployment_defaults=_read_defaults(settings),
        groups=groups,
        wildcards=list_wildcards(groups),
        model_group_alias=aliases.models,
        hidden_aliases=aliases.hidden,
        default_fallbacks=default_fallbacks,
        default_model=read_default_model(document, settings, names, report),
        access_groups=collect_access_groups(deployments),
        installation=read_installation(document, settings, report),
        callbacks=_read_callbacks(document, litellm, report),
        health=read_health(general),
        key_defaults=_read_keys(document, litellm, "default_key_generate_params", keys.KEY_DEFAULTS, report),
        key_bounds=_read_keys(document, litellm, "upperbound_key_generate_params", keys.KEY_BOUNDS, report),
        team_defaults=_read_keys(document, litellm, "default_team_params", keys.TEAM_DEFAULTS, report),
        user_defaults=_read_user_defaults(document, litellm, report),
        tag_budgets=read_tags(document, settings, report),
        **read_end_users(settings),
        **fallbacks,
        **read_router(document, router, names, report),
        **_plain_settings(router, litellm, general),
    )


def _read_keys(
    document: Document, litellm: Mapping[str, Any], name: str, block: keys.Block, report: Report
) -> dict[str, Any]:
    """What is said of virtual keys, teams or users under this name."""
    return check_block(document, litellm.get(name, {}), ("litellm_settings", name), block, report)


def _read_user_defaults(document: Document, litellm: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """What internal users get, by the two older keys of it and by the newer one, which wins."""
    older = {
        "max_budget": litellm.get("max_internal_user_budget"),
        "budget_duration": litellm.get("internal_user_budget_duration"),
    }
    given = {name: value for name, value in older.items() if value is not None}
    return given | _read_keys(document, litellm, "default_internal_user_params", keys.USER_DEFAULTS, report)


def _plain_settings(router: dict[str, Any], litellm: dict[str, Any], general: dict[str, Any]) -> dict[str, Any]:
    """The settings that stand by themselves; those not given are left to the snapshot's defaults."""
    both = {**litellm, **router}  # where both blocks may give a key, the router's wins, as in LiteLLM
    megabytes = general.get("max_request_size_mb")
    plain = {name: both.get(name) for name in _SHARED} | {
        "default_model_for_unknown": router.get("default_model_for_unknown"),
        "failover": router.get("failover"),
        "request_timeout": router.get("timeout") or litellm.get("request_timeout"),
        "stream_timeout": router.get("stream_timeout"),
        "drop_params": litellm.get("drop_params"),
        "prompt_caching": litellm.get("enable_anthropic_prompt_caching"),
        "budget_exceeded_status": litellm.get("budget_exceeded_status_code"),
        "response_retention": general.get("response_retention"),
        "metrics_need_key": litellm.get("require_auth_for_metrics_endpoint"),
        "usage_retention": general.get("maximum_spend_logs_retention_period"),
        "timezone": litellm.get("timezone"),
        "budget_rollover": litellm.get("budget_rollover"),
        "allow_unpriced_models": general.get("allow_unpriced_models"),
        "reject_client_tags": general.get("reject_clientside_metadata_tags"),
        "max_request_bytes": None if megabytes is None else int(megabytes * _MEGABYTE),
    }
    return {name: value for name, value in plain.items() if value is not None}


def _read_callbacks(document: Document, litellm: dict[str, Any], report: Report) -> tuple[str, ...]:
    """The names under all three keys for callbacks, each once; a warning for each that does nothing here."""
    named: dict[str, None] = {}
    for key in ("callbacks", "success_callback", "failure_callback"):
        path = ("litellm_settings", key)
        for name in litellm.get(key, ()):
            named[name] = None
            if name in callbacks.CALLBACKS:
                continue
            known = name in callbacks.IDLE_CALLBACKS
            said = "is known but has no effect in this version" if known else "is not a known callback"
            report.warn(document.value_place(path), f"`litellm_settings.{key}`: `{show_name(name)}` {said}")
    return tuple(named)
