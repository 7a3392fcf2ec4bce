"""What is read of the requests that Anthropic's clients send."""

import base64
import json
from typing import Any

import msgspec
import pytest
from tests.support.anthropic_wire import read

from sekisho.core.chat import (
    CacheMark,
    ChatRequest,
    Document,
    Image,
    Message,
    Reasoning,
    RedactedThinking,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from sekisho.core.errors import Unsupported
from sekisho.dialects.anthropic_messages import client

HELLO = [{"role": "user", "content": "hello"}]
PNG = "iVBORw0KGgoAAAA"
TOOL = {"name": "read", "input_schema": {"type": "object"}}


def chat_of(**fields: Any) -> ChatRequest:
    return read(client, {"model": "sonnet", "max_tokens": 100, "messages": HELLO, **fields}).chat


def parts_of(*blocks: Any, role: str = "user") -> list[Any]:
    return list(chat_of(messages=[{"role": role, "content": list(blocks)}]).messages[0].parts)


def test_the_endpoints() -> None:
    paths = {(endpoint.path, endpoint.operation) for endpoint in client.endpoints}
    assert {
        ("/v1/messages", "chat"),
        ("/anthropic/v1/messages", "chat"),
        ("/v1/messages/count_tokens", "count_tokens"),
        ("/anthropic/v1/messages/count_tokens", "count_tokens"),
    } <= paths


def test_the_envelope() -> None:
    call = read(
        client,
        {"model": "sonnet", "max_tokens": 100, "stream": True, "messages": HELLO, "unheard_of": {"a": 1}},
        anthropic_version="2026-10-21",
        anthropic_beta="a-1, b-2",
        x_other="no",
    )
    assert (call.model, call.stream, call.max_output_tokens, call.family) == ("sonnet", True, 100, "anthropic_messages")
    assert call.headers == {"anthropic-version": "2026-10-21", "anthropic-beta": "a-1, b-2"}
    assert call.known is None  # the conversation has not been read


def test_a_question_for_tokens_is_never_a_stream() -> None:
    body = {"model": "sonnet", "stream": True, "messages": HELLO}
    call = read(client, body, "/v1/messages/count_tokens")
    assert (call.stream, call.max_output_tokens) == (False, None)
    assert call.chat.messages[0].parts == [Text(text="hello")]


@pytest.mark.parametrize(
    ("user_id", "end_user", "session"),
    [
        ('{"device_id":"d","account_uuid":"","session_id":"s-1"}', "d", "s-1"),
        ('{"device_id":"d","account_uuid":"acc","session_id":"s-1"}', "acc", "s-1"),
        ("user_ab12_account__session_0f3b5c1e-1111-2222-3333-444455556666", "user_ab12_account_",
         "0f3b5c1e-1111-2222-3333-444455556666"),
        ("somebody", "somebody", None),
        ("{broken", "{broken", None),
    ],
)  # fmt: skip
def test_whom_and_which_session_a_call_is_for(user_id: str, end_user: str, session: str | None) -> None:
    call = read(client, {"model": "m", "messages": HELLO, "metadata": {"user_id": user_id}})
    assert (call.end_user, call.session_id) == (end_user, session)


def test_litellms_fields_are_for_the_gateway() -> None:
    body = {
        "model": "m", "messages": HELLO, "litellm_session_id": "lite", "drop_params": True, "num_retries": 1,
        "tags": ["a"], "metadata": {"user_id": '{"session_id":"own"}', "tags": ["b"]}, "fallbacks": ["other"],
    }  # fmt: skip
    call = read(client, body)
    assert (call.session_id, call.drop_params, call.num_retries) == ("lite", True, 1)
    assert (call.tags, call.fallbacks) == (["a", "b"], ["other"])
    assert call.chat.extras == {}


@pytest.mark.parametrize(
    ("told", "expected"),
    [("default", None), ([{"model": "a", "max_tokens": 5}, {"model": "b"}], ["a", "b"]), (["a"], ["a"]), (None, None)],
)
def test_anthropics_own_fallbacks_are_the_gateways(told: Any, expected: list[str] | None) -> None:
    assert read(client, {"model": "m", "messages": HELLO, "fallbacks": told}).fallbacks == expected


def test_the_opening_leaves_out_what_changes_with_every_request() -> None:
    system = [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2; cch=1f"},
        {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}},
    ]
    messages = [{"role": "system", "content": "More."}, {"role": "user", "content": [{"type": "text", "text": "do"}]}]
    call = read(client, {"model": "m", "system": system, "messages": messages})
    assert (call.opening.system, call.opening.first_user) == ("You are Claude Code.\nMore.", "do")
    # The model still gets it.
    assert call.chat.system[0].text.startswith("x-anthropic-billing-header")


