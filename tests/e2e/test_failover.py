"""What a developer sees when upstreams fail: nothing, as long as some road is open."""

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from tests.e2e.conftest import CONFIG
from tests.support.gateway import Answer, Gateway, Simulator, run_gateway

MESSAGES = [{"role": "user", "content": '[[sim: {"text": "served in full"}]]'}]
SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"


@pytest.fixture(scope="module")
def running_gateway(running_simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """It forgets failures at once, so that no test depends on those of another."""
    restless = CONFIG.replace(
        "  default_model: sonnet",
        "  default_model: sonnet\n  queue: {max_seconds: 0}\n  disable_cooldowns: true\n"
        "  routing_strategy: simple-shuffle",
    )
    with run_gateway(tmp_path_factory.mktemp("home"), restless, running_simulator.environment) as gateway:
        yield gateway


@pytest.fixture
def resting_gateway(tmp_path: Path, simulator: Simulator) -> Iterator[Gateway]:
    """A gateway of its own for a test in which something is set to rest, and nothing waits."""
    config = CONFIG.replace("  default_model: sonnet", "  default_model: sonnet\n  queue: {max_seconds: 0}")
    with run_gateway(tmp_path / "home", config, simulator.environment) as gateway:
        yield gateway


def ask(gateway: Gateway, model: str, stream: bool = False, **more: object) -> Answer:
    """One call of a conversation that has no other: where a session went before must not matter."""
    body = {"model": model, "messages": MESSAGES, "stream": stream, "litellm_session_id": str(uuid4()), **more}
    return gateway.post("/v1/chat/completions", body)


def roads(simulator: Simulator) -> list[tuple[str, str, int]]:
    return [(call["region"], call["model"], call["status"]) for call in simulator.calls()]


def text_of(answer: Answer) -> str:
    if "event-stream" not in answer.headers["content-type"]:
        content: str = answer.json()["choices"][0]["message"]["content"]
        return content
    events = [line[6:] for line in answer.body.decode().splitlines() if line.startswith("data: {")]
    chunks = [json.loads(event) for event in events]
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c.get("choices"))


FAILURES: list[dict[str, object]] = [
    {"kind": "throttle"},
    {"kind": "access_denied"},
    {"kind": "error", "status": 400, "type": "ServiceQuotaExceededException", "message": "Too many"},
    {"kind": "error", "status": 404, "type": "ResourceNotFoundException", "message": "no such model"},
    {"kind": "error", "status": 500, "type": "InternalServerException", "message": "oops"},
    {"kind": "error", "status": 503, "type": "ServiceUnavailableException", "message": "busy"},
    {"kind": "cut", "after": 0},
    {"kind": "garbage", "after": 0},
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", FAILURES, ids=lambda fault: str(fault.get("type", fault["kind"])))
def test_the_sibling_serves_when_the_first_deployment_fails(
    gateway: Gateway, simulator: Simulator, fault: dict[str, object], stream: bool
) -> None:
    simulator.fault({"region": "us-west-2"}, fault)
    answer = ask(gateway, "spread", stream)
    assert answer.status == 200, answer.body
    assert text_of(answer) == "served in full"
    assert answer.headers["x-litellm-attempted-retries"] == "1"
    assert answer.headers["x-litellm-attempted-fallbacks"] == "0"
    assert [region for region, _, _ in roads(simulator)] == ["us-west-2", "eu-west-1"]


def test_refused_credentials_are_renewed_for_one_more_attempt(gateway: Gateway, simulator: Simulator) -> None:
    expired = {"kind": "error", "status": 403, "type": "ExpiredTokenException", "message": "expired"}
    simulator.fault({"region": "us-west-2"}, expired, times=1)
    assert ask(gateway, "spread").status == 200
    simulator.fault({"region": "us-west-2"}, expired)
    assert ask(gateway, "spread").status == 200
    regions = [region for region, _, _ in roads(simulator)]
    assert regions == ["us-west-2", "us-west-2", "us-west-2", "us-west-2", "eu-west-1"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_lone_throttled_deployment_is_left_at_once_for_its_fallback(
    gateway: Gateway, simulator: Simulator, stream: bool
) -> None:
    simulator.fault({"model": SONNET}, {"kind": "throttle"})
    answer = ask(gateway, "sonnet", stream)
    assert answer.status == 200
    assert answer.headers["x-litellm-attempted-fallbacks"] == "1"
    assert answer.headers["x-litellm-model-group"] == "haiku"
    assert json.loads(answer.body)["model"] == "sonnet" if not stream else b'"model":"sonnet"' in answer.body


def test_what_failed_is_left_alone_and_tried_last(resting_gateway: Gateway, simulator: Simulator) -> None:
    simulator.fault({"model": SONNET, "region": "us-east-1"}, {"kind": "throttle", "retry_after": 60})
    simulator.fault({"region": "us-west-2"}, {"kind": "access_denied"})
    for _ in range(2):
        assert ask(resting_gateway, "sonnet").headers["x-litellm-model-group"] == "haiku"
        assert ask(resting_gateway, "spread").status == 200
    sonnet, haiku = ("us-east-1", SONNET), ("us-east-1", HAIKU)
    west, europe = ("us-west-2", SONNET), ("eu-west-1", SONNET)
    assert [road[:2] for road in roads(simulator)] == [sonnet, haiku, west, europe, haiku, europe]
    simulator.fault({}, {"kind": "throttle"})
    assert ask(resting_gateway, "sonnet").status == 429
    assert [road[:2] for road in roads(simulator)][6:] == [haiku, sonnet]


def test_a_region_that_is_down_is_found_out_after_a_few_calls(resting_gateway: Gateway, simulator: Simulator) -> None:
    simulator.fault({"region": "us-west-2"}, {"kind": "error", "status": 503, "type": "ServiceUnavailableException"})
    for _ in range(8):
        assert ask(resting_gateway, "spread").status == 200
    assert [region for region, _, _ in roads(simulator)].count("us-west-2") == 4


def test_a_stream_that_fails_before_its_first_event_goes_elsewhere(gateway: Gateway, simulator: Simulator) -> None:
    simulator.fault({"region": "us-west-2"}, {"kind": "exception_event", "type": "throttlingException", "after": 0})
    answer = ask(gateway, "spread", stream=True)
    assert answer.status == 200
    assert text_of(answer) == "served in full"


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "exception_event", "type": "modelStreamErrorException", "after": 3, "event_ms": 50},
        {"kind": "cut", "after": 3, "event_ms": 50},
        {"kind": "garbage", "after": 3, "event_ms": 50},
    ],
    ids=lambda fault: fault["kind"],
)
def test_a_stream_that_breaks_later_ends_with_an_error_and_never_cleanly(
    gateway: Gateway, simulator: Simulator, fault: dict[str, object]
) -> None:
    simulator.fault({"region": "us-west-2"}, fault)
    answer = ask(gateway, "spread", stream=True)
    assert answer.status == 200
    assert b"[DONE]" not in answer.body
    last = json.loads(answer.body.decode().rstrip().rsplit("data: ", 1)[1])
    assert last["error"]["message"]
    assert len(simulator.calls()) == 1
    (row,) = gateway.get(f"/spend/logs?request_id={answer.headers['x-litellm-call-id']}").json()
    assert row["status"] == "failure"
    assert row["spend"] > 0


