"""Bedrock's InvokeModel for clients, with Anthropic's SDK for Bedrock and botocore as the judges."""

import base64
import json
from typing import Any

import anthropic
import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st
from tests.support.anthropic_wire import HEAD, ask_bedrock, read

from sekisho.core import errors
from sekisho.core.chat import Text, ToolCall
from sekisho.core.errors import InvalidRequest, Unsupported
from sekisho.core.events import ChatAnswer, Event, Finish, TextDelta, ToolCallDelta, ToolCallStart, UsageReport
from sekisho.core.usage import Usage
from sekisho.core.wire import Piece
from sekisho.dialects.bedrock_invoke import client

HELLO = [{"role": "user", "content": "hello"}]
BODY = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 100, "messages": HELLO}
STREAM = "/model/{model}/invoke-with-response-stream"
CALL = read(client, BODY)
USAGE = Usage(input=7, output=20, cache_read=100, cache_write_5m=3)
EVENTS: list[Event] = [
    TextDelta("関所"),
    ToolCallStart(0, "toolu_1", "write"),
    ToolCallDelta(0, '{"path":"a"}'),
    Finish("tool_calls", "tool_use"),
    UsageReport(USAGE),
]


def stream(events: list[Event] = EVENTS) -> bytes:
    writer = client.stream_writer(HEAD, CALL)
    return b"".join([*map(writer.write, events), writer.end(USAGE, None)])


def frames(content: bytes) -> list[tuple[dict[str, str], Any]]:
    buffer = EventStreamBuffer()
    buffer.add_data(content)
    return [(event.headers, json.loads(event.payload)) for event in buffer]


def test_the_endpoints() -> None:
    assert {(endpoint.path, endpoint.stream) for endpoint in client.endpoints} == {
        ("/model/{model}/invoke", False),
        ("/bedrock/model/{model}/invoke", False),
        (STREAM, True),
        ("/bedrock" + STREAM, True),
    }


def test_model_and_stream_are_told_by_the_path() -> None:
    assert (CALL.model, CALL.stream, CALL.family) == ("sonnet", False, "anthropic_messages")
    assert read(client, BODY, STREAM).stream is True
    assert CALL.max_output_tokens == 100
    assert CALL.chat.messages[0].parts == [Text(text="hello")]


@pytest.mark.parametrize(
    ("version", "expected"), [("bedrock-2023-05-31", "2023-06-01"), ("2026-10-21", "2026-10-21"), ("odd", "odd")]
)
def test_version_and_flags_stand_in_the_body(version: str, expected: str) -> None:
    call = read(client, {**BODY, "anthropic_version": version, "anthropic_beta": ["a-1"]}, anthropic_beta="b-2,a-1")
    assert call.headers == {"anthropic-version": expected, "anthropic-beta": "a-1,b-2"}
    assert call.chat.extras == {"anthropic_beta": ["a-1", "b-2"]}


def test_bedrocks_own_headers_are_kept() -> None:
    call = read(
        client,
        BODY,
        x_amzn_bedrock_service_tier="flex",
        x_amzn_bedrock_request_metadata='{"team":"a"}',
        x_amzn_bedrock_trace="ENABLED",
    )
    assert call.headers["x-amzn-bedrock-trace"] == "ENABLED"
    assert call.metadata == {"team": "a"}
    assert call.chat.service_tier == "flex"
    assert read(client, BODY, x_amzn_bedrock_request_metadata="broken").metadata == {}


def test_a_guardrail_is_not_dropped_silently() -> None:
    with pytest.raises(Unsupported):
        _ = read(client, BODY, x_amzn_bedrock_guardrailidentifier="g").chat


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": [{"text": "hi"}]}], "inferenceConfig": {}, "schemaVersion": "v1"},
        {"prompt": "hi", "max_gen_len": 5},
        {"inputText": "hi"},
    ],
)
def test_bodies_of_other_vendors_are_refused_clearly(body: Any) -> None:
    with pytest.raises(InvalidRequest, match="Use Converse") as raised:
        read(client, body)
    assert raised.value.param == "anthropic_version"


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"anthropic_version": 5}, "anthropic_version"), ({"anthropic_beta": "a"}, "anthropic_beta"),
     ({"max_tokens": "x"}, "max_tokens")],
)  # fmt: skip
def test_errors_name_the_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        read(client, {**BODY, **fields})
    assert raised.value.param == param


def test_the_sdk_reads_a_whole_answer() -> None:
    answer = ChatAnswer(
        parts=[Text(text="関所"), ToolCall(id="toolu_1", name="write", arguments='{"path":"a"}')],
        finish=Finish("tool_calls", "tool_use"),
        usage=USAGE,
    )
    message = ask_bedrock(client.write_answer(answer, HEAD, CALL, None), stream=False)
    assert [block.type for block in message.content] == ["text", "tool_use"]


def test_the_sdk_reads_a_stream() -> None:
    message = ask_bedrock(stream(), stream=True)
    assert message.content[0].model_dump()["text"] == "関所"
    assert message.content[1].model_dump()["input"] == {"path": "a"}
    assert (message.stop_reason, message.usage.input_tokens) == ("tool_use", 7)


