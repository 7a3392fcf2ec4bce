import pytest

from sekisho.core.caller import Caller, Role
from sekisho.core.errors import AccessDenied
from sekisho.identity.rights import RIGHTS, check_endpoint, check_route, right_of, route_of

READ_ONLY = ("/key/info", "/team/info", "/user/info", "/spend/logs", "/v1/models", "/v1/models/a/b")


@pytest.mark.parametrize(
    ("role", "opened", "closed"),
    [
        ("proxy_admin", ("/key/generate", "/team/new", "/user/new", "/user/list", *READ_ONLY), ()),
        ("proxy_admin_viewer", ("/user/list", *READ_ONLY), ("/key/generate", "/key/delete", "/team/new", "/user/new")),
        (
            "internal_user",
            ("/key/generate", "/team/update", "/key/sk-abc/regenerate", *READ_ONLY),
            ("/organization/new", "/budget/new", "/user/list", "/user/update"),
        ),
        ("internal_user_viewer", READ_ONLY, ("/key/generate", "/team/update", "/key/sk-abc/regenerate", "/user/list")),
    ],
)
def test_what_each_role_opens(role: Role, opened: tuple[str, ...], closed: tuple[str, ...]) -> None:
    caller = Caller(role=role)
    for path in opened:
        check_endpoint(caller, path)
    for path in closed:
        with pytest.raises(AccessDenied, match=role):
            check_endpoint(caller, path)


@pytest.mark.parametrize(
    ("routes", "opened", "closed"),
    [
        ((), ("/v1/chat/completions", "/key/info"), ()),
        (
            ("llm_api_routes",),
            ("/v1/chat/completions", "/v1/models", "/anthropic/v1/models/a"),
            ("/key/info", "/spend/logs"),
        ),
        (("management_routes",), ("/key/info", "/key/generate"), ("/v1/chat/completions",)),
        (("info_routes",), ("/key/info", "/v1/models", "/models/a"), ("/key/generate", "/v1/chat/completions")),
        (("/v1/chat/*",), ("/v1/chat/completions",), ("/v1/models", "/chat/completions")),
        (("/key/info", "/v1/models"), ("/key/info", "/v1/models"), ("/key/info/x", "/models")),
    ],
)
def test_what_a_key_for_some_routes_opens(
    routes: tuple[str, ...], opened: tuple[str, ...], closed: tuple[str, ...]
) -> None:
    caller = Caller(role="proxy_admin", allowed_routes=routes)
    for path in opened:
        check_route(caller, path)
    for path in closed:
        with pytest.raises(AccessDenied, match="does not open"):
            check_route(caller, path)


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/key/info", "/key/info"),
        ("/key/sk-1234/regenerate", "/key/{key}/regenerate"),
        ("/access_group/beta/info", "/access_group/{access_group}/info"),
        ("/fallback/gpt", "/fallback/{model}"),
        ("/fallback/bedrock/us.anthropic/x", "/fallback/{model}"),
        ("/fallback/", "/fallback/{model}"),
        ("/fallback", "/fallback"),
        ("/model/a/update", "/model/{model_id}/update"),
        ("/model/a/b/update", None),
        ("/key//regenerate", None),
        ("/key/a/b/regenerate", None),
        ("/key/sk-1234", None),
        ("/v1/chat/completions", None),
    ],
)
def test_a_path_with_a_name_in_it_is_known_by_its_pattern(path: str, route: str | None) -> None:
    assert route_of(path) == route
    assert (right_of(path) is None) == (route is None)


def test_what_only_reads_is_open_to_read_only_keys_and_nothing_else() -> None:
    caller = Caller(role="proxy_admin", allowed_routes=("info_routes",))
    for path, right in RIGHTS.items():
        if right in {"oversee", "see_own"}:
            check_route(caller, path)
        else:
            with pytest.raises(AccessDenied, match="does not open"):
                check_route(caller, path)
