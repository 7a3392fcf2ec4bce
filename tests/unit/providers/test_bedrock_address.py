"""Model strings, regions, endpoints and URLs, judged by botocore."""

import json
import re
from pathlib import Path

import botocore
import pytest
from botocore.config import Config
from botocore.session import Session
from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.errors import ConfigError
from sekisho.core.target import Errand
from sekisho.providers.aws.regions import regional_endpoint
from sekisho.providers.bedrock.address import (
    ModelId,
    call_url,
    choose_region,
    claims,
    configured_endpoint,
    model_url,
    parse_model,
)

PROFILE_ARN = "arn:aws:bedrock:eu-west-1:111122223333:application-inference-profile/abc123"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "AWS_REGION_NAME",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_PROFILE",
        "AWS_BEDROCK_RUNTIME_ENDPOINT",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
        "AWS_ENDPOINT_URL",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


@pytest.mark.parametrize(
    "model",
    [
        "bedrock/converse/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "bedrock/anything",
        "converse/amazon.nova-pro-v1:0",
        "anthropic.claude-opus-5-5",
        "us-gov.anthropic.claude-opus-5",
        "apac.amazon.nova-lite-v1:0",
        PROFILE_ARN,
        "arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/amazon.nova-pro-v1:0",
    ],
)
def test_it_claims_what_is_on_bedrock(model: str) -> None:
    assert claims(model)


@pytest.mark.parametrize("model", ["openai/gpt-5", "anthropic/claude-opus-5-5", "gpt-5", "vertex_ai/claude", ""])
def test_it_leaves_other_providers_alone(model: str) -> None:
    assert not claims(model)


NOVA = "amazon.nova-pro-v1:0"
CLAUDE = "anthropic.claude-opus-5-5"


@pytest.mark.parametrize(
    ("prefix", "model_id", "parts"),
    [
        ("bedrock/converse/", f"us.{NOVA}", {"scope": "us", "core": NOVA, "road": "converse"}),
        ("bedrock/", f"eu.{NOVA}", {"scope": "eu", "core": NOVA}),
        ("converse/", f"global.{NOVA}", {"scope": "global", "core": NOVA, "road": "converse"}),
        ("", f"us-gov.{NOVA}", {"scope": "us-gov", "core": NOVA}),
        ("bedrock/eu-west-3/", NOVA, {"core": NOVA, "region": "eu-west-3"}),
        ("bedrock/invoke/eu-west-3/", CLAUDE, {"core": CLAUDE, "region": "eu-west-3", "road": "invoke"}),
        ("bedrock/us-west-2/invoke/", CLAUDE, {"core": CLAUDE, "region": "us-west-2", "road": "invoke"}),
        ("bedrock/anthropic/", f"us.{CLAUDE}", {"scope": "us", "core": CLAUDE, "road": "anthropic"}),
        ("bedrock/openai/", "openai.gpt-6-sol", {"core": "openai.gpt-6-sol", "road": "openai"}),
        (
            "bedrock/converse/",
            PROFILE_ARN,
            {
                "kind": "application-inference-profile",
                "region": "eu-west-1",
                "account": "111122223333",
                "road": "converse",
            },
        ),
        (
            "bedrock/",
            f"arn:aws:bedrock:us-west-2::foundation-model/{NOVA}",
            {"core": NOVA, "kind": "foundation-model", "region": "us-west-2"},
        ),
        (
            "",
            f"arn:aws:bedrock:ca-west-1:111122223333:inference-profile/us.{NOVA}",
            {
                "scope": "us",
                "core": NOVA,
                "kind": "inference-profile",
                "region": "ca-west-1",
                "account": "111122223333",
            },
        ),
        ("bedrock/", "imported/something", {}),
    ],
)
def test_a_model_string_is_taken_apart(prefix: str, model_id: str, parts: dict[str, str]) -> None:
    assert parse_model(prefix + model_id) == ModelId(id=model_id, **parts)


def test_the_region_comes_from_the_nearest_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[profile work]\nregion = sa-east-1\n")
    profile, eu = {"aws_profile_name": "work"}, parse_model("eu.amazon.nova-pro-v1:0")
    assert choose_region(parse_model("amazon.nova-pro-v1:0"), {}, "x") == "us-west-2"
    assert choose_region(eu, {}, "x") == "eu-central-1"
    assert choose_region(eu, profile, "x") == "sa-east-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ca-central-1")
    assert choose_region(eu, profile, "x") == "ca-central-1"
    monkeypatch.setenv("AWS_REGION_NAME", "us-east-2")
    assert choose_region(eu, profile, "x") == "us-east-2"
    assert choose_region(parse_model(PROFILE_ARN), profile, "x") == "eu-west-1"
    assert choose_region(parse_model(PROFILE_ARN), {"aws_region_name": "ap-south-1"}, "x") == "ap-south-1"


@pytest.mark.parametrize("region", ["useast1", "us-east-1/", "US-EAST-1", 7, "us-east-1.evil.example"])
def test_a_wrong_region_is_refused_by_place(region: object) -> None:
    with pytest.raises(ConfigError, match=r"config.yaml:3: .*is not the name of an AWS region"):
        choose_region(parse_model("amazon.nova-pro-v1:0"), {"aws_region_name": region}, "config.yaml:3")