def test_frames_are_bedrocks() -> None:
    found = frames(stream())
    assert {tuple(sorted(headers.items())) for headers, _ in found} == {
        ((":content-type", "application/json"), (":event-type", "chunk"), (":message-type", "event"))
    }
    events = [json.loads(base64.b64decode(payload["bytes"])) for _, payload in found]
    assert events[0]["type"] == "message_start"
    assert events[-1] == {
        "type": "message_stop",
        "amazon-bedrock-invocationMetrics": {
            "inputTokenCount": 7,
            "outputTokenCount": 20,
            "cacheReadInputTokenCount": 100,
            "cacheWriteInputTokenCount": 3,
        },
    }


def test_a_broken_stream_ends_with_an_exception() -> None:
    writer = client.stream_writer(HEAD, CALL)
    content = writer.write(TextDelta("half")) + writer.fail(errors.RateLimited("slow down"))
    headers, payload = frames(content)[-1]
    assert (headers[":message-type"], headers[":exception-type"]) == ("exception", "throttlingException")
    assert payload == {"message": "slow down"}
    with pytest.raises(anthropic.APIStatusError, match="slow down"):
        ask_bedrock(content, stream=True)


FAILURES: list[tuple[errors.SekishoError, str, str]] = [
    (errors.InvalidRequest("m"), "ValidationException", "validationException"),
    (errors.UnknownModel("m"), "ValidationException", "validationException"),
    (errors.Unauthenticated("m"), "UnrecognizedClientException", "validationException"),
    (errors.NotFound("m"), "ResourceNotFoundException", "validationException"),
    (errors.BodyTooLarge("m"), "RequestEntityTooLargeException", "validationException"),
    (errors.AccessDenied("m"), "AccessDeniedException", "validationException"),
    (errors.RateLimited("m"), "ThrottlingException", "throttlingException"),
    (errors.BudgetExceeded("m"), "ServiceQuotaExceededException", "validationException"),
    (errors.UpstreamThrottled("m", verdict="never"), "ThrottlingException", "throttlingException"),
    (errors.UpstreamRejected("m", verdict="never"), "ValidationException", "validationException"),
    (errors.UpstreamUnavailable("m", verdict="never"), "ServiceUnavailableException", "serviceUnavailableException"),
    (
        errors.UpstreamUnavailable("m", verdict="never", status=504),
        "ModelTimeoutException",
        "modelStreamErrorException",
    ),
    (errors.UpstreamUnavailable("m", verdict="never", status=502), "ModelErrorException", "modelStreamErrorException"),
    (errors.UpstreamMisconfigured("m", verdict="never"), "InternalServerException", "internalServerException"),
    (errors.InternalError("m"), "InternalServerException", "internalServerException"),
    (errors.StoreUnavailable("m"), "ServiceUnavailableException", "serviceUnavailableException"),
]


@pytest.mark.parametrize(("error", "kind", "in_stream"), FAILURES)
def test_errors_have_bedrocks_names(error: errors.SekishoError, kind: str, in_stream: str) -> None:
    assert json.loads(client.write_error(error)) == {"message": "m", "__type": kind}
    ((headers, _),) = frames(client.stream_writer(HEAD, CALL).fail(error))
    assert headers[":exception-type"] == in_stream


def test_events_of_the_family_are_put_into_frames() -> None:
    data = b'{ "type":"message_stop", "unheard_of":1.50 }'
    ((_, payload),) = frames(client.stream_writer(HEAD, CALL).relay(Piece("message_stop", data)))
    assert base64.b64decode(payload["bytes"]) == data
    assert client.stream_writer(HEAD, CALL).relay(Piece("news", b'{"type":"news"}')) == b""


def test_a_ping_keeps_alive() -> None:
    writer = client.stream_writer(HEAD, CALL)
    content = writer.keep_alive() + b"".join(map(writer.write, EVENTS)) + writer.end(USAGE, None)
    assert ask_bedrock(content, stream=True).stop_reason == "tool_use"


def test_headers_tell_the_counts() -> None:
    headers = dict(client.answer_headers("0195", USAGE))
    assert headers[b"x-amzn-requestid"] == b"0195"
    assert headers[b"x-amzn-bedrock-input-token-count"] == b"7"
    assert headers[b"x-amzn-bedrock-cache-write-input-token-count"] == b"3"
    assert b"x-amzn-bedrock-input-token-count" not in dict(client.answer_headers("0195", None))


@given(
    st.dictionaries(
        st.sampled_from(["messages", "anthropic_beta", "metadata", "system", "max_tokens"]),
        st.none() | st.integers() | st.text(max_size=5) | st.lists(st.text(max_size=3), max_size=2),
    )
)
def test_any_values_are_read_or_refused(fields: dict[str, object]) -> None:
    refused: InvalidRequest | None = None
    try:
        read(client, {**BODY, **fields}).read()
    except InvalidRequest as error:
        refused = error
    assert refused is None or refused.param
