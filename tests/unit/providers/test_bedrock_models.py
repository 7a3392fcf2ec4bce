"""What is known of models, and what the configuration says otherwise."""

import pytest

from sekisho.core.errors import ConfigError
from sekisho.core.model import ModelFacts
from sekisho.providers.bedrock.address import parse_model
from sekisho.providers.bedrock.models import find_facts
from sekisho.providers.common.models import claude_fields, configured_facts, make_facts

ALL_PLACES = frozenset({"system", "tools", "messages"})


def facts_of(model: str) -> ModelFacts:
    return find_facts(parse_model(model).core)


@pytest.mark.parametrize(
    ("model", "family", "window", "output", "thinking", "sampling", "burndown"),
    [
        ("anthropic.claude-3-haiku-20240307-v1:0", "claude", 200_000, 4096, "none", "both", 1),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", "claude", 200_000, 8192, "none", "both", 1),
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", "claude", 200_000, 64_000, "budget", "both", 5),
        ("us.anthropic.claude-opus-4-20250514-v1:0", "claude", 200_000, 32_000, "budget", "both", 5),
        ("us.anthropic.claude-opus-4-1-20250805-v1:0", "claude", 200_000, 32_000, "budget", "one", 5),
        ("jp.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude", 200_000, 64_000, "budget", "one", 5),
        ("global.anthropic.claude-opus-4-6-v1", "claude", 1_000_000, 128_000, "both", "one", 5),
        ("anthropic.claude-opus-4-7", "claude", 1_000_000, 128_000, "adaptive", "none", 5),
        ("us.anthropic.claude-opus-5-5", "claude", 1_000_000, 128_000, "adaptive", "none", 5),
        ("global.anthropic.claude-haiku-5-5", "claude", 1_000_000, 128_000, "adaptive", "none", 5),
        ("us.amazon.nova-micro-v1:0", "nova", 128_000, 10_000, "none", "both", 1),
        ("us.amazon.nova-2-lite-v1:0", "nova", 1_000_000, 64_000, "nova", "both", 1),
        ("us.meta.llama4-scout-17b-instruct-v1:0", "llama", 10_000_000, 8192, "none", "both", 1),
        ("mistral.mistral-large-3-675b-instruct", "mistral", 256_000, 32_000, "none", "both", 1),
        ("openai.gpt-oss-120b-1:0", "gpt-oss", 128_000, 16_384, "effort_field", "both", 1),
        ("us.openai.gpt-6-sol", "gpt", 922_000, 128_000, "effort_field", "none", 1),
        ("us.deepseek.r1-v1:0", "deepseek", 128_000, 8192, "none", "both", 1),
        ("qwen.qwen3-coder-480b-a35b-v1:0", "qwen", 262_144, 16_384, "none", "both", 1),
        ("zai.glm-5", "glm", 200_000, 128_000, "none", "both", 1),
        ("vendor.unheard-of", "unknown", None, None, "none", "both", 1),
    ],
)
def test_models_are_known(
    model: str, family: str, window: int | None, output: int | None, thinking: str, sampling: str, burndown: int
) -> None:
    facts = facts_of(model)
    assert (facts.family, facts.max_input_tokens, facts.max_output_tokens) == (family, window, output)
    assert (facts.thinking, facts.sampling, facts.burndown) == (thinking, sampling, burndown)


@pytest.mark.parametrize(
    ("model", "places", "least", "hour"),
    [
        ("anthropic.claude-3-opus-20240229-v1:0", frozenset(), 1024, False),
        ("anthropic.claude-3-5-haiku-20241022-v1:0", ALL_PLACES, 2048, False),
        ("anthropic.claude-sonnet-4-20250514-v1:0", ALL_PLACES, 1024, False),
        ("anthropic.claude-haiku-4-5-20251001-v1:0", ALL_PLACES, 4096, True),
        ("anthropic.claude-opus-5", ALL_PLACES, 512, True),
        ("amazon.nova-pro-v1:0", frozenset({"system", "messages"}), 1024, False),
        ("meta.llama3-3-70b-instruct-v1:0", frozenset(), 1024, False),
    ],
)
def test_where_and_how_models_cache(model: str, places: frozenset[str], least: int, hour: bool) -> None:
    facts = facts_of(model)
    assert (facts.cache, facts.cache_min_tokens, facts.cache_ttl_1h) == (places, least, hour)


