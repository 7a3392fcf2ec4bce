"""boto3 judges SageMaker's runtime, whose streams carry a container's server-sent events in parts."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, EventStreamError
from tests.support.bedrock import aws_client, call, sim

TEXT = "🦊 日本語 " * 20


@pytest.fixture
def endpoint(simulator: str) -> Any:
    """boto3's client for sagemaker-runtime."""
    return aws_client("sagemaker-runtime", simulator)


def body_of(words: str, **more: Any) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": words}], **more}).encode()


def stream(endpoint: Any, **more: Any) -> list[bytes]:
    answer = endpoint.invoke_endpoint_with_response_stream(
        EndpointName="qwen", ContentType="application/json", Body=body_of(sim(text=TEXT), stream=True, **more)
    )
    assert answer["ContentType"].startswith("text/event-stream")
    try:
        return [event["PayloadPart"]["Bytes"] for event in answer["Body"]]
    finally:
        answer["Body"].close()


def test_a_whole_answer_is_the_containers(endpoint: Any, simulator: str) -> None:
    answer = endpoint.invoke_endpoint(EndpointName="qwen", ContentType="application/json", Body=body_of(sim(text=TEXT)))
    document = json.loads(answer["Body"].read())
    assert document["choices"][0]["message"]["content"] == TEXT
    seen = call("GET", f"{simulator}/_simulator/calls")[1]["calls"][-1]
    assert (seen["service"], seen["operation"], seen["model"]) == ("sagemaker", "InvokeEndpoint", "qwen")
    assert seen["usage"]["output"] == document["usage"]["completion_tokens"]


def test_a_stream_comes_in_parts_that_end_anywhere(endpoint: Any) -> None:
    parts = stream(endpoint, stream_options={"include_usage": True})
    broken = [part for part in parts if not part.endswith(b"\n\n")]
    assert len(broken) > len(parts) / 2
    with pytest.raises(UnicodeDecodeError):
        [part.decode() for part in parts]
    lines = b"".join(parts).decode().split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])
    assert text == TEXT
    assert chunks[-1]["usage"]["completion_tokens"] > 0


def test_a_refusal_of_the_container_is_wrapped(endpoint: Any) -> None:
    with pytest.raises(endpoint.exceptions.ModelError) as refused:
        endpoint.invoke_endpoint(EndpointName="qwen", Body=body_of("hi", drop_params=True))
    assert refused.value.response["OriginalStatusCode"] == 400
    assert "Unrecognized request argument" in refused.value.response["OriginalMessage"]
    with pytest.raises(endpoint.exceptions.ModelError, match="path and the field 'stream' agree"):
        endpoint.invoke_endpoint_with_response_stream(EndpointName="qwen", Body=body_of("hi"))


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("ServiceUnavailableException", "ServiceUnavailable"),
        ("InternalServerException", "InternalFailure"),
        ("ThrottlingException", "ThrottlingException"),
    ],
)
def test_faults_are_worded_as_sagemakers(endpoint: Any, simulator: str, kind: str, code: str) -> None:
    fault = {"kind": "error", "type": kind}
    call("POST", f"{simulator}/_simulator/faults", {"fault": fault, "match": {"service": "sagemaker"}})
    with pytest.raises(ClientError) as refused:
        endpoint.invoke_endpoint(EndpointName="qwen", Body=body_of("hi"))
    assert refused.value.response["Error"]["Code"] == code


def test_a_stream_can_fail(endpoint: Any, simulator: str) -> None:
    fault = {"kind": "exception_event", "after": 3, "message": "broke"}
    call("POST", f"{simulator}/_simulator/faults", {"fault": fault})
    with pytest.raises(EventStreamError, match="ModelStreamError"):
        stream(endpoint)


def test_only_its_own_signature_opens(simulator: str) -> None:
    headers = {"authorization": "Bearer any"}
    body = json.loads(body_of("hi"))
    assert call("POST", f"{simulator}/endpoints/qwen/invocations", body, headers)[0] == 403
    with pytest.raises(ClientError, match="InvalidSignatureException"):
        aws_client("sagemaker-runtime", simulator, secret_key="wrong").invoke_endpoint(
            EndpointName="qwen", Body=body_of("hi")
        )
