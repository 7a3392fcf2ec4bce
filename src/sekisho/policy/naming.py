"""From the model name a client sent to the model group that serves it."""

from difflib import get_close_matches

from msgspec import Struct

from sekisho.config.snapshot import Snapshot
from sekisho.core.caller import Caller
from sekisho.core.errors import InvalidRequest, UnknownModel
from sekisho.policy.access import check_model, may_use


class ChosenModel(Struct, frozen=True):
    """The group that serves the call; `asked` is the name the client knows it by, `warning` what it should be told."""

    asked: str
    group: str
    warning: str | None = None


def choose_model(snapshot: Snapshot, caller: Caller, requested: str | None) -> ChosenModel:
    """Resolve the requested name and check that the caller may use it.

    A client may name a group, an alias of a group, or the upstream's own id as a deployment's `model` has it (with or
    without LiteLLM's prefixes). Raises InvalidRequest, UnknownModel or AccessDenied.
    """
    if requested is None:
        if snapshot.default_model is None:
            raise InvalidRequest("The request names no model, and no default_model is configured.", param="model")
        check_model(caller, snapshot.default_model)
        return ChosenModel(asked=snapshot.default_model, group=snapshot.default_model)
    group = find_group(snapshot, requested)
    if group is not None:
        check_model(caller, group)
        return ChosenModel(asked=requested, group=group)
    if snapshot.default_model is not None and snapshot.default_model_for_unknown:
        check_model(caller, snapshot.default_model)
        warning = f"model '{requested}' is unknown; '{snapshot.default_model}' was used"
        return ChosenModel(asked=requested, group=snapshot.default_model, warning=warning)
    raise _unknown(snapshot, caller, requested)


def find_group(snapshot: Snapshot, name: str) -> str | None:
    """The model group for a name, None when there is none."""
    if name in snapshot.groups:
        return name
    alias = snapshot.model_group_alias.get(name)
    if alias in snapshot.groups:
        return alias
    bare = _bare(name)
    for deployment in snapshot.deployments:
        if _bare(deployment.model) == bare:
            return deployment.model_name
    return None


def _bare(model: str) -> str:
    """A deployment's `model` without LiteLLM's provider and route prefixes."""
    for prefix in ("bedrock/", "converse/", "invoke/"):
        model = model.removeprefix(prefix)
    return model


def _unknown(snapshot: Snapshot, caller: Caller, requested: str) -> UnknownModel:
    names = sorted(name for name in {*snapshot.groups, *snapshot.model_group_alias} if may_use(caller, name))
    near = get_close_matches(requested, names, n=3, cutoff=0.4)
    shown = f"Nearest names: {', '.join(near)}." if near else f"Models you may use: {', '.join(names) or 'none'}."
    return UnknownModel(f"There is no model named '{requested[:200]}'. {shown}", param="model")
