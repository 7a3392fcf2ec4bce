"""A deployment on Anthropic's API, from its configuration to addressed requests."""

import pytest

from sekisho.config.snapshot import Deployment
from sekisho.core.clock import ManualClock
from sekisho.core.errors import ConfigError
from sekisho.core.target import Errand, ProviderEnvironment, Target
from sekisho.core.wire import Operation, WireFault, WireRequest
from sekisho.providers import anthropic


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def target(
    params: dict[str, object], model: str = "anthropic/claude-opus-4-5-20251101", info: dict[str, object] | None = None
) -> Target:
    deployment = Deployment(
        id="d1", model_name="opus", model=model, params=params, model_info=info or {}, where="config.yaml:7"
    )
    return anthropic.resolve(deployment, ProviderEnvironment(clock=ManualClock()))


KEY: dict[str, object] = {"api_key": "sk-ant-test"}


def test_what_it_claims() -> None:
    assert all(map(anthropic.claims, ("anthropic/claude-opus-5", "anthropic/other", "claude-sonnet-4-5")))
    assert not any(
        map(anthropic.claims, ("anthropic.claude-opus-5", "us.anthropic.claude-opus-5", "openai/claude-x", "claude"))
    )


async def test_the_key_goes_into_its_header_and_nowhere_else() -> None:
    it = target(KEY)
    wire = WireRequest(body=b"{}", headers={"anthropic-version": "2026-10-21", "anthropic-beta": "a,b"})
    signed = await it.sign(wire, Errand("anthropic_messages", "chat", True))
    assert signed.url == "https://api.anthropic.com/v1/messages"
    assert signed.headers == {
        "accept": "text/event-stream",
        "content-type": "application/json",
        "anthropic-version": "2026-10-21",
        "anthropic-beta": "a,b",
        "x-api-key": "sk-ant-test",
        "host": "api.anthropic.com",
    }
    assert "sk-ant" not in it.bucket


@pytest.mark.parametrize(
    ("base", "operation", "url"),
    [
        ("https://proxy.example/claude", "chat", "https://proxy.example/claude/v1/messages"),
        ("https://proxy.example/claude/", "count_tokens", "https://proxy.example/claude/v1/messages/count_tokens"),
        ("http://127.0.0.1:4100/v1", "chat", "http://127.0.0.1:4100/v1/messages"),
        ("http://127.0.0.1:4100/v1/messages", "chat", "http://127.0.0.1:4100/v1/messages"),
    ],
)
async def test_a_base_url_may_be_given_in_each_of_litellms_ways(base: str, operation: Operation, url: str) -> None:
    for name in ("api_base", "base_url"):
        it = target({**KEY, name: base})
        assert (await it.sign(WireRequest(body=b""), Errand("anthropic_messages", operation))).url == url


async def test_the_environment_fills_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-env\n")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://env.example")
    signed = await target({}).sign(WireRequest(body=b""), Errand("anthropic_messages"))
    assert signed.url == "https://env.example/v1/messages"
    assert signed.headers["x-api-key"] == "sk-env"


async def test_more_headers_can_be_given() -> None:
    it = target({**KEY, "extra_headers": {"X-Team": "blue"}})
    assert (await it.sign(WireRequest(body=b""), Errand("anthropic_messages"))).headers["x-team"] == "blue"


def test_the_target_describes_itself() -> None:
    it = target(KEY)
    assert (it.deployment_id, it.model_name, it.provider) == ("d1", "opus", anthropic.name)
    assert it.upstream_model == "claude-opus-4-5-20251101"
    assert it.dialects == {"chat": ("anthropic_messages",), "count_tokens": ("anthropic_messages",)}
    assert (it.account, it.region, it.simulated) == (None, None, False)
    assert (it.facts.family, it.facts.betas, it.facts.burndown) == ("claude", None, 1)
    assert it.facts.anthropic_versions == ("2023-06-01", "2026-10-21")
    assert it.price is not None
    assert (it.price.base.input, it.price.base.output) == (5 * 10**9, 25 * 10**9)
    assert target({"api_key": "another"}).bucket != it.bucket


def test_a_model_of_a_compatible_server_is_unknown_unless_the_configuration_says() -> None:
    it = target({**KEY, "api_base": "https://other.example/anthropic"}, "anthropic/kimi-k3")
    assert (it.facts.family, it.price) == ("unknown", None)
    based = target(KEY, "anthropic/mine", {"base_model": "anthropic/claude-haiku-4-5", "max_output_tokens": 100})
    assert (based.facts.family, based.facts.max_output_tokens) == ("claude", 100)
    assert based.price is not None


@pytest.mark.parametrize(
    ("params", "model", "message"),
    [
        ({}, "claude-opus-5", "ANTHROPIC_API_KEY"),
        (KEY, "anthropic/", "name is missing"),
        ({"api_key": "a\nb"}, "claude-opus-5", "no key has"),
        ({**KEY, "api_base": "ftp://x"}, "claude-opus-5", "http"),
        ({**KEY, "extra_headers": {"host": "x"}}, "claude-opus-5", "extra_headers"),
        ({**KEY, "extra_headers": {"a b": "x"}}, "claude-opus-5", "extra_headers"),
        ({**KEY, "extra_headers": {"a": "x\r\ny: z"}}, "claude-opus-5", "extra_headers"),
        ({**KEY, "extra_headers": ["a"]}, "claude-opus-5", "extra_headers"),
    ],
)
def test_what_cannot_work_is_refused_by_place(params: dict[str, object], model: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"config.yaml:7: .*{message}") as caught:
        target(params, model)
    assert "sk-ant" not in str(caught.value)


def test_errors_are_told_in_anthropics_name() -> None:
    it = target(KEY)
    body = b'{"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed"}}'
    error = it.classify_response(429, {"retry-after": "11"}, body)
    assert (error.status, error.retry_after) == (429, 11.0)
    assert error.message.startswith("Anthropic's rate limit")
    assert it.classify_response(502, {}, b"<html>").verdict == "same"
    assert it.classify_fault(WireFault("overloaded_error", "Overloaded")).verdict == "elsewhere"


async def test_there_is_no_counterpart() -> None:
    assert not await anthropic.detect_simulation([])
