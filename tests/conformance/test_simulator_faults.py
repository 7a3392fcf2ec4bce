"""Faults and quotas, as boto3 and a plain client meet them."""

import contextlib
import http.client
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.eventstream import ParserError
from botocore.exceptions import ClientError, EventStreamError
from tests.support.bedrock import CLAUDE, LLAMA, aws_client, call, sim, user
from tests.support.servers import serve_app
from urllib3.exceptions import ProtocolError

from sekisho.core.clock import ManualClock
from sekisho.simulator.app import build_simulator
from sekisho.simulator.settings import Limit, SimulatorSettings

HELLO = [user("hello")]
BEARER = {"authorization": "Bearer any"}


def add_fault(simulator: str, fault: dict[str, Any], times: int | None = None, **match: str) -> None:
    rule = {"fault": fault, "match": match, "times": times}
    assert call("POST", f"{simulator}/_simulator/faults", rule)[0] == 200


def last_call(simulator: str) -> dict[str, Any]:
    seen: dict[str, Any] = call("GET", f"{simulator}/_simulator/calls")[1]["calls"][-1]
    return seen


@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [
        ({"kind": "throttle"}, "ThrottlingException", 429),
        ({"kind": "access_denied"}, "AccessDeniedException", 403),
        ({"kind": "error"}, "InternalServerException", 500),
        ({"kind": "error", "type": "ServiceUnavailableException"}, "ServiceUnavailableException", 503),
        ({"kind": "error", "type": "ModelNotReadyException", "message": "cold"}, "ModelNotReadyException", 429),
        ({"kind": "error", "type": "ResourceNotFoundException", "status": 404}, "ResourceNotFoundException", 404),
        ({"kind": "exception_event", "type": "modelTimeoutException"}, "ModelTimeoutException", 408),
    ],
)
def test_a_refusing_fault_becomes_boto3s_exception(
    runtime: Any, simulator: str, fault: dict[str, Any], code: str, status: int
) -> None:
    add_fault(simulator, fault, times=1)
    with pytest.raises(getattr(runtime.exceptions, code)) as refused:
        runtime.converse(modelId=CLAUDE, messages=HELLO)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert last_call(simulator)["error"] == code
    runtime.converse(modelId=CLAUDE, messages=HELLO)  # once means once


def test_a_fault_hits_only_what_it_matches(runtime: Any, simulator: str) -> None:
    add_fault(simulator, {"kind": "throttle"}, model=CLAUDE, region="us-west-2", operation="ConverseStream")
    runtime.converse_stream(modelId=CLAUDE, messages=HELLO)["stream"].close()
    west = aws_client("bedrock-runtime", simulator, region="us-west-2")
    west.converse(modelId=CLAUDE, messages=HELLO)
    west.converse_stream(modelId=LLAMA, messages=HELLO)["stream"].close()
    for _ in range(2):
        with pytest.raises(ClientError, match="ThrottlingException"):
            west.converse_stream(modelId=CLAUDE, messages=HELLO)


def test_roles_can_be_denied(simulator: str) -> None:
    add_fault(simulator, {"kind": "access_denied"}, operation="AssumeRole")
    with pytest.raises(ClientError, match="AccessDenied"):
        aws_client("sts", simulator).assume_role(RoleArn="arn:aws:iam::111111111111:role/r", RoleSessionName="me")


def test_sts_can_be_slow(simulator: str) -> None:
    add_fault(simulator, {"kind": "slow", "first_ms": 1}, operation="GetCallerIdentity", times=1)
    assert aws_client("sts", simulator).get_caller_identity()["Account"] == "000000000000"
    assert last_call(simulator)["fault"] == "slow"


def test_an_exception_event_ends_the_stream(runtime: Any, simulator: str) -> None:
    add_fault(simulator, {"kind": "exception_event", "type": "ThrottlingException", "message": "no more", "after": 2})
    with (
        contextlib.closing(runtime.converse_stream(modelId=CLAUDE, messages=HELLO)["stream"]) as stream,
        pytest.raises(EventStreamError, match=r"throttlingException.*no more"),
    ):
        list(stream)
    assert last_call(simulator)["complete"] is False
    assert last_call(simulator)["usage"]["output"] == 3  # one delta of twelve bytes


def test_garbage_is_noticed(runtime: Any, simulator: str) -> None:
    add_fault(simulator, {"kind": "garbage"})
    assert "output" not in runtime.converse(modelId=CLAUDE, messages=HELLO)
    with (
        contextlib.closing(runtime.converse_stream(modelId=CLAUDE, messages=HELLO)["stream"]) as stream,
        pytest.raises(ParserError),
    ):
        list(stream)


