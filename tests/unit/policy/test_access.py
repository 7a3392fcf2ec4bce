import pytest

from sekisho.core.caller import Caller, Scope
from sekisho.core.errors import AccessDenied
from sekisho.policy.access import check_model, may_use


def caller(key: tuple[str, ...] = (), user: tuple[str, ...] = (), team: tuple[str, ...] = ()) -> Caller:
    return Caller(
        role="internal_user",
        scopes=(
            Scope(kind="key", id="k", models=key),
            Scope(kind="user", id="u", models=user),
            Scope(kind="team", id="t", models=team),
        ),
    )


@pytest.mark.parametrize(
    ("models", "allowed"),
    [
        ((), True),
        (("sonnet",), True),
        (("haiku",), False),
        (("son*",), True),
        (("*",), True),
        (("all-proxy-models",), True),
        (("all-team-models",), True),
        (("no-default-models",), False),
    ],
)
def test_lists_of_models(models: tuple[str, ...], allowed: bool) -> None:
    assert may_use(caller(key=models), "sonnet") is allowed


@pytest.mark.parametrize("scope", ["key", "user", "team"])
def test_every_scope_must_allow_and_the_one_that_forbids_is_named(scope: str) -> None:
    who = caller(**{scope: ("haiku", "nova")})
    with pytest.raises(AccessDenied, match="haiku, nova") as refused:
        check_model(who, "sonnet")
    assert refused.value.kind == f"{scope}_model_access_denied"
    assert refused.value.param == "model"
    check_model(who, "haiku")


def test_a_team_key_with_all_team_models_is_bound_by_the_team() -> None:
    assert not may_use(caller(key=("all-team-models",), team=("haiku",)), "sonnet")


def test_the_master_key_may_use_everything() -> None:
    check_model(Caller(role="proxy_admin"), "anything")
