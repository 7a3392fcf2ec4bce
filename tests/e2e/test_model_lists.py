"""The lists of models, read by the SDKs whose shapes they have."""

from collections.abc import Iterator
from typing import Any

import pytest
from anthropic import Anthropic, NotFoundError
from anthropic.types import ModelInfo
from openai import OpenAI
from tests.support.admin import MASTER_KEY, Admin, error_of, serve_on_each_database


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admin]:
    yield from serve_on_each_database("sqlite", tmp_path_factory.mktemp("store"))


def fields(entry: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: entry[name] for name in names}


@pytest.mark.parametrize("base", ["", "/v1"])
def test_openais_sdk_lists_what_the_key_may_use(admin: Admin, base: str) -> None:
    with OpenAI(base_url=admin.url + base, api_key=MASTER_KEY) as client:
        listed = client.models.list()
        assert [(model.id, model.object) for model in listed.data] == [("sonnet", "model"), ("mystery", "model")]
        assert client.models.retrieve("sonnet").id == "sonnet"
    limited = admin.new_key(models=["mystery"])
    with OpenAI(base_url=admin.url + base, api_key=limited) as client:
        assert [model.id for model in client.models.list().data] == ["mystery"]
    error = error_of(admin.get(f"{base}/models/sonnet", by=limited), 404)
    assert "sonnet" in error["message"]


def test_openais_list_tells_limits_prices_and_abilities_as_other_gateways_do(admin: Admin) -> None:
    sonnet, mystery = admin.read("/v1/models")["data"]
    assert fields(sonnet, "name", "context_length", "max_model_len", "max_output_tokens", "pricing") == {
        "name": "sonnet",
        "context_length": 200_000,
        "max_model_len": 200_000,
        "max_output_tokens": 64_000,
        "pricing": {
            "prompt": "0.000003",
            "completion": "0.000015",
            "input_cache_read": "0.0000003",
            "input_cache_write": "0.00000375",
        },
    }
    assert fields(sonnet["top_provider"], "context_length", "max_completion_tokens") == {
        "context_length": 200_000,
        "max_completion_tokens": 64_000,
    }
    assert sonnet["architecture"]["input_modalities"] == ["text", "image"]
    assert {"tools", "reasoning"} <= set(sonnet["supported_parameters"])
    assert mystery["pricing"] is None
    assert mystery["context_length"] is None
    assert mystery["architecture"]["modality"] == "text->text"
    assert not {"tools", "reasoning", "structured_outputs"} & set(mystery["supported_parameters"])


@pytest.mark.parametrize("base", ["", "/anthropic"])
def test_anthropics_sdk_lists_what_the_key_may_use(admin: Admin, base: str) -> None:
    with Anthropic(base_url=admin.url + base, api_key=MASTER_KEY) as client:
        pages = client.models.list(limit=1)
        assert pages.has_more
        assert [model.id for model in pages] == ["sonnet", "mystery"]
        assert [model.id for model in client.models.list(before_id="mystery")] == ["sonnet"]
        sonnet = client.models.retrieve("sonnet")
        ModelInfo.model_validate(sonnet.model_dump())
        assert (sonnet.max_input_tokens, sonnet.max_tokens, sonnet.display_name) == (200_000, 64_000, "sonnet")
        assert sonnet.lifecycle == "active"
        able = sonnet.capabilities
        assert able is not None
        assert able.image_input.supported
        assert able.thinking.types.enabled.supported
        assert not able.thinking.types.adaptive.supported
        assert not able.batch.supported
        limited = client.with_options(api_key=admin.new_key(models=["mystery"]))
        assert [model.id for model in limited.models.list()] == ["mystery"]
        with pytest.raises(NotFoundError, match="sonnet"):
            limited.models.retrieve("sonnet")


def test_claude_codes_discovery_gets_anthropics_shape_without_saying_so(admin: Admin) -> None:
    listed = admin.read("/v1/models", limit=1000)
    assert {key: value for key, value in listed.items() if key != "data"} == {
        "has_more": False,
        "first_id": "sonnet",
        "last_id": "mystery",
    }
    for model in listed["data"]:
        ModelInfo.model_validate(model)
    assert admin.read("/v1/models", after_id="mystery") == {
        "data": [],
        "has_more": False,
        "first_id": None,
        "last_id": None,
    }
    assert error_of(admin.get("/v1/models", after_id="nobody"), 400)["param"] == "after_id"
    for wrong in (0, 1001, "many"):
        assert error_of(admin.get("/v1/models", limit=wrong), 400)["param"] == "limit"


def test_codex_is_told_of_no_models_that_would_replace_its_prompt(admin: Admin) -> None:
    listed = admin.read("/v1/models", client_version="0.169.0")
    assert listed["models"] == []
    assert [model["id"] for model in listed["data"]] == ["sonnet", "mystery"]


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/sonnet", "/v1/models/", "/anthropic/v1/models/sonnet"])
def test_nobody_lists_without_a_key(admin: Admin, path: str) -> None:
    error_of(admin.get(path, by=None), 401)
    assert admin.get(path, by=admin.new_key(allowed_routes=["/v1/chat/*"])).status == 403


def test_names_with_slashes_are_names(admin: Admin) -> None:
    assert "'some/model'" in error_of(admin.get("/v1/models/some/model"), 404)["message"]


@pytest.mark.parametrize("path", ["/inference-profiles", "/bedrock/foundation-models"])
def test_bedrocks_control_plane_is_not_here(admin: Admin, path: str) -> None:
    answer = admin.get(path, by=None)
    assert answer.status == 404
    assert answer.headers["x-amzn-errortype"] == "ResourceNotFoundException"
    assert answer.json().keys() == {"message"}