def test_the_system_prompt() -> None:
    assert chat_of(system="Be brief.").system == [Text(text="Be brief.")]
    block = {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    assert chat_of(system=[block]).system == [Text(text="Be brief.", cache=CacheMark("1h"))]


def test_system_messages_stay_where_they_are_among_the_turns() -> None:
    chat = chat_of(
        messages=[
            {"role": "system", "content": "first"},
            *HELLO,
            {"role": "assistant", "content": "yes"},
            {"role": "system", "content": [{"type": "text", "text": "later"}]},
            {"role": "user", "content": "go"},
        ]
    )
    assert chat.system == [Text(text="first")]
    assert [message.role for message in chat.messages] == ["user", "assistant", "user"]
    assert chat.messages[2].parts == [Text(text="<system>\nlater\n</system>"), Text(text="go")]


def test_turns_of_the_same_role_become_one() -> None:
    assert chat_of(messages=[*HELLO, *HELLO]).messages == [
        Message(role="user", parts=[Text(text="hello"), Text(text="hello")])
    ]


def test_pictures_and_files() -> None:
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    parts = parts_of(
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
        {"type": "document", "source": pdf, "title": "Roads", "context": "old", "citations": {"enabled": True}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "関"}},
        {"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}},
    )
    assert parts == [
        Image(media_type="image/png", data=PNG),
        Image(url="https://example.org/a.png"),
        Document(name="Roads", media_type="application/pdf", data="JVBERi0=", context="old", cited=True),
        Document(name="document", media_type="text/plain", data=base64.b64encode("関".encode()).decode()),
        Document(name="document", url="https://example.org/a.pdf"),
    ]


def test_a_document_made_of_blocks_is_its_texts_and_its_pictures() -> None:
    content = [
        {"type": "text", "text": "a"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        {"type": "text", "text": "b"},
    ]
    document, image = parts_of({"type": "document", "source": {"type": "content", "content": content}})
    assert base64.b64decode(document.data) == b"a\n\nb"
    assert image.data == PNG


def test_tool_calls_and_results() -> None:
    chat = chat_of(
        messages=[
            *HELLO,
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "sig"},
                    {"type": "redacted_thinking", "data": "b64"},
                    {"type": "tool_use", "id": "t1", "name": "mcp.read", "input": {"path": "a", "n": 1}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result", "tool_use_id": "t1", "is_error": True,
                        "content": [{"type": "text", "text": "no"}, {"type": "tool_reference", "tool_name": "grep"}],
                        "cache_control": {"type": "ephemeral"},
                    },
                    {"type": "tool_result", "tool_use_id": "t2"},
                    {"type": "tool_result", "tool_use_id": "t3", "content": "ok"},
                ],
            },
        ]
    )  # fmt: skip
    thinking, redacted, call = chat.messages[1].parts
    assert thinking == Thinking(text="hm", signature="sig")
    assert redacted == RedactedThinking(data="b64")
    assert isinstance(call, ToolCall)
    assert (call.id, call.name, json.loads(call.arguments)) == ("t1", "mcp.read", {"path": "a", "n": 1})
    assert chat.messages[2].parts == [
        ToolResult(
            call_id="t1", parts=[Text(text="no"), Text(text="Found tool: grep")], is_error=True, cache=CacheMark()
        ),
        ToolResult(call_id="t2", parts=[]),
        ToolResult(call_id="t3", parts=[Text(text="ok")]),
    ]


def test_citations_of_earlier_turns() -> None:
    told = [
        {"type": "char_location", "cited_text": "c", "document_index": 1, "document_title": "t", "start_char_index": 2,
         "end_char_index": 5},
        {"type": "search_result_location", "cited_text": "s", "source": "https://example.org", "title": None},
        {"type": "unheard_of"},
        "broken",
    ]  # fmt: skip
    (text,) = parts_of({"type": "text", "text": "x", "citations": told}, role="assistant")
    assert [(c.kind, c.cited_text, c.document, c.start, c.end, c.url) for c in text.citations] == [
        ("char", "c", 1, 2, 5, None),
        ("web", "s", None, None, None, "https://example.org"),
    ]


