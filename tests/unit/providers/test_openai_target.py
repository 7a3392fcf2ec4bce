"""Deployments on OpenAI, Azure and compatible servers, from their configuration to addressed requests."""

import pytest

from sekisho.config.snapshot import Deployment
from sekisho.core.clock import ManualClock
from sekisho.core.errors import ConfigError
from sekisho.core.target import Errand, ProviderEnvironment, Target
from sekisho.core.wire import Operation, WireRequest
from sekisho.providers import openai
from sekisho.providers.openai.servers import SERVERS

KEY: dict[str, object] = {"api_key": "sk-test"}
AZURE: dict[str, object] = {**KEY, "api_base": "https://res.openai.azure.com"}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {name for server in SERVERS.values() for name in (*server.base_variables, *server.key_variables)}
    for name in (*names, "OPENAI_ORGANIZATION", "AZURE_API_VERSION"):
        monkeypatch.delenv(name, raising=False)


def target(model: str, params: dict[str, object] | None = None, info: dict[str, object] | None = None) -> Target:
    deployment = Deployment(
        id="d1",
        model_name="m",
        model=model,
        params=KEY if params is None else params,
        model_info=info or {},
        where="config.yaml:7",
    )
    return openai.resolve(deployment, ProviderEnvironment(clock=ManualClock()))


async def url(it: Target, dialect: str = "openai_chat", operation: Operation = "chat") -> str:
    return (await it.sign(WireRequest(body=b"{}"), Errand(dialect, operation))).url


@pytest.mark.parametrize(
    "model",
    [
        "openai/anything",
        "gpt-4o",
        "gpt-6.1-sol",
        "o1",
        "o3-mini",
        "text-embedding-3-small",
        "ft:gpt-4o:acme::id",
        "azure/mine",
        "hosted_vllm/meta/llama",
        "ollama/qwen3",
        "openrouter/anthropic/claude-opus-5",
    ],
)
def test_it_claims_openai_and_its_like(model: str) -> None:
    assert openai.claims(model)


@pytest.mark.parametrize(
    "model",
    ["openai.gpt-oss-120b-1:0", "bedrock/openai.gpt-6-sol", "claude-opus-5", "oracle", "o3x", "vertex_ai/x"],
)
def test_it_leaves_other_providers_alone(model: str) -> None:
    assert not openai.claims(model)


CHAT = ("openai_chat", "openai_responses")
COUNTED = ("openai_responses",)
COMPATIBLE = {"chat": ("openai_chat", "openai_completions"), "embeddings": ("openai_embeddings",)}
LOCAL: dict[str, object] = {"api_base": "http://localhost:8000/v1"}


