"""What OpenTelemetry's own classes read of the spans that are written."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from tests.support.ended import CALL_ID, KEY_HASH, attempt, caller, client_call, ended
from tests.support.otlp import attributes, read_request, read_span

from sekisho.core.errors import UpstreamRejected
from sekisho.core.usage import Usage
from sekisho.telemetry.protobuf import TextHeads, double_attribute, integer_attribute, texts_attribute
from sekisho.telemetry.spans import SpanWriter, write_origin, write_request
from sekisho.telemetry.traceparent import read_traceparent

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def read(*calls: Any, writer: SpanWriter | None = None) -> list[Any]:
    writer = writer or SpanWriter()
    origin = write_origin({"service.name": "sekisho"}, "1.2")
    message = read_request(write_request([writer.write_call(call) for call in calls], *origin))
    (resource,) = message.resource_spans
    assert [(pair.key, pair.value.string_value) for pair in resource.resource.attributes] == [
        ("service.name", "sekisho")
    ]
    (scope,) = resource.scope_spans
    assert (scope.scope.name, scope.scope.version) == ("sekisho", "1.2")
    return list(scope.spans)


def test_a_call_is_one_span_with_all_that_the_backends_need() -> None:
    span, _ = read(ended(call=client_call(stream=True)))
    assert span.name == "chat sonnet"
    assert span.kind == Span.SPAN_KIND_CLIENT
    assert span.trace_id.hex() == CALL_ID.replace("-", "")
    assert (span.parent_span_id, span.trace_state) == (b"", "")
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (1_700_000_000 * 10**9, 1_700_000_001_250_000_000)
    assert span.status.code == Status.STATUS_CODE_UNSET
    found = attributes(span)
    usage = json.loads(found.pop("langfuse.observation.usage_details"))
    cost = json.loads(found.pop("langfuse.observation.cost_details"))
    mlflow = json.loads(found.pop("mlflow.llm.cost"))
    kinds = {"input": 100, "input_cached_tokens": 10, "input_cache_creation": 5, "output": 30, "total": 165}
    assert usage == {**kinds, "output_reasoning_tokens": 20}
    assert sum(usage.values()) == 2 * usage["total"]
    assert cost == {"input": 0.000409567, "output": 0.000825, "total": 0.001234567}
    assert mlflow == {"input_cost": 0.000409567, "output_cost": 0.000825, "total_cost": 0.001234567}
    assert found.pop("sekisho.overhead") == pytest.approx(0.0005)
    assert found == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.request.model": "sonnet",
        "gen_ai.response.model": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "gen_ai.request.stream": True,
        "gen_ai.response.time_to_first_chunk": 0.9005,
        "gen_ai.usage.input_tokens": 115,
        "gen_ai.usage.output_tokens": 50,
        "gen_ai.usage.cache_read.input_tokens": 10,
        "gen_ai.usage.cache_write.input_tokens": 5,
        "gen_ai.usage.reasoning.output_tokens": 20,
        "gen_ai.conversation.id": "s-1",
        "gen_ai.agent.name": "claude-code",
        "gen_ai.agent.version": "2.1",
        "session.id": "s-1",
        "user.id": "ada",
        "cloud.account.id": "123456789012",
        "cloud.region": "us-east-1",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
        "litellm.call_id": CALL_ID,
        "sekisho.deployment_id": "dep-1",
        "sekisho.model_group": "sonnet",
        "langfuse.observation.type": "generation",
        "langfuse.observation.completion_start_time": "2023-11-14T22:13:20.900Z",
        "langfuse.trace.name": "chat sonnet",
        "langfuse.trace.tags": ["team:Compilers", "nightly"],
        "langfuse.trace.metadata.user_api_key_hash": KEY_HASH,
        "langfuse.trace.metadata.user_api_key_alias": "laptop",
        "langfuse.trace.metadata.user_api_key_user_id": "ada",
        "langfuse.trace.metadata.user_api_key_team_id": "t1",
        "langfuse.trace.metadata.user_api_key_team_alias": "Compilers",
        "langfuse.trace.metadata.user_api_key_org_id": "o1",
        "mlflow.traceTag.team": "Compilers",
        "mlflow.traceTag.key_alias": "laptop",
        "mlflow.traceTag.mlflow.traceName": "chat sonnet",
    }


def test_every_attempt_is_a_span_below_without_tokens_and_costs() -> None:
    failed = attempt(status=429, error="UpstreamThrottled:ThrottlingException", ms=30)
    cut_off = attempt(began_ms=40, ms=None, status=None, deployment_id="dep-2")
    call, first, second = read(ended(attempts=[failed, cut_off], retries=1))
    assert attributes(call)["sekisho.retries"] == 1
    assert len({call.span_id, first.span_id, second.span_id}) == 3
    for span in (first, second):
        assert (span.trace_id, span.parent_span_id, span.name) == (call.trace_id, call.span_id, "attempt")
        found = attributes(span)
        assert (found["session.id"], found["user.id"], found["langfuse.observation.type"]) == ("s-1", "ada", "span")
        assert not [key for key in found if "usage" in key or "cost" in key or key == "gen_ai.operation.name"]
    assert first.start_time_unix_nano == call.start_time_unix_nano + 2_000_000
    assert first.end_time_unix_nano == first.start_time_unix_nano + 30_000_000
    assert second.end_time_unix_nano == call.end_time_unix_nano
    assert (first.status.code, second.status.code) == (Status.STATUS_CODE_ERROR, Status.STATUS_CODE_UNSET)
    assert first.status.message == "UpstreamThrottled: ThrottlingException"
    assert (attributes(first)["error.type"], attributes(first)["http.response.status_code"]) == (
        "UpstreamThrottled",
        429,
    )
    assert "http.response.status_code" not in attributes(second)


def test_a_failed_call_says_why_but_nothing_of_what_was_asked() -> None:
    error = UpstreamRejected("field 'messages[0]': 'my secret prompt' is too long", verdict="never", native="Invalid")
    (span,) = read(ended(error=error, usage=Usage(), cost=0, output_cost=0, attempts=[], first_byte_after=None))
    assert (span.status.code, span.status.message) == (Status.STATUS_CODE_ERROR, "UpstreamRejected: Invalid")
    found = attributes(span)
    assert (found["error.type"], found["http.response.status_code"]) == ("UpstreamRejected", 400)
    assert json.loads(found["langfuse.observation.cost_details"])["total"] == 0  # else backends would price it
    assert "secret" not in str(span)


def test_what_is_not_known_is_not_there() -> None:
    unpriced = ended(cost=None, output_cost=0, caller=caller(team_id=None, scopes=(), key_alias=None), call=None)
    refused = ended(
        target=None, group="", requested="", call=None, attempts=[], error=UpstreamRejected("", verdict="never")
    )
    first, _, second = read(unpriced, refused)
    assert not [
        key for key in attributes(first) if "cost" in key or "team" in key or "alias" in key or "session" in key
    ]
    assert second.name == "chat"
    assert not [key for key in attributes(second) if key.startswith(("cloud.", "gen_ai.provider"))]


def test_the_trace_of_the_client_goes_on() -> None:
    call = ended(parent=read_traceparent(f"00-{TRACE}-{PARENT}-00", "vendor=1"))
    span, below = read(call)
    assert (span.trace_id.hex(), span.parent_span_id.hex(), span.trace_state) == (TRACE, PARENT, "vendor=1")
    assert (below.trace_id.hex(), below.parent_span_id) == (TRACE, span.span_id)


@pytest.mark.parametrize(
    ("header", "valid"),
    [
        (f"00-{TRACE}-{PARENT}-01", True),
        (f" 00-{TRACE}-{PARENT}-01 ", True),
        (f"01-{TRACE}-{PARENT}-01-what-is-yet-to-come", True),
        (f"00-{TRACE}-{PARENT}-01-more", False),
        (f"ff-{TRACE}-{PARENT}-01", False),
        (f"00-{'0' * 32}-{PARENT}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-{PARENT}-01", False),
        (f"00-{TRACE}-{PARENT}", False),
        ("", False),
        (None, False),
    ],
)
def test_only_a_valid_traceparent_counts(header: str | None, valid: bool) -> None:
    parent = read_traceparent(header, "x" * 600)
    assert (parent is not None) == valid
    assert parent is None or (parent.trace_id.hex(), parent.span_id.hex(), parent.state) == (TRACE, PARENT, "")


def test_what_is_remembered_is_not_mixed_up() -> None:
    writer = SpanWriter("staging")
    calls = [
        ended(
            caller=caller(user_id=user), call=client_call(session_id=session, tags=tags), requested=model, attempts=[]
        )
        for user in ("ada", "bob")
        for session in ("s-1", None)
        for tags in ([], ["x"], ["s-1"])
        for model in ("sonnet", "haiku")
    ]
    for call, span in zip(calls * 2, read(*calls, *calls, writer=writer), strict=True):
        found = attributes(span)
        assert call.call is not None
        assert call.caller is not None
        assert found["user.id"] == call.caller.user_id
        assert found.get("session.id") == call.call.session_id
        assert found["langfuse.trace.tags"] == ["team:Compilers", *call.call.tags]
        assert found["gen_ai.request.model"] == call.requested
        assert found["langfuse.environment"] == "staging"


def test_the_end_user_is_the_user() -> None:
    span, _ = read(ended(call=client_call(end_user="customer-7")))
    assert attributes(span)["user.id"] == "customer-7"
    assert attributes(span)["langfuse.trace.metadata.user_api_key_user_id"] == "ada"


@given(
    text=st.text(st.characters(), max_size=400),
    whole=st.integers(0, 2**63 - 1),
    number=st.floats(allow_nan=False),
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=200), max_size=5),
    key=st.text("abc.", min_size=1, max_size=150),
)
def test_values_are_read_as_they_were_written(text: str, whole: int, number: float, texts: list[str], key: str) -> None:
    encoded = text.encode("utf-8", "replace")
    written = (
        TextHeads(f"{key}1")[len(encoded)]
        + encoded
        + integer_attribute(f"{key}2")(whole)
        + double_attribute(f"{key}3")(number)
    )
    span = read_span(written + texts_attribute(f"{key}4", texts))
    kept = text.encode("utf-8", "replace").decode()
    assert list(attributes(span).items()) == [
        (f"{key}1", kept),
        (f"{key}2", whole),
        (f"{key}3", number),
        (f"{key}4", texts),
    ]


@given(
    usage=st.builds(
        lambda output, thought, **rest: Usage(output=output + thought, reasoning=thought, **rest),
        **{name: st.integers(0, 10**9) for name in ("output", "thought", "input", "cache_read", "cache_write_5m")},
    ),
    cost=st.integers(0, 10**15),
    share=st.floats(0, 1),
)
def test_money_and_tokens_add_up(usage: Usage, cost: int, share: float) -> None:
    span, _ = read(ended(usage=usage, cost=cost, output_cost=int(cost * share)))
    found = attributes(span)
    details = json.loads(found["langfuse.observation.usage_details"])
    assert details.pop("total") == sum(details.values()) == usage.total
    assert found["gen_ai.usage.input_tokens"] + found["gen_ai.usage.output_tokens"] == usage.total
    amounts = json.loads(found["langfuse.observation.cost_details"], parse_float=Decimal)
    assert amounts["total"] == amounts["input"] + amounts["output"] == Decimal(cost).scaleb(-9)