def test_tools() -> None:
    chat = chat_of(
        tools=[
            {**TOOL, "description": "Reads", "strict": True, "cache_control": {"type": "ephemeral"}},
            {**TOOL, "name": "late", "type": "custom", "defer_loading": True, "eager_input_streaming": True},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
            {"type": "mcp_toolset", "mcp_server_name": "x"},
        ],
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
    )
    assert [(tool.name, tool.strict, tool.cache) for tool in chat.tools] == [
        ("read", True, CacheMark()),
        ("late", None, None),
    ]
    assert (chat.tool_choice, chat.parallel_tool_calls) == (ToolChoice("auto"), False)
    assert chat.omitted == ["eager_input_streaming", "defer_loading", "tools.web_search", "tools.mcp_toolset"]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "any"}, ToolChoice("any")),
        ({"type": "none"}, ToolChoice("none")),
        ({"type": "tool", "name": "read"}, ToolChoice("tool", "read")),
    ],
)
def test_tool_choices(choice: Any, expected: ToolChoice) -> None:
    chat = chat_of(tools=[TOOL], tool_choice=choice)
    assert (chat.tool_choice, chat.parallel_tool_calls) == (expected, None)


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "web_search"}])
def test_a_tool_of_anthropics_servers_cannot_be_demanded(choice: Any) -> None:
    with pytest.raises(Unsupported) as raised:
        chat_of(tools=[{"type": "web_search_20250305", "name": "web_search"}], tool_choice=choice)
    assert raised.value.param == "tool_choice"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, Reasoning("enabled", None, 2048)),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}}, Reasoning("adaptive", "xhigh")),
        ({"thinking": {"type": "between_tools"}}, Reasoning("adaptive")),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}}, Reasoning("disabled", "low")),
        ({"output_config": {"effort": "low"}}, Reasoning("default", "low")),
        ({"output_config": {"effort": None}}, None),
    ],
)
def test_reasoning(fields: dict[str, Any], expected: Reasoning | None) -> None:
    assert chat_of(**fields).reasoning == expected


@pytest.mark.parametrize("holder", ["output_config", "output_format"])
def test_the_form_of_the_answer(holder: str) -> None:
    form = {"type": "json_schema", "schema": {"type": "object", "title": "T"}}
    wanted = chat_of(**({"output_config": {"format": form}} if holder == "output_config" else {holder: form}))
    assert wanted.response_format is not None
    assert wanted.response_format.schema is not None
    assert msgspec.json.decode(wanted.response_format.schema) == form["schema"]


def test_sampling_and_the_rest() -> None:
    chat = chat_of(
        temperature=0.5, top_p=0.9, top_k=5, stop_sequences=["END"], service_tier="standard_only",
        context_management={"edits": []}, thinking={"type": "adaptive", "display": "omitted"},
        output_config={"effort": "high", "task_budget": {"total": 9}}, unheard_of=[1], mcp_servers=None,
    )  # fmt: skip
    assert (chat.temperature, chat.top_p, chat.top_k, chat.stop) == (0.5, 0.9, 5, ["END"])
    assert chat.service_tier == "standard_only"
    assert chat.extras == {"unheard_of": [1], "output_config": {"task_budget": {"total": 9}}}
    assert chat.omitted == ["thinking.display", "context_management"]


def test_a_mark_for_the_whole_request_stands_on_its_last_block() -> None:
    chat = chat_of(
        cache_control={"type": "ephemeral", "ttl": "1h"}, messages=[*HELLO, {"role": "assistant", "content": "so"}]
    )
    assert chat.messages[-1].parts == [Text(text="so", cache=CacheMark("1h"))]
    assert chat.messages[0].parts == [Text(text="hello")]


def test_beta_flags_are_kept_for_upstreams_that_know_them() -> None:
    call = read(client, {"model": "m", "messages": HELLO}, anthropic_beta="one,two, one")
    assert call.chat.extras == {"anthropic_beta": ["one", "two"]}


def test_what_anthropics_servers_did_is_left_out_by_name() -> None:
    chat = chat_of(
        messages=[
            *HELLO,
            {
                "role": "assistant",
                "content": [
                    {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
                    {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
                    {"type": "text", "text": "found"},
                ],
            },
        ]
    )
    assert chat.messages[1].parts == [Text(text="found")]
    assert chat.omitted == ["server_tool_use", "web_search_tool_result"]