@pytest.mark.parametrize(
    ("model", "params", "info", "dialects"),
    [
        ("gpt-4o", KEY, {}, {"chat": CHAT, "count_tokens": COUNTED}),
        ("openai/o3", KEY, {}, {"chat": CHAT, "count_tokens": COUNTED}),
        ("openai/responses/gpt-4o", KEY, {}, {"chat": ("openai_responses",), "count_tokens": COUNTED}),
        ("openai/gpt-5.3-codex", KEY, {}, {"chat": ("openai_responses",), "count_tokens": COUNTED}),
        ("openai/o3-pro", KEY, {}, {"chat": ("openai_responses",), "count_tokens": COUNTED}),
        ("openai/gpt-3.5-turbo-instruct", KEY, {}, {"chat": ("openai_completions",)}),
        ("openai/text-embedding-3-large", KEY, {}, {"embeddings": ("openai_embeddings",)}),
        ("openai/qwen3", LOCAL, {}, COMPATIBLE),
        ("openai/gpt-4o", LOCAL, {}, COMPATIBLE),
        ("openai/qwen3", LOCAL, {"mode": "chat"}, {"chat": ("openai_chat", "openai_completions")}),
        ("openai/qwen3", LOCAL, {"mode": "responses"}, {"chat": ("openai_responses",)}),
        ("hosted_vllm/bge-m3", LOCAL, {"mode": "embedding"}, {"embeddings": ("openai_embeddings",)}),
        ("text-completion-openai/x", LOCAL, {}, {"chat": ("openai_completions",)}),
        ("ollama/qwen3", {}, {}, COMPATIBLE),
        ("groq/llama", KEY, {"mode": "chat"}, {"chat": ("openai_chat",)}),
        ("azure/mine", {**AZURE, "api_version": "v1"}, {}, {"chat": CHAT}),
        ("azure/mine", {**AZURE, "api_version": "2025-04-01-preview"}, {}, {"chat": CHAT}),
        ("azure/mine", {**AZURE, "api_version": "2024-10-21"}, {}, {"chat": ("openai_chat",)}),
        ("azure/emb", AZURE, {"base_model": "azure/text-embedding-3-small"}, {"embeddings": ("openai_embeddings",)}),
    ],
)
async def test_which_apis_a_deployment_has(
    model: str, params: dict[str, object], info: dict[str, object], dialects: dict[Operation, tuple[str, ...]]
) -> None:
    it = target(model, params, info)
    assert it.dialects == dialects
    for operation, names in dialects.items():
        for name in names:  # every one of them has an address
            assert (await url(it, name, operation)).startswith("http")


@pytest.mark.parametrize(
    ("model", "params", "dialect", "expected"),
    [
        ("gpt-4o", KEY, "openai_chat", "https://api.openai.com/v1/chat/completions"),
        ("gpt-4o", KEY, "openai_responses", "https://api.openai.com/v1/responses"),
        ("openai/x", LOCAL, "openai_chat", "http://localhost:8000/v1/chat/completions"),
        ("openai/x", {"api_base": "http://localhost:8000/"}, "openai_chat", "http://localhost:8000/chat/completions"),
        ("openai/x", {"base_url": "https://h/v1/chat/completions"}, "openai_completions", "https://h/v1/completions"),
        ("openai/x", LOCAL, "openai_completions", "http://localhost:8000/v1/completions"),
        ("ollama_chat/x", {}, "openai_chat", "http://localhost:11434/v1/chat/completions"),
        ("ollama/x", {"api_base": "http://box:11434"}, "openai_chat", "http://box:11434/v1/chat/completions"),
        ("ollama/x", {"api_base": "http://box:11434/v1"}, "openai_chat", "http://box:11434/v1/chat/completions"),
        ("openrouter/a/b", KEY, "openai_chat", "https://openrouter.ai/api/v1/chat/completions"),
        ("deepseek/deepseek-chat", KEY, "openai_chat", "https://api.deepseek.com/v1/chat/completions"),
        ("groq/llama", KEY, "openai_chat", "https://api.groq.com/openai/v1/chat/completions"),
        (
            "azure/my dep",
            {**AZURE, "api_version": "2024-10-21"},
            "openai_chat",
            "https://res.openai.azure.com/openai/deployments/my%20dep/chat/completions?api-version=2024-10-21",
        ),
        (
            "azure/o_series/dep",
            AZURE,
            "openai_chat",
            "https://res.openai.azure.com/openai/deployments/dep/chat/completions?api-version=2025-02-01-preview",
        ),
        (
            "azure/dep",
            {**AZURE, "api_version": "2025-04-01-preview"},
            "openai_responses",
            "https://res.openai.azure.com/openai/responses?api-version=2025-04-01-preview",
        ),
        (
            "azure/dep",
            {**AZURE, "api_version": "v1"},
            "openai_responses",
            "https://res.openai.azure.com/openai/v1/responses",
        ),
        (
            "azure/dep",
            {**AZURE, "api_version": "preview"},
            "openai_chat",
            "https://res.openai.azure.com/openai/v1/chat/completions?api-version=preview",
        ),
        (
            "azure/dep",
            {**KEY, "api_base": "https://res.openai.azure.com/openai/v1/"},
            "openai_chat",
            "https://res.openai.azure.com/openai/v1/chat/completions",
        ),
        (
            "azure/dep",
            {**KEY, "api_base": "https://res.openai.azure.com/openai/deployments/own", "api_version": "2025-04-01"},
            "openai_chat",
            "https://res.openai.azure.com/openai/deployments/own/chat/completions?api-version=2025-04-01",
        ),
    ],
)
async def test_the_addresses(model: str, params: dict[str, object], dialect: str, expected: str) -> None:
    assert await url(target(model, params), dialect) == expected