def test_the_endpoint_comes_from_the_nearest_source(monkeypatch: pytest.MonkeyPatch) -> None:
    assert configured_endpoint({}, "x") is None
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "https://standard.example/")
    assert configured_endpoint({}, "x") == "https://standard.example"
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    assert configured_endpoint({}, "x") is None
    monkeypatch.setenv("AWS_BEDROCK_RUNTIME_ENDPOINT", "https://litellm.example")
    assert configured_endpoint({}, "x") == "https://litellm.example"
    own = {"aws_bedrock_runtime_endpoint": "http://127.0.0.1:4100/x/"}
    assert configured_endpoint(own, "x") == "http://127.0.0.1:4100/x"


@pytest.mark.parametrize(
    "endpoint",
    ["bedrock.example", "ftp://a.example", "https://", "https://a/?b=c", "http://a:x/", "http://[::1/"],
)
def test_a_wrong_endpoint_is_refused_by_place(endpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"config.yaml:3: .*http\(s\) URL"):
        configured_endpoint({"aws_bedrock_runtime_endpoint": endpoint}, "config.yaml:3")


def test_the_domain_is_that_of_the_partition() -> None:
    data = json.loads((Path(botocore.__file__).parent / "data/partitions.json").read_text())
    checked = 0
    for partition in data["partitions"]:
        for region in partition["regions"]:
            if re.fullmatch(partition["regionRegex"], region):
                suffix = partition["outputs"]["dnsSuffix"]
                assert regional_endpoint("bedrock-runtime", region) == f"https://bedrock-runtime.{region}.{suffix}"
                checked += 1
    assert checked > 30


class _Sent(Exception):
    """Carries the URL that botocore would have sent to."""


@pytest.fixture(scope="module")
def botocore_url() -> object:
    client = Session().create_client(
        "bedrock-runtime",
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
    )

    def stop(request: object, **_: object) -> None:
        raise _Sent(request.url)  # type: ignore[attr-defined]  # botocore has no types

    client.meta.events.register("before-send", stop)

    def url(model_id: str, operation: str) -> str:
        with pytest.raises(_Sent) as caught:
            getattr(client, operation)(modelId=model_id)
        return str(caught.value)

    return url


@given(model_id=st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), min_size=3, max_size=60))
def test_the_url_is_the_one_botocore_uses(botocore_url: object, model_id: str) -> None:
    assert callable(botocore_url)
    ours = model_url("https://bedrock-runtime.us-east-1.amazonaws.com", model_id, "converse-stream")
    assert ours == botocore_url(model_id, "converse_stream")
    home = regional_endpoint("bedrock-runtime", "us-east-1")
    assert model_url(home, PROFILE_ARN, "converse") == botocore_url(PROFILE_ARN, "converse")


@pytest.mark.parametrize(
    ("dialect", "operation", "stream", "their_operation"),
    [
        ("bedrock_converse", "chat", False, "converse"),
        ("bedrock_converse", "chat", True, "converse_stream"),
        ("bedrock_invoke", "chat", False, "invoke_model"),
        ("bedrock_invoke", "chat", True, "invoke_model_with_response_stream"),
        ("titan_embeddings", "embeddings", False, "invoke_model"),
        ("cohere_embeddings", "embeddings", False, "invoke_model"),
    ],
)
def test_each_call_has_botocores_url(
    botocore_url: object, dialect: str, operation: str, stream: bool, their_operation: str
) -> None:
    assert callable(botocore_url)
    model = parse_model(f"us.{CLAUDE}")
    errand = Errand(dialect, operation, stream)  # type: ignore[arg-type]  # a parameter of the test is plain text
    ours = call_url("https://bedrock-runtime.us-east-1.amazonaws.com", model, errand)
    assert ours == botocore_url(f"us.{CLAUDE}", their_operation)


def test_tokens_are_counted_by_the_foundation_model(botocore_url: object) -> None:
    assert callable(botocore_url)
    errand = Errand("bedrock_invoke", "count_tokens")
    ours = call_url("https://bedrock-runtime.us-east-1.amazonaws.com", parse_model(f"us.{CLAUDE}"), errand)
    assert ours == botocore_url(CLAUDE, "count_tokens")
    assert call_url("http://a", parse_model(PROFILE_ARN), errand).endswith("profile%2Fabc123/count-tokens")


@pytest.mark.parametrize(
    ("dialect", "path"),
    [
        ("anthropic_messages", "/anthropic/v1/messages"),
        ("openai_chat", "/openai/v1/chat/completions"),
        ("openai_responses", "/openai/v1/responses"),
    ],
)
def test_the_vendors_own_paths_have_no_model_in_them(dialect: str, path: str) -> None:
    for stream in (False, True):
        assert call_url("http://a/b", parse_model(CLAUDE), Errand(dialect, "chat", stream)) == f"http://a/b{path}"