def test_a_throttle_everywhere_is_told_as_a_rate_limit_with_the_wait(gateway: Gateway, simulator: Simulator) -> None:
    simulator.fault({}, {"kind": "throttle"})
    answer = ask(gateway, "sonnet")
    assert answer.status == 429
    error = answer.json()["error"]
    assert "rate limit" in error["message"].lower()
    assert error["type"] == "throttling_error"
    assert 1 <= int(answer.headers["retry-after"]) <= 60


def test_a_passing_failure_of_the_last_deployment_is_repeated(gateway: Gateway, simulator: Simulator) -> None:
    simulator.fault({}, {"kind": "error", "status": 503, "type": "ServiceUnavailableException"}, times=1)
    answer = ask(gateway, "nova")
    assert answer.status == 200
    assert answer.headers["x-litellm-attempted-retries"] == "1"
    (row,) = gateway.get(f"/spend/logs?request_id={answer.headers['x-litellm-call-id']}").json()
    failed, answered = row["metadata"]["attempts"]
    assert failed["error"] == "UpstreamUnavailable:ServiceUnavailableException"
    assert answered["error"] is None
    assert failed["deployment_id"] == answered["deployment_id"] == row["model_id"]


def test_the_request_s_own_mistake_goes_nowhere_else(gateway: Gateway, simulator: Simulator) -> None:
    message = "Input is too long for requested model."
    simulator.fault({}, {"kind": "error", "status": 400, "type": "ValidationException", "message": message})
    answer = ask(gateway, "sonnet")
    assert answer.status == 400
    assert message in answer.json()["error"]["message"]
    assert len(simulator.calls()) == 1


def test_a_misconfigured_target_is_not_the_client_s_fault(gateway: Gateway, simulator: Simulator) -> None:
    simulator.fault({}, {"kind": "access_denied"})
    answer = ask(gateway, "nova")
    assert answer.status == 502
    assert "arn:" not in answer.body.decode()
    assert "AccessDenied" in gateway.errors()


def test_the_request_may_name_its_own_fallbacks(gateway: Gateway, simulator: Simulator) -> None:
    simulator.fault({"model": SONNET}, {"kind": "throttle"})
    answer = ask(gateway, "sonnet", fallbacks=["nova"])
    assert answer.status == 200
    assert answer.headers["x-litellm-model-group"] == "nova"


def test_without_failover_the_first_answer_counts(tmp_path: Path, simulator: Simulator) -> None:
    simulator.fault({}, {"kind": "throttle"}, times=1)
    config = CONFIG.replace("  default_model: sonnet", "  failover: false\n  queue: {max_seconds: 0}")
    with run_gateway(tmp_path / "own", config, simulator.environment) as gateway:
        assert ask(gateway, "sonnet").status == 429
        assert len(simulator.calls()) == 1


def test_an_upstream_that_cannot_be_reached_is_skipped(tmp_path: Path, simulator: Simulator) -> None:
    config = CONFIG.replace(
        "aws_region_name: us-west-2",
        "aws_region_name: us-west-2\n      aws_bedrock_runtime_endpoint: http://127.0.0.1:9",
    )
    with run_gateway(tmp_path / "own", config, simulator.environment) as gateway:
        answer = ask(gateway, "spread")
        assert answer.status == 200
        assert [region for region, _, _ in roads(simulator)] == ["eu-west-1"]