async def test_the_address_of_embeddings() -> None:
    it = target("text-embedding-3-small")
    assert await url(it, "openai_embeddings", "embeddings") == "https://api.openai.com/v1/embeddings"


async def test_tokens_are_counted_by_openai_itself_only() -> None:
    it = target("gpt-4o")
    assert await url(it, "openai_responses", "count_tokens") == "https://api.openai.com/v1/responses/input_tokens"
    assert "count_tokens" not in target("openai/responses/qwen3", LOCAL).dialects


async def headers_of(it: Target, **headers: str) -> dict[str, str]:
    return (await it.sign(WireRequest(body=b"", headers=headers), Errand("openai_chat"))).headers


async def test_the_key_goes_into_its_header() -> None:
    it = target("gpt-4o", {**KEY, "organization": "org-1", "extra_headers": {"X-Team": "blue"}})
    assert await headers_of(it, own="kept") == {
        "accept": "application/json",
        "content-type": "application/json",
        "own": "kept",
        "authorization": "Bearer sk-test",
        "openai-organization": "org-1",
        "x-team": "blue",
        "host": "api.openai.com",
    }
    assert "sk-test" not in it.bucket
    azure = await headers_of(target("azure/x", AZURE))
    assert azure["api-key"] == "sk-test"
    assert "authorization" not in azure


async def test_the_environment_fills_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-env")
    monkeypatch.setenv("OPENAI_ORGANIZATION", "org-env")
    monkeypatch.setenv("GROQ_API_KEY", "gsk-env")
    headers = await headers_of(target("gpt-4o", {}))
    assert (headers["authorization"], headers["openai-organization"]) == ("Bearer sk-env", "org-env")
    groq = await headers_of(target("groq/llama", {}))
    assert groq["authorization"] == "Bearer gsk-env"
    assert "openai-organization" not in groq
    monkeypatch.setenv("OPENAI_API_BASE", "https://env.example/v1")
    assert await url(target("openai/x", {})) == "https://env.example/v1/chat/completions"


async def test_a_key_of_the_environment_crosses_no_network_in_clear_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-env")
    for base, sent in (("http://box.example/v1", False), ("https://box.example/v1", True), ("http://[::1]:1/v1", True)):
        headers = await headers_of(target("openai/x", {"api_base": base}))
        assert ("authorization" in headers) == sent
    own = await headers_of(target("openai/x", {"api_base": "http://box.example/v1", "api_key": "mine"}))
    assert own["authorization"] == "Bearer mine"


async def test_local_servers_need_no_key() -> None:
    for model in ("ollama/x", "lm_studio/x"):
        assert "authorization" not in await headers_of(target(model, {}))
    assert "authorization" not in await headers_of(target("openai/x", LOCAL))


def test_the_target_describes_itself() -> None:
    it = target("openai/gpt-4o-2024-11-20")
    assert (it.provider, it.upstream_model) == (openai.name, "gpt-4o-2024-11-20")
    assert (it.account, it.region, it.simulated) == (None, None, False)
    assert (it.facts.family, it.facts.max_input_tokens, it.facts.vision) == ("gpt", 128_000, True)
    assert it.price is not None
    assert it.price.base.input == 25 * 10**8
    assert target("gpt-4o", {"api_key": "another"}).bucket != target("gpt-4o").bucket


