"""Which group serves a call, by the name it gives."""

import pytest
from tests.support.routing import make_deployment, make_snapshot

from sekisho.core.caller import Caller, Scope
from sekisho.core.errors import AccessDenied, InvalidRequest, UnknownModel
from sekisho.policy.naming import choose_model

ADMIN = Caller(role="proxy_admin")


def test_names_resolve_by_group_alias_and_upstream_id() -> None:
    shot = make_snapshot(make_deployment("claude", "g"), model_group_alias={"sonnet": "g"})
    for name in ("g", "sonnet", "bedrock/converse/us.claude", "us.claude", "bedrock/us.claude"):
        chosen = choose_model(shot, ADMIN, name)
        assert (chosen.group, chosen.asked) == ("g", name)


def test_an_unknown_name_is_answered_with_the_nearest_that_the_caller_may_use() -> None:
    shot = make_snapshot(make_deployment("a", "claude-sonnet"), make_deployment("b", "claude-sonnet-secret"))
    who = Caller(role="internal_user", scopes=(Scope(kind="key", id="k", models=("claude-sonnet",)),))
    with pytest.raises(UnknownModel, match="claude-sonnet") as unknown:
        choose_model(shot, who, "claude-sonet")
    assert "secret" not in unknown.value.message
    assert unknown.value.param == "model"


def test_the_default_model_serves_requests_without_a_model_and_unknown_ones_only_if_told_so() -> None:
    shot = make_snapshot(make_deployment("a", "g"), default_model="g")
    assert choose_model(shot, ADMIN, None).group == "g"
    with pytest.raises(UnknownModel):
        choose_model(shot, ADMIN, "nope")
    generous = make_snapshot(make_deployment("a", "g"), default_model="g", default_model_for_unknown=True)
    chosen = choose_model(generous, ADMIN, "nope")
    assert (chosen.group, chosen.asked) == ("g", "nope")
    assert chosen.warning is not None
    with pytest.raises(InvalidRequest, match="default_model"):
        choose_model(make_snapshot(make_deployment("a", "g")), ADMIN, None)


def test_the_default_model_too_must_be_allowed() -> None:
    who = Caller(role="internal_user", scopes=(Scope(kind="key", id="k", models=("other",)),))
    shot = make_snapshot(make_deployment("a", "g"), default_model="g", default_model_for_unknown=True)
    for name in (None, "nope", "g"):
        with pytest.raises(AccessDenied):
            choose_model(shot, who, name)
