"""Converse as clients speak it: what is answered, and that no body breaks the reader."""

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.converse_client import HEAD, converse, parse_answer, read_call

from sekisho.core.chat import (
    ChatRequest,
    Citation,
    RedactedThinking,
    Text,
    Thinking,
    ToolCall,
)
from sekisho.core.errors import InvalidRequest
from sekisho.core.events import ChatAnswer, Finish
from sekisho.core.usage import Usage
from sekisho.dialects.bedrock_converse import client

PNG = "iVBORw0KGgo="
SPEC = {"name": "read", "description": "Reads", "inputSchema": {"json": {"type": "object"}}, "strict": True}
COUNT = "/model/{model}/count-tokens"


class TestAnswer:
    def test_a_whole_answer(self) -> None:
        answer = ChatAnswer(
            parts=[
                Thinking(text="hm", signature="sig"),
                Thinking(text="so"),
                RedactedThinking(data="QUJD"),
                Text(text=""),
                Text(text="Hello 世界"),
                Text(text="cited", citations=[Citation(kind="web", title="t", url="https://example.org")]),
                ToolCall(id="t1", name="read", arguments='{"a": 1}'),
                ToolCall(id="t2", name="read", arguments="{broken"),
                ToolCall(id="t3", name="read", arguments=""),
            ],
            finish=Finish("tool_calls", "tool_calls"),
            usage=Usage(input=3, output=4, reasoning=2),
        )
        parsed = parse_answer(client.write_answer(answer, HEAD, converse(), None))
        assert parsed["output"]["message"] == {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}},
                {"reasoningContent": {"reasoningText": {"text": "so"}}},
                {"reasoningContent": {"redactedContent": b"ABC"}},
                {"text": "Hello 世界"},
                {
                    "citationsContent": {
                        "content": [{"text": "cited"}],
                        "citations": [
                            {
                                "title": "t",
                                "source": "https://example.org",
                                "location": {"web": {"url": "https://example.org"}},
                            }
                        ],
                    }
                },
                {"toolUse": {"toolUseId": "t1", "name": "read", "input": {"a": 1}}},
                {"toolUse": {"toolUseId": "t2", "name": "read", "input": {"arguments": "{broken"}}},
                {"toolUse": {"toolUseId": "t3", "name": "read", "input": {}}},
            ],
        }
        assert parsed["stopReason"] == "tool_use"
        assert parsed["usage"]["totalTokens"] == 7
        assert parsed["metrics"] == {"latencyMs": 321}

    def test_the_stop_sequence_is_told_to_those_who_ask(self) -> None:
        answer = ChatAnswer(parts=[], finish=Finish("stop", "stop_sequence", "END"), usage=Usage())
        asked = converse(additionalModelResponseFieldPaths=["/stop_sequence"])
        parsed = parse_answer(client.write_answer(answer, HEAD, asked, None))
        assert parsed["additionalModelResponseFields"] == {"stop_sequence": "END"}
        assert parsed["stopReason"] == "stop_sequence"


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 9) | st.floats(0, 2) | st.sampled_from(["", "auto", "user", "QUJD"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["text", "type", "name", "source", "bytes", "json", "format", "content", "toolUseId", "input"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
_KINDS = ["text", "image", "document", "toolUse", "toolResult", "cachePoint", "reasoningContent", "citationsContent"]
_blocks = st.lists(st.dictionaries(st.sampled_from(_KINDS), _json, max_size=2) | _json, max_size=3)
_turns = st.lists(st.fixed_dictionaries({"role": st.sampled_from(["user", "system"]), "content": _blocks}) | _json)
_FIELDS = ["system", "inferenceConfig", "toolConfig", "outputConfig", "additionalModelRequestFields", "serviceTier"]
_bodies = st.builds(
    lambda messages, fields: {"messages": messages, **fields},
    _turns,
    st.dictionaries(st.sampled_from(_FIELDS), _json | _blocks, max_size=3),
)


@given(
    st.binary(max_size=50) | _json.map(msgspec.json.encode) | _bodies.map(msgspec.json.encode),
    st.sampled_from([endpoint.path for endpoint in client.endpoints]),
)
def test_any_body_raises_nothing_but_invalid_request(body: bytes, path: str) -> None:
    with suppress(InvalidRequest):
        assert isinstance(read_call(body, path).chat, ChatRequest)


@pytest.mark.parametrize("field", ["messages", "system", "toolConfig", "additionalModelRequestFields", "new"])
def test_deep_nesting_is_refused(field: str) -> None:
    body = b'{"messages":[{"role":"user","content":[{"text":"a"}]}],"%s":%s%s}'
    nested = body % (field.encode(), b'{"a":[' * 400, b"]}" * 400)
    with pytest.raises(InvalidRequest):
        _ = read_call(nested).chat
