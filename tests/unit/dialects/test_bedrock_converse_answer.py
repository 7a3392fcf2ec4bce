from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.chat import Citation, RedactedThinking, Text, Thinking, ToolCall
from sekisho.core.events import ChatAnswer, Finish
from sekisho.core.usage import Usage
from sekisho.core.wire import WireAnswer, WireFault, WireRequest
from sekisho.dialects.bedrock_converse import upstream

PLAIN = WireRequest(body=b"")


def read(body: bytes, request: WireRequest) -> ChatAnswer:
    return upstream.read_answer(WireAnswer({}, body), request)


def _body(*content: object, stop: str = "end_turn", **members: Any) -> bytes:
    return msgspec.json.encode(
        {
            "output": {"message": {"role": "assistant", "content": list(content)}},
            "stopReason": stop,
            "usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7},
            "metrics": {"latencyMs": 1},
        }
        | members
    )


def test_a_whole_answer_is_read() -> None:
    answer = read(
        _body(
            {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
            {"reasoningContent": {"redactedContent": "QUJD"}},
            {"text": "ok"},
            {"image": {"format": "png", "source": {"bytes": "AAAA"}}},
            {
                "citationsContent": {
                    "content": [{"text": "as "}, {"text": "written"}],
                    "citations": [
                        {
                            "title": "t",
                            "sourceContent": [{"text": "so it is "}, {"text": "written"}],
                            "location": {"documentChar": {"documentIndex": 1, "start": 2, "end": 5}},
                        },
                        {"location": {"web": {"url": "https://example.org"}}},
                        {"source": "archive", "location": {"searchResultLocation": {"searchResultIndex": 0}}},
                    ],
                }
            },
            {"toolUse": {"toolUseId": "t1", "name": "alias", "input": {"path": "x", "n": 1.50}}},
            stop="tool_use",
        ),
        WireRequest(body=b"", tool_names={"alias": "mcp.read"}),
    )
    assert answer.parts == [
        Thinking(text="hm", signature="s"),
        RedactedThinking(data="QUJD"),
        Text(text="ok"),
        Text(
            text="as written",
            citations=[
                Citation(kind="char", cited_text="so it is written", title="t", document=1, start=2, end=5),
                Citation(kind="web", url="https://example.org"),
                Citation(kind="web", url="archive"),
            ],
        ),
        ToolCall(id="t1", name="mcp.read", arguments='{"path":"x","n":1.5}'),
    ]
    assert answer.finish == Finish("tool_calls", "tool_use")
    assert answer.usage == Usage(input=3, output=4)


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("tool_use", "tool_calls"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("something_new", "stop"),
    ],
)
def test_stop_reasons(stop: str, reason: str) -> None:
    finish = read(_body({"text": "x"}, stop=stop), PLAIN).finish
    assert (finish.reason, finish.native) == (reason, stop)


@pytest.mark.parametrize("stop", ["malformed_model_output", "malformed_tool_use"])
def test_malformed_output_is_the_upstreams_fault(stop: str) -> None:
    with pytest.raises(WireFault) as caught:
        read(_body({"text": "x"}, stop=stop), PLAIN)
    assert caught.value.code == "malformed_output"


@pytest.mark.parametrize(
    ("additional", "sequence"), [({"stop_sequence": "END"}, "END"), ({"stop_sequence": None}, None)]
)
def test_the_stop_sequence_is_told(additional: object, sequence: str | None) -> None:
    body = _body({"text": "x"}, stop="stop_sequence", additionalModelResponseFields=additional)
    assert read(body, PLAIN).finish.stop_sequence == sequence


def test_cache_writes_are_split_by_lifetime() -> None:
    usage = {
        "inputTokens": 1,
        "outputTokens": 2,
        "totalTokens": 133,
        "cacheReadInputTokens": 30,
        "cacheWriteInputTokens": 100,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 60}, {"ttl": "5m", "inputTokens": 40}],
    }
    assert read(_body(usage=usage), PLAIN).usage == Usage(
        input=1, output=2, cache_read=30, cache_write_5m=40, cache_write_1h=60
    )
    del usage["cacheDetails"]
    assert read(_body(usage=usage), PLAIN).usage.cache_write_5m == 100


def test_the_stand_in_tools_input_is_the_answer() -> None:
    answer = read(
        _body(
            {"text": "Here it is:"},
            {"toolUse": {"toolUseId": "t", "name": "json_response", "input": {"a": 1}}},
            stop="tool_use",
        ),
        WireRequest(body=b"", json_tool="json_response"),
    )
    assert answer.parts == [Text(text='{"a":1}')]
    assert answer.finish == Finish("stop", "tool_use")


def test_an_answer_in_text_stays_when_the_stand_in_tool_was_not_used() -> None:
    answer = read(_body({"text": "{}"}), WireRequest(body=b"", json_tool="json_response"))
    assert answer.parts == [Text(text="{}")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        _body({"text": 1}),
        _body({"toolUse": {"toolUseId": "t", "name": "n", "input": [1]}}),
        _body({"toolUse": {"name": "n", "input": {}}}),
        _body(usage={}),
        _body(usage={"inputTokens": "3", "outputTokens": 4}),
        _body(usage={"inputTokens": -3, "outputTokens": 4}),
        _body(usage={"inputTokens": 10**18, "outputTokens": 4}),
        _body(usage=None),
        b'{"output":' + b"[" * 100_000,
    ],
)
def test_lies_are_corrupt(body: bytes) -> None:
    with pytest.raises(WireFault) as caught:
        read(body, PLAIN)
    assert caught.value.code == "corrupt"


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)


@given(st.binary(max_size=60) | _json.map(msgspec.json.encode) | st.builds(_body, _json, usage=_json))
def test_any_body_raises_nothing_but_wire_faults(body: bytes) -> None:
    with pytest.raises(WireFault):
        read(body, PLAIN)


@pytest.mark.parametrize("tail", [b"\xff", b'"\xff"', b'"\\ud800"'])
def test_text_that_is_not_utf8_is_corrupt(tail: bytes) -> None:
    start, end = _body({"toolUse": {"toolUseId": "t", "name": "n", "input": {"a": 0}}}).split(b'"a":0')
    with pytest.raises(WireFault):
        read(start + b'"a":' + tail + end, PLAIN)
