"""`router_settings` of a key or a team: what it says in place of the installation's routing.

LiteLLM lets keys and teams have most of `router_settings`. Those that would change what others meet are not among them:
cooldowns and allowed failures belong to the deployments that all share, and tag filtering is how traffic is kept apart.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from sekisho.config import keys
from sekisho.config.places import Document, Report, show_name
from sekisho.config.router import read_router
from sekisho.config.routing import read_aliases, read_default_fallbacks, read_fallbacks
from sekisho.config.sections import check_block
from sekisho.config.snapshot import Snapshot
from sekisho.core.errors import ConfigError

_SECTION: Final = "router_settings"
_PLAIN: Final = {
    "num_retries": "num_retries",
    "max_fallbacks": "max_fallbacks",
    "timeout": "request_timeout",
    "stream_timeout": "stream_timeout",
}
"""Settings that stand by themselves, and the fields of the snapshot that they set."""
_JOINED: Final = (*keys.FALLBACKS, "model_group_alias", "model_group_retry_policy")
"""Fields by model, where what is not said of a model stays as it is."""


class _AnyName:
    """Stands for the names of models that are not known yet: what does not exist is left out when a call is routed."""

    def __contains__(self, name: str) -> bool:
        return True

    def complain(self, name: str) -> str:
        raise NotImplementedError(name)


def read_override(settings: Mapping[str, Any], budget_fallbacks: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The fields of a snapshot that `router_settings`, and the `budget_fallbacks` beside it, set for one caller.

    Raises:
        ConfigError: naming every value that is of the wrong kind, and every unknown key.
    """
    document, report = Document(_SECTION), Report()
    given = {name: value for name, value in settings.items() if value is not None}
    checked = check_block(document, given, (_SECTION,), keys.OVERRIDES, report)
    if budget_fallbacks is not None:
        checked["budget_fallbacks"] = budget_fallbacks
    blocks = {_SECTION: checked, "litellm_settings": {}}
    fields: dict[str, Any] = {kind: read_fallbacks(document, blocks, kind, report) for kind in keys.FALLBACKS}
    fields["default_fallbacks"] = read_default_fallbacks(document, blocks, fields["fallbacks"])
    fields["model_group_alias"] = read_aliases(document, checked.get("model_group_alias", {}), report).models
    fields |= {field: checked[name] for name, field in _PLAIN.items() if name in checked}
    fields |= read_router(document, checked, _AnyName(), report)
    wrong = [finding.message for finding in report.findings if finding.level == "error"]
    wrong += [
        f"`{_SECTION}.{show_name(name)}` is not a known key" for name in given if name not in keys.OVERRIDES.names
    ]
    if wrong:
        raise ConfigError("; ".join(wrong))
    return {name: value for name, value in fields.items() if value or name in _PLAIN.values()}


def apply_override(snapshot: Snapshot, override: Mapping[str, Any]) -> Snapshot:
    """The snapshot as a caller meets it whose key or team has these fields."""
    joined = {name: {**getattr(snapshot, name), **override[name]} for name in _JOINED if name in override}
    return replace(snapshot, **{**override, **joined})