def test_a_cut_is_no_clean_end(runtime: Any, simulator: str) -> None:
    add_fault(simulator, {"kind": "cut", "after": 3})
    with (
        contextlib.closing(runtime.converse_stream(modelId=CLAUDE, messages=HELLO)["stream"]) as stream,
        pytest.raises(ProtocolError),
    ):
        list(stream)
    address = urlsplit(simulator)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
    connection.request("POST", f"/model/{CLAUDE}/converse", json.dumps({"messages": HELLO}), BEARER)
    response = connection.getresponse()
    with pytest.raises(http.client.IncompleteRead):
        response.read()
    connection.close()
    assert last_call(simulator)["complete"] is False


def test_a_slow_answer_arrives_whole(runtime: Any, simulator: str) -> None:
    add_fault(simulator, {"kind": "slow", "first_ms": 5, "event_ms": 1})
    events = list(runtime.converse_stream(modelId=CLAUDE, messages=HELLO)["stream"])
    assert "metadata" in events[-1]
    assert last_call(simulator)["fault"] == "slow"


def test_a_header_asks_for_a_fault(simulator: str) -> None:
    url, body = f"{simulator}/model/{CLAUDE}/converse", {"messages": HELLO}
    header = {**BEARER, "x-sekisho-simulate": "error; status=418; type=TeapotException"}
    assert call("POST", url, body, header)[0] == 418
    assert call("POST", url, body, {**BEARER, "x-sekisho-simulate": "throttle"})[0] == 429
    assert call("POST", url, body, {**BEARER, "x-sekisho-simulate": "explode"})[0] == 400
    assert call("POST", url, body, BEARER)[0] == 200


def test_the_control_api_refuses_what_it_cannot_read(simulator: str) -> None:
    assert call("POST", f"{simulator}/_simulator/faults", {"fault": {"kind": "explode"}})[0] == 400
    assert call("POST", f"{simulator}/_simulator/faults", {"kind": "throttle"})[0] == 400
    assert call("POST", f"{simulator}/_simulator/faults", {"fault": {"kind": "cut"}, "times": 0})[0] == 400
    assert call("PUT", f"{simulator}/_simulator/faults", {})[0] == 405
    assert call("GET", f"{simulator}/_simulator/other")[0] == 404
    assert call("GET", f"{simulator}/_simulator/faults")[1] == {"faults": []}


def test_a_client_that_leaves_is_noticed_and_pays_for_what_was_sent(simulator: str) -> None:
    add_fault(simulator, {"kind": "slow", "event_ms": 20})
    address = urlsplit(simulator)
    body = json.dumps({"messages": [user(sim(repeat=5000))]}).encode()
    head = f"POST /model/{CLAUDE}/converse-stream HTTP/1.1\r\nhost: {address.netloc}\r\nauthorization: Bearer any\r\n"
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
        connection.sendall(head.encode() + f"content-length: {len(body)}\r\n\r\n".encode() + body)
        received = b""
        while b"contentBlockDelta" not in received:
            received += connection.recv(4096)
    # The whole answer would take a minute; a closed record before that means that the departure was seen.
    seen = last_call(simulator)
    while not seen["disconnected"]:
        assert not seen["complete"]
        seen = last_call(simulator)
    assert 0 < seen["usage"]["output"] < 5000


def test_requests_are_limited_by_account_region_and_model(simulator: str) -> None:
    ireland = aws_client("bedrock-runtime", simulator, region="eu-west-1")
    model = f"us.anthropic.claude-sonnet-4-6-{urlsplit(simulator).port}"
    ireland.converse(modelId=model, messages=HELLO)
    ireland.converse(modelId=model, messages=HELLO)
    with pytest.raises(ireland.exceptions.ThrottlingException, match="Too many requests, please wait before"):
        ireland.converse(modelId=model, messages=HELLO)
    ireland.converse(modelId=CLAUDE, messages=HELLO)
    aws_client("bedrock-runtime", simulator).converse(modelId=model, messages=HELLO)


def test_tokens_are_reserved_with_max_tokens(simulator: str) -> None:
    frankfurt = aws_client("bedrock-runtime", simulator, region="eu-central-1")
    with pytest.raises(frankfurt.exceptions.ThrottlingException, match="Too many tokens, please wait before"):
        frankfurt.converse(modelId=LLAMA, messages=HELLO)  # without maxTokens the model's maximum is reserved
    frankfurt.converse(modelId=LLAMA, messages=HELLO, inferenceConfig={"maxTokens": 900})


def test_a_new_minute_has_new_quota() -> None:
    clock = ManualClock()
    with serve_app(build_simulator(SimulatorSettings(limits=(Limit(rpm=1),)), clock)) as url:
        where, body = f"{url}/model/{CLAUDE}/converse", {"messages": HELLO}
        assert call("POST", where, body, BEARER)[0] == 200
        assert call("POST", where, body, BEARER)[0] == 429
        clock.advance(60)
        assert call("POST", where, body, BEARER)[0] == 200