def test_a_longer_name_is_another_model_and_a_later_claude_is_like_the_newest() -> None:
    assert facts_of("anthropic.claude-opus-5-5") == facts_of("anthropic.claude-opus-5")
    later = facts_of("us.anthropic.claude-opus-77")
    assert (later.family, later.thinking, later.sampling) == ("claude", "adaptive", "none")
    assert facts_of("anthropic.claude-opus-48") != facts_of("anthropic.claude-opus-4-20250514-v1:0")


def test_an_opaque_id_has_the_defaults() -> None:
    assert facts_of("arn:aws:bedrock:us-east-1:111122223333:provisioned-model/abc") == ModelFacts()


def test_model_info_overrides() -> None:
    info = {
        "max_tokens": 1000,
        "max_input_tokens": 5000,
        "supports_vision": False,
        "supports_prompt_caching": False,
        "supports_function_calling": False,
        "supports_reasoning": False,
    }
    facts = configured_facts(facts_of("us.anthropic.claude-opus-5-5"), info, "x")
    assert (facts.max_output_tokens, facts.max_input_tokens) == (1000, 5000)
    assert (facts.vision, facts.cache, facts.tools, facts.thinking) == (False, frozenset(), False, "none")
    both = configured_facts(
        ModelFacts(), {"max_tokens": 1, "max_output_tokens": 2, "supports_prompt_caching": True}, "x"
    )
    assert (both.max_output_tokens, both.cache) == (2, ALL_PLACES)


@pytest.mark.parametrize("info", [{"max_tokens": "many"}, {"max_input_tokens": 0}, {"supports_vision": "yes"}])
def test_wrong_model_info_is_refused_by_place(info: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"config.yaml:5: model_info\."):
        configured_facts(ModelFacts(), info, "config.yaml:5")


def test_what_claude_can_do_is_bedrocks_where_bedrock_differs() -> None:
    here, there = facts_of("us.anthropic.claude-opus-4-7"), make_facts(claude_fields("claude-opus-4-7"))
    assert (here.json_schema, there.json_schema) == (False, True)
    assert (here.burndown, there.burndown) == (5, 1)
    assert here.max_output_tokens == there.max_output_tokens == 128_000


@pytest.mark.parametrize(
    ("model", "versions"),
    [
        ("anthropic.claude-sonnet-4-6", ("2023-06-01",)),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", ("2023-06-01",)),
        ("anthropic.claude-opus-4-7", ("2023-06-01", "2026-10-21")),
        ("global.anthropic.claude-sonnet-5-5", ("2023-06-01", "2026-10-21")),
        ("anthropic.claude-mythos-9", ("2023-06-01", "2026-10-21")),
    ],
)
def test_which_versions_of_anthropics_api_a_model_takes(model: str, versions: tuple[str, ...]) -> None:
    assert facts_of(model).anthropic_versions == versions


def test_betas_that_fail_a_request_on_bedrock_are_not_among_those_it_takes() -> None:
    for model in ("anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-sonnet-4-5", "anthropic.claude-opus-5-5"):
        betas = facts_of(model).betas
        assert betas is not None
        assert betas.isdisjoint({"structured-outputs-2025-11-13", "files-api-2025-04-14", "claude-code-20250219"})
    sonnet = facts_of("anthropic.claude-sonnet-4-5").betas
    assert sonnet is not None
    assert sonnet >= {"context-1m-2025-08-07", "interleaved-thinking-2025-05-14"}
    assert make_facts(claude_fields("claude-sonnet-4-5")).betas is None


def test_models_that_make_vectors_have_limits() -> None:
    assert facts_of("amazon.titan-embed-text-v2:0").max_input_tokens == 8192
    assert facts_of("cohere.embed-multilingual-v3").max_input_tokens == 512
    assert facts_of("us.cohere.embed-v4:0").max_input_tokens == 128_000
