from types import SimpleNamespace
from typing import cast

import pytest

from sekisho.core.wire import ClientDialect, Endpoint
from sekisho.gateway.routes import Routes


def dialect(*paths: str) -> ClientDialect:
    endpoints = [Endpoint(path=path, call_type="x") for path in paths]
    return cast(ClientDialect, SimpleNamespace(endpoints=endpoints))


ROUTES = Routes([dialect("/v1/messages"), dialect("/model/{model}/converse", "/model/{model}/converse-stream")])


@pytest.mark.parametrize(
    ("path", "endpoint", "model"),
    [
        ("/v1/messages", "/v1/messages", None),
        ("/model/sonnet/converse", "/model/{model}/converse", "sonnet"),
        ("/model/sonnet/converse-stream", "/model/{model}/converse-stream", "sonnet"),
        (
            "/model/arn:aws:bedrock:us-east-1:1:inference-profile/us.x.y-v1:0/converse",
            "/model/{model}/converse",
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.x.y-v1:0",
        ),
    ],
)
def test_a_path_finds_its_endpoint_and_the_model_in_it(path: str, endpoint: str, model: str | None) -> None:
    route = ROUTES.find(path)
    assert route is not None
    assert (route.endpoint.path, route.model) == (endpoint, model)


@pytest.mark.parametrize("path", ["/v1/messages/", "/v1/message", "/model//converse", "/model/x/invoke", "/"])
def test_other_paths_find_none(path: str) -> None:
    assert ROUTES.find(path) is None
