"""Which model answers when the one that was asked for cannot, and what a developer is told of it.

One gateway for all tests: nothing rests in it and nothing waits, so that no test depends on the failures of another.
"""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.gateway import Answer, Gateway, Simulator, run_gateway

SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
NOVA, MICRO = "us.amazon.nova-pro-v1:0", "us.amazon.nova-micro-v1:0"
TEXT = '[[sim: {"text": "served in full"}]]'
PIXEL = base64.b64encode(bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489")).decode()


def deployment(name: str, model: str, region: str, more: str = "") -> str:
    return f"""
  - model_name: {name}
    litellm_params: {{model: bedrock/{model}, aws_region_name: {region}{more}}}"""


CONFIG = f"""
model_list:
{deployment("first", SONNET, "us-east-1")}
{deployment("second", HAIKU, "us-east-1")}
{deployment("third", NOVA, "us-east-1")}
{deployment("blind", MICRO, "us-east-1")}
{deployment("roomy", SONNET, "us-west-2")}
{deployment("mild", HAIKU, "us-west-2")}
{deployment("short", HAIKU, "eu-west-1")}
    model_info: {{max_input_tokens: 2000}}
{deployment("hasty", SONNET, "eu-west-1", ", stream_timeout: 0.4")}
{deployment("bounded", SONNET, "eu-central-1", ", total_timeout: 2")}
{deployment("nowhere", SONNET, "ap-northeast-1", ", aws_bedrock_runtime_endpoint: 'http://127.0.0.1:9'")}
router_settings:
  num_retries: 1
  disable_cooldowns: true
  queue: {{max_seconds: 0}}
  fallbacks:
    - first: [second]
    - second: [third]
    - third: [blind, mild]
    - hasty: [third]
    - bounded: [third]
    - nowhere: [third]
  context_window_fallbacks:
    - short: [roomy]
    - first: [roomy]
  content_policy_fallbacks:
    - first: [mild]
  budget_fallbacks:
    - first: [blind, second]
"""


@pytest.fixture(scope="module")
def running_gateway(running_simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    home: Path = tmp_path_factory.mktemp("home")
    with run_gateway(home, CONFIG, running_simulator.environment) as gateway:
        yield gateway


def ask(gateway: Gateway, model: str, *, key: str | None = None, content: object = TEXT, **more: object) -> Answer:
    messages = [{"role": "user", "content": content}]
    return gateway.post("/v1/chat/completions", {"model": model, "messages": messages, **more}, key)


def served_by(answer: Answer) -> tuple[str, str]:
    assert answer.status == 200, answer.body
    return answer.headers["x-litellm-model-group"], answer.headers["x-litellm-attempted-fallbacks"]


def models(simulator: Simulator) -> list[str]:
    return [call["model"] for call in simulator.calls()]


def reject(simulator: Simulator, region: str, message: str) -> None:
    fault = {"kind": "error", "status": 400, "type": "ValidationException", "message": message}
    simulator.fault({"region": region}, fault)


def test_the_fallbacks_of_fallbacks_serve_when_those_fail_too(gateway: Gateway, simulator: Simulator) -> None:
    for model in (SONNET, HAIKU):
        simulator.fault({"model": model}, {"kind": "throttle"})
    answer = ask(gateway, "first")
    assert served_by(answer) == ("third", "2")
    assert answer.json()["model"] == "first"
    assert models(simulator) == [SONNET, HAIKU, NOVA]
    (row,) = gateway.get(f"/spend/logs?request_id={answer.headers['x-litellm-call-id']}").json()
    assert row["model_group"] == "third"


def test_no_fallback_leads_to_a_model_that_the_key_may_not_use(gateway: Gateway, simulator: Simulator) -> None:
    simulator.fault({"model": SONNET}, {"kind": "throttle"})
    key = gateway.make_key(models=["first", "third"])
    assert ask(gateway, "first", key=key).status == 429
    assert ask(gateway, "first", key=key, fallbacks=["second", {"model": "blind"}]).status == 429
    assert served_by(ask(gateway, "first", key=key, fallbacks=["second", {"model": "third"}])) == ("third", "1")
    assert HAIKU not in models(simulator)


def test_a_fallback_that_cannot_see_is_passed_over_when_there_are_pictures(
    gateway: Gateway, simulator: Simulator
) -> None:
    simulator.fault({"model": NOVA}, {"kind": "throttle"})
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    text = {"type": "text", "text": TEXT}
    assert served_by(ask(gateway, "third", content=[text])) == ("blind", "1")
    assert served_by(ask(gateway, "third", content=[text, picture])) == ("mild", "1")
    assert models(simulator) == [NOVA, MICRO, NOVA, HAIKU]
    assert "obstacle='images'" in gateway.errors()


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_that_is_too_long_goes_to_the_model_for_long_ones(
    gateway: Gateway, simulator: Simulator, stream: bool
) -> None:
    reject(simulator, "us-east-1", "Input is too long for requested model.")
    assert served_by(ask(gateway, "first", stream=stream)) == ("roomy", "1")
    assert ask(gateway, "second", stream=stream).status == 400  # it has no such fallback, and no other would help
    assert len(simulator.calls()) == 3


def test_a_prompt_that_is_certainly_too_long_is_not_even_tried(gateway: Gateway, simulator: Simulator) -> None:
    assert served_by(ask(gateway, "short", content=TEXT + " word" * 200)) == ("short", "0")
    assert served_by(ask(gateway, "short", content=TEXT + " word" * 4000)) == ("roomy", "1")
    assert [call["region"] for call in simulator.calls()] == ["eu-west-1", "us-west-2"]


def test_what_a_filter_refuses_goes_to_the_model_for_that(gateway: Gateway, simulator: Simulator) -> None:
    reject(simulator, "us-east-1", "The prompt was blocked by the content filter.")
    assert served_by(ask(gateway, "first")) == ("mild", "1")


def test_a_model_serves_until_its_budget_is_gone_and_then_its_budget_fallback(
    gateway: Gateway, simulator: Simulator
) -> None:
    key = gateway.make_key(max_budget=1, model_max_budget={"first": {"budget_limit": 0.02, "time_period": "30d"}})
    short = {"max_tokens": 300}
    assert served_by(ask(gateway, "first", key=key, **short)) == ("first", "0")
    gone = gateway.make_key(max_budget=1, model_max_budget={"first": 0, "blind": 0})
    answer = ask(gateway, "first", key=gone, **short)
    assert served_by(answer) == ("second", "1")
    assert models(simulator) == [SONNET, HAIKU]
    (row,) = gateway.get(f"/spend/logs?request_id={answer.headers['x-litellm-call-id']}").json()
    assert (row["model_group"], row["spend"] > 0) == ("second", True)


def test_money_that_is_gone_altogether_is_no_reason_for_another_model(gateway: Gateway, simulator: Simulator) -> None:
    answer = ask(gateway, "first", key=gateway.make_key(max_budget=0))
    assert answer.status == 402
    both = gateway.make_key(model_max_budget=dict.fromkeys(("first", "second", "blind"), 0))
    answer = ask(gateway, "first", key=both)
    assert answer.status == 402
    assert "'first'" in answer.json()["error"]["message"]
    assert simulator.calls() == []


def test_a_stream_whose_first_token_does_not_come_goes_elsewhere(gateway: Gateway, simulator: Simulator) -> None:
    simulator.fault({"region": "eu-west-1"}, {"kind": "slow", "event_ms": 60_000})
    answer = ask(gateway, "hasty", stream=True)
    assert served_by(answer) == ("third", "1")
    assert b"[DONE]" in answer.body


def test_a_stream_that_takes_too_long_altogether_ends_with_an_error(gateway: Gateway, simulator: Simulator) -> None:
    simulator.fault({"region": "eu-central-1"}, {"kind": "slow", "event_ms": 200})
    answer = ask(gateway, "bounded", stream=True, content='[[sim: {"repeat": 60}]]')
    assert answer.status == 200
    assert answer.headers["x-litellm-model-group"] == "bounded"
    assert b"[DONE]" not in answer.body
    assert b'"error"' in answer.body
    (call,) = simulator.calls()
    assert call["region"] == "eu-central-1"


def test_why_a_connection_failed_is_in_the_log_only(gateway: Gateway, simulator: Simulator) -> None:
    assert served_by(ask(gateway, "nowhere")) == ("third", "1")
    (line,) = [line for line in gateway.errors().splitlines() if "Could not connect" in line]
    assert "127.0.0.1:9" in line
    assert "ms=" in line
    simulator.fault({}, {"kind": "error", "status": 503, "type": "ServiceUnavailableException"})
    answer = ask(gateway, "nowhere", fallbacks=[])
    assert (answer.status, b"127.0.0.1" in answer.body) == (503, False)


def test_the_answer_of_a_fallback_is_told_in_every_dialect(gateway: Gateway, simulator: Simulator) -> None:
    simulator.fault({"model": SONNET}, {"kind": "throttle"})
    body = {"model": "first", "max_tokens": 50, "messages": [{"role": "user", "content": TEXT}]}
    answer = gateway.post("/v1/messages", body)
    assert served_by(answer) == ("second", "1")