@pytest.mark.parametrize(
    ("model", "window", "output", "thinking", "sampling", "vision"),
    [
        ("gpt-4", 8192, 8192, "none", "both", False),
        ("gpt-4.1-mini", 1_000_000, 32_768, "none", "both", True),
        ("o3-mini-2025-01-31", 200_000, 100_000, "effort_field", "none", True),
        ("gpt-5-mini", 272_000, 128_000, "effort_field", "none", True),
        ("gpt-5.4", 922_000, 128_000, "effort_field", "none", True),
        ("gpt-6-sol", 922_000, 128_000, "effort_field", "none", True),
        ("gpt-9-nova", None, None, "effort_field", "none", True),
        ("ft:gpt-4o-mini:acme::id", 128_000, 16_384, "none", "both", True),
    ],
)
def test_openais_models_are_known(
    model: str, window: int | None, output: int | None, thinking: str, sampling: str, vision: bool
) -> None:
    facts = target(f"openai/{model}").facts
    assert (facts.max_input_tokens, facts.max_output_tokens) == (window, output)
    assert (facts.thinking, facts.sampling, facts.vision) == (thinking, sampling, vision)


def test_other_models_are_what_the_configuration_says() -> None:
    plain = target("hosted_vllm/qwen3", LOCAL)
    assert (plain.facts.family, plain.facts.tools, plain.price) == ("unknown", True, None)
    told = target("hosted_vllm/qwen3", LOCAL, {"supports_vision": True, "max_input_tokens": 4096})
    assert (told.facts.vision, told.facts.max_input_tokens) == (True, 4096)
    assert target("hosted_vllm/gpt-4o", LOCAL).price is None  # whatever it is, it is not sold by OpenAI
    azure = target("azure/mine", AZURE, {"base_model": "azure/gpt-4o"})
    assert azure.facts.max_input_tokens == 128_000
    assert azure.price is not None
    assert target("azure/mine", AZURE).price is None


@pytest.mark.parametrize(
    ("model", "params", "info", "message"),
    [
        ("gpt-4o", {}, {}, "OPENAI_API_KEY"),
        ("openai/gpt-4o", {}, {}, "OPENAI_API_KEY"),
        ("groq/x", {}, {}, "GROQ_API_KEY"),
        ("openai/", KEY, {}, "name is missing"),
        ("azure/x", KEY, {}, "AZURE_API_BASE"),
        ("azure/x", {"api_base": "https://res.openai.azure.com"}, {}, "AZURE_API_KEY"),
        ("azure/x", {**AZURE, "api_version": "newest"}, {}, "api_version"),
        ("hosted_vllm/x", {}, {}, "api_base, or set HOSTED_VLLM_API_BASE"),
        ("openai/x", {**KEY, "api_base": "localhost:8000"}, {}, "http"),
        ("openai/x", {**KEY, "api_base": 7}, {}, "must be text"),
        ("gpt-4o", KEY, {"mode": "image_generation"}, "not served here"),
        ("gpt-4o", {"api_key": "a\nb"}, {}, "no key has"),
        ("gpt-4o", {**KEY, "organization": "a\r\nb: c"}, {}, "no key has"),
    ],
)
def test_what_cannot_work_is_refused_by_place(
    model: str, params: dict[str, object], info: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=f"config.yaml:7: .*{message}"):
        target(model, params, info)


def test_errors_are_told_in_the_servers_name() -> None:
    body = b'{"error":{"message":"Rate limit reached","type":"tokens","code":"rate_limit_exceeded"}}'
    error = target("groq/x").classify_response(429, {"retry-after": "2"}, body)
    assert error.message.startswith("Groq's rate limit")
    assert (error.cooldown, error.native) == (2.0, "rate_limit_exceeded")


async def test_there_is_no_counterpart() -> None:
    assert not await openai.detect_simulation([])
