"""Bedrock's InvokeModel as the upstream: what it is sent, and what is understood of its answers."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from tests.support.anthropic_wire import CLAUDE, HEAD, ask_anthropic, ask_bedrock, read, write
from tests.support.converse import request_of, tool, user
from tests.support.service_model import validate

from sekisho.core.chat import Image
from sekisho.core.errors import Unsupported
from sekisho.core.events import TextDelta
from sekisho.core.model import ModelFacts
from sekisho.core.wire import ChatClient, Piece, StreamReader, WireAnswer, WireFault, WireRequest, WriteOptions
from sekisho.dialects.anthropic_messages import client as messages_client
from sekisho.dialects.anthropic_messages import upstream as messages_upstream
from sekisho.dialects.bedrock_invoke import client as invoke_client
from sekisho.dialects.bedrock_invoke.envelope import encode_chunk
from sekisho.dialects.bedrock_invoke.upstream import InvokeUpstream
from sekisho.dialects.common.eventstream import encode_frame
from sekisho.dialects.openai_chat import client as openai_client
from sekisho.simulator.wires.messages import read_invoke

UPSTREAM = InvokeUpstream()
RECORDED = Path(__file__).parent / "recorded"
GOOD = "effort-2025-11-24"
HELLO: Any = [{"role": "user", "content": "hello"}]
MESSAGES = {"model": "sonnet", "max_tokens": 100, "stream": True, "messages": HELLO}
INVOKE = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 100, "messages": HELLO}
ON_BEDROCK = structs.replace(CLAUDE, betas=frozenset({"context-management-2025-06-27", GOOD}))
PLAIN = WireRequest(body=b"")
OPTIONS = WriteOptions(model="ignored", stream=True)


def sent(
    fields: dict[str, Any], facts: ModelFacts = ON_BEDROCK, client: ChatClient = messages_client, **headers: str
) -> tuple[dict[str, Any], WireRequest]:
    whole = (INVOKE if client is invoke_client else MESSAGES) | fields
    wire = UPSTREAM.pass_request(read(client, whole, **headers), facts, OPTIONS)
    assert wire is not None
    assert wire.native
    # The counterpart of Bedrock takes it.
    version = "opus-4-8" if "2026-10-21" in facts.anthropic_versions else "sonnet-4-6"
    read_invoke(f"anthropic.claude-{version}", wire.body)
    return json.loads(wire.body), wire


def test_a_translated_conversation() -> None:
    chat = request_of(user("hi"), tools=[tool("a.b")], service_tier="flex", extras={"anthropic_beta": [GOOD, "x"]})
    body, wire = write(UPSTREAM, chat, ON_BEDROCK, stream=True, metadata={"team": "a"})
    assert body.keys() == {"anthropic_version", "anthropic_beta", "max_tokens", "messages", "tools"}
    assert (body["anthropic_version"], body["anthropic_beta"]) == ("bedrock-2023-05-31", [GOOD])
    assert wire.headers["x-amzn-bedrock-service-tier"] == "flex"
    assert json.loads(wire.headers["x-amzn-bedrock-request-metadata"]) == {"team": "a"}
    assert list(wire.tool_names.values()) == ["a.b"]
    assert read_invoke("anthropic.claude-sonnet-4-6", wire.body).specs


def test_the_new_version_where_the_model_takes_it() -> None:
    facts = structs.replace(ON_BEDROCK, anthropic_versions=("2023-06-01", "2026-10-21"))
    assert write(UPSTREAM, request_of(), facts)[0]["anthropic_version"] == "2026-10-21"
    assert sent({}, facts)[0]["anthropic_version"] == "2026-10-21"
    assert sent({}, facts, anthropic_version="2023-06-01")[0]["anthropic_version"] == "bedrock-2023-05-31"
    new = {"anthropic_version": "2026-10-21"}
    assert sent(new, facts, invoke_client)[0]["anthropic_version"] == "2026-10-21"
    assert sent(new, ON_BEDROCK, invoke_client)[0]["anthropic_version"] == "bedrock-2023-05-31"


@pytest.mark.parametrize("client", [messages_client, invoke_client])
def test_either_clients_body_is_put_into_bedrocks_envelope(client: ChatClient) -> None:
    body, wire = sent({"x_unheard_of": {"a": 1}}, client=client)
    assert body == {
        "anthropic_version": "bedrock-2023-05-31", "max_tokens": 100, "messages": HELLO, "x_unheard_of": {"a": 1},
    }  # fmt: skip
    assert wire.headers == {}
    assert wire.dropped == ()


def test_nested_bytes_stay_as_they_came() -> None:
    messages = b'[ {"role":"user","content":[{"type":"text","text":"\\u95a2","x_unheard_of":1.50}]} ]'
    tools = b'[ {"name":"a","input_schema":{"z":1e2},"x_unheard_of":[ ]} ]'
    raw = b'{"model":"m","max_tokens":5,"messages":%b,"tools":%b}' % (messages, tools)
    wire = UPSTREAM.pass_request(read(messages_client, raw), ON_BEDROCK, OPTIONS)
    assert wire is not None
    assert messages in wire.body
    assert tools in wire.body


def test_betas_go_into_the_body() -> None:
    body, wire = sent({}, anthropic_beta=f"{GOOD},bad-2")
    assert body["anthropic_beta"] == [GOOD]
    assert wire.dropped == ("anthropic_beta",)
    assert "anthropic-beta" not in wire.headers
    assert "anthropic_beta" not in sent({"anthropic_beta": ["bad-2"]}, client=invoke_client)[0]


def test_bedrocks_headers_go_on_and_the_gateways_pairs_with_them() -> None:
    call = read(
        invoke_client,
        INVOKE,
        x_amzn_bedrock_guardrailidentifier="g",
        x_amzn_bedrock_request_metadata='{"job":"b"}',
        x_other="no",
    )
    wire = UPSTREAM.pass_request(call, ON_BEDROCK, WriteOptions(metadata={"team": "a"}))
    assert wire is not None
    assert wire.headers.keys() == {"x-amzn-bedrock-guardrailidentifier", "x-amzn-bedrock-request-metadata"}
    assert json.loads(wire.headers["x-amzn-bedrock-request-metadata"]) == {"team": "a", "job": "b"}


def test_what_bedrock_refuses_is_taken_out_by_name() -> None:
    fields = {"context_management": {"edits": []}, "container": "c", "mcp_servers": [], "speed": "fast",
              "service_tier": "priority"}  # fmt: skip
    body, wire = sent(fields)
    assert body.keys() == {"anthropic_version", "max_tokens", "messages"}
    assert wire.headers == {"x-amzn-bedrock-service-tier": "priority"}
    assert set(wire.dropped) == {"context_management", "container", "mcp_servers", "speed"}
    assert sent({"service_tier": "auto"})[1].dropped == ()


def test_context_management_stays_under_its_flag() -> None:
    body, _ = sent({"context_management": {"edits": []}}, anthropic_beta="context-management-2025-06-27")
    assert body["context_management"] == {"edits": []}


def test_members_of_tools_that_need_a_flag() -> None:
    tools = [
        {"name": "a", "input_schema": {}, "eager_input_streaming": True, "defer_loading": True, "new": 1},
        {"name": "b", "input_schema": {}, "input_examples": [{}]},
        {"type": "web_search_20250305", "name": "web_search"},
    ]
    body, wire = sent({"tools": tools})
    assert body["tools"] == [{"name": "a", "input_schema": {}, "new": 1}, {"name": "b", "input_schema": {}}]
    assert set(wire.dropped) == {
        "eager_input_streaming", "defer_loading", "input_examples", "tools.web_search_20250305",
    }  # fmt: skip
    flags = {"tool-search-tool-2025-10-19", "fine-grained-tool-streaming-2025-05-14"}
    facts = structs.replace(CLAUDE, betas=frozenset(flags))
    body, wire = sent({"tools": tools[:1]}, facts, anthropic_beta="tool-search-tool-2025-10-19")
    assert body["tools"] == [{"name": "a", "input_schema": {}, "defer_loading": True, "new": 1}]
    # The flag does for all tools what the member would have done for one.
    assert set(body["anthropic_beta"]) == flags
    assert wire.dropped == ()


def test_the_form_of_the_answer_by_its_first_name() -> None:
    form = {"type": "json_schema", "schema": {"type": "object"}}
    body, _ = sent({"output_format": form, "output_config": {"effort": "low"}})
    assert body["output_config"] == {"effort": "low", "format": form}
    assert "output_format" not in body


def test_a_mark_for_the_whole_request_goes_to_its_last_block() -> None:
    mark = {"type": "ephemeral"}
    body, _ = sent({"cache_control": mark})
    assert body["messages"][0]["content"] == [{"type": "text", "text": "hello", "cache_control": mark}]
    blocks = [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    body, _ = sent({"cache_control": mark, "messages": [{"role": "user", "content": blocks}]})
    assert body["messages"][0]["content"] == blocks


def test_members_of_marks_that_the_model_does_not_take() -> None:
    mark = {"type": "ephemeral", "ttl": "1h", "scope": "global"}
    result = {
        "type": "tool_result",
        "tool_use_id": "t",
        "content": [{"type": "text", "text": "r", "cache_control": mark}],
    }
    call = {"type": "tool_use", "id": "t", "name": "a", "input": {"scope": "mine", "ttl": "1h"}}
    fields = {
        "system": [{"type": "text", "text": "s", "cache_control": mark}],
        "messages": [*HELLO, {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}],
    }
    body, _ = sent(fields)
    assert body["system"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert body["messages"][2]["content"][0]["content"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert body["messages"][1]["content"] == [call]
    short, _ = sent(fields, structs.replace(ON_BEDROCK, cache_ttl_1h=False))
    assert short["system"][0]["cache_control"] == {"type": "ephemeral"}


@pytest.mark.parametrize("source", [{"type": "url", "url": "https://example.org/a"}, {"type": "file", "file_id": "f"}])
@pytest.mark.parametrize("in_result", [False, True])
def test_addresses_are_not_passed(source: dict[str, str], in_result: bool) -> None:
    block: dict[str, Any] = {"type": "image", "source": source}
    if in_result:
        block = {"type": "tool_result", "tool_use_id": "t", "content": [block]}
    beside: Any = {"type": "search_result", "source": "https://example.org", "title": "t", "content": []}
    call = read(messages_client, MESSAGES | {"messages": [{"role": "user", "content": [beside, block]}]})
    assert UPSTREAM.pass_request(call, ON_BEDROCK, OPTIONS) is None
    with pytest.raises(Unsupported):
        UPSTREAM.write_request(request_of(user(Image(url="https://example.org/a"))), ON_BEDROCK, OPTIONS)


def test_the_word_url_alone_is_no_address() -> None:
    call = {"type": "tool_use", "id": "t", "name": "a", "input": {"url": "https://example.org", "type": "url"}}
    turns = [*HELLO, {"role": "assistant", "content": [call]},
             {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}]  # fmt: skip
    assert sent({"messages": turns})[0]["messages"] == turns


@pytest.mark.parametrize(
    "fields", [{"messages": 5}, {"tools": 5}, {"system": 5}, {"messages": [5]}, {"cache_control": 5}]
)
def test_what_is_wrong_is_for_bedrock_to_say(fields: dict[str, Any]) -> None:
    wire = UPSTREAM.pass_request(read(messages_client, MESSAGES | fields), ON_BEDROCK, OPTIONS)
    assert wire is not None
    assert json.loads(wire.body)["max_tokens"] == 100


@pytest.mark.parametrize(
    ("client", "body"),
    [(messages_client, {"model": "m", "messages": HELLO}), (invoke_client, INVOKE),
     (openai_client, {"model": "m", "messages": HELLO})],
)  # fmt: skip
def test_counting(client: ChatClient, body: Any) -> None:
    wire = UPSTREAM.write_count_request(read(client, body), ON_BEDROCK, WriteOptions())
    question = json.loads(wire.body)
    assert validate("CountTokens", {"modelId": "m"} | question) == []
    asked = json.loads(base64.b64decode(question["input"]["invokeModel"]["body"]))
    assert asked["max_tokens"] > 0
    assert asked["anthropic_version"] == "bedrock-2023-05-31"
    assert read_invoke("anthropic.claude-sonnet-4-6", json.dumps(asked).encode()).messages
    assert UPSTREAM.read_count(WireAnswer({}, b'{"inputTokens":7}')) == 7


@pytest.mark.parametrize("body", [b"", b"{}", b'{"inputTokens":-1}'])
def test_an_answer_without_a_count_is_a_fault(body: bytes) -> None:
    with pytest.raises(WireFault):
        UPSTREAM.read_count(WireAnswer({}, body))


def pieces_of(reader: StreamReader, content: bytes) -> Any:
    pieces = reader.feed(content)
    assert reader.complete
    return pieces


def test_both_envelopes_mean_the_same() -> None:
    by_frames = pieces_of(
        UPSTREAM.stream_reader(PLAIN), (RECORDED / "bedrock_invoke/tools_and_thinking.bin").read_bytes()
    )
    by_lines = pieces_of(
        messages_upstream.stream_reader(PLAIN), (RECORDED / "anthropic_messages/tools_and_thinking.bin").read_bytes()
    )
    assert [(piece.name, piece.events) for piece in by_frames] == [(piece.name, piece.events) for piece in by_lines]


@pytest.mark.parametrize("by_frames", [False, True])
def test_a_stream_is_relayed_from_either_envelope_into_the_other(by_frames: bool) -> None:
    reader = UPSTREAM.stream_reader(PLAIN) if by_frames else messages_upstream.stream_reader(PLAIN)
    name = "bedrock_invoke" if by_frames else "anthropic_messages"
    pieces = pieces_of(reader, (RECORDED / name / "tools_and_thinking.bin").read_bytes())
    call = read(messages_client, MESSAGES)
    as_lines = b"".join(map(messages_client.stream_writer(HEAD, call).relay, pieces))
    as_frames = b"".join(map(invoke_client.stream_writer(HEAD, call).relay, pieces))
    # Anthropic's and botocore's readers understand the same of both.
    one, other = ask_anthropic(as_lines, stream=True), ask_bedrock(as_frames, stream=True)
    assert one.model_dump() == other.model_dump()
    assert [block.type for block in one.content][-1] == "tool_use"
    again = pieces_of(UPSTREAM.stream_reader(PLAIN), as_frames)
    assert [piece.data for piece in again][:-1] == [piece.data for piece in pieces][:-1]
    # Clients of Bedrock find the counts in the last event, whichever upstream it came from.
    metrics = json.loads(again[-1].data)["amazon-bedrock-invocationMetrics"]
    assert (metrics["inputTokenCount"], metrics["cacheWriteInputTokenCount"]) == (25, 300)


def test_an_exception_is_a_fault_of_its_name() -> None:
    headers = {":message-type": "exception", ":exception-type": "modelStreamErrorException"}
    frame = encode_frame(headers, b'{"message":"m","originalStatusCode":529}')
    with pytest.raises(WireFault) as raised:
        UPSTREAM.stream_reader(PLAIN).feed(frame)
    assert (raised.value.code, raised.value.message) == ("modelStreamErrorException", "m (original status 529)")


@pytest.mark.parametrize(
    "frame",
    [
        encode_frame({}, b""),
        encode_frame({":message-type": "event", ":event-type": "chunk"}, b"{}"),
        encode_frame({":message-type": "event", ":event-type": "chunk"}, b'{"bytes":"%%%"}'),
        encode_chunk(b"no JSON"),
        encode_chunk(b'{"type":"content_block_stop","index":0}'),
    ],
)
def test_what_does_not_fit_is_corrupt(frame: bytes) -> None:
    with pytest.raises(WireFault) as raised:
        UPSTREAM.stream_reader(PLAIN).feed(frame)
    assert raised.value.code == "corrupt"


def test_frames_of_other_kinds_are_passed_over() -> None:
    frame = encode_frame({":message-type": "event", ":event-type": "news"}, b"{}")
    (piece,) = UPSTREAM.stream_reader(PLAIN).feed(frame)
    assert (piece.name, piece.events) == ("news", ())


@given(st.lists(st.integers(min_value=1, max_value=400), max_size=30))
def test_a_stream_cut_anywhere_means_the_same(sizes: list[int]) -> None:
    content = (RECORDED / "bedrock_invoke/tools_and_thinking.bin").read_bytes()
    reader, at = UPSTREAM.stream_reader(PLAIN), 0
    found: list[Piece] = []
    for size in [*sizes, len(content)]:
        found += reader.feed(content[at : at + size])
        at += size
    assert found == UPSTREAM.stream_reader(PLAIN).feed(content)
    assert TextDelta("関所を") in [event for piece in found for event in piece.events]
