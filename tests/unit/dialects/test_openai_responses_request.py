"""What a client sends to the Responses API, read into the neutral form."""

import json
from typing import Any

import pytest
from tests.support.openai_wire import encode, read_call, read_whole

from sekisho.core.chat import (
    ClientCall,
    Document,
    Image,
    Message,
    Opening,
    Reasoning,
    RedactedThinking,
    ResponseFormat,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from sekisho.core.errors import InvalidRequest, Unsupported
from sekisho.core.wire import Inbound
from sekisho.dialects.common.sealed import SealedRedacted, SealedSummary, SealedThinking, seal
from sekisho.dialects.openai_responses import client

HELLO = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
NO_PARAMETERS = {"type": "object", "properties": {}}
SHELL = {"type": "function", "name": "shell", "parameters": NO_PARAMETERS, "strict": False}
PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edits files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: begin"},
}
AGENTS = {
    "type": "namespace",
    "name": "agents",
    "description": "Other agents.",
    "tools": [
        {"type": "function", "name": "spawn", "description": "Starts one.", "parameters": NO_PARAMETERS},
        {"type": "function", "name": "wait"},
    ],
}


def read(**fields: Any) -> ClientCall:
    return read_whole(client, encode(**{"model": "m", "input": [HELLO], **fields}))


def refuse(**fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        read(**fields)
    error = caught.value
    assert error.param
    assert f"`{error.param}`" in error.message
    return error


def test_the_envelope_of_a_codex_request() -> None:
    call = read_call(
        client,
        encode(
            model="claude",
            instructions="You are Codex.",
            input=[
                {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Sandboxed."}]},
                HELLO,
                {"type": "message", "role": "user", "content": "later"},
            ],
            stream=True,
            store=False,
            include=["reasoning.encrypted_content"],
            prompt_cache_key="thread-1",
            client_metadata={"x": "y"},
            max_output_tokens=7,
        ),
    )
    assert (call.model, call.stream, call.include_usage, call.stores) == ("claude", True, True, False)
    assert (call.session_id, call.max_output_tokens, call.continues) == ("thread-1", 7, None)
    assert call.opening == Opening("You are Codex.\nSandboxed.", "hello")
    assert call.known is None


def test_litellm_fields_are_wishes_and_win_as_the_session() -> None:
    call = read(
        litellm_session_id="s",
        prompt_cache_key="k",
        tags=["a"],
        metadata={"tags": ["b"], "x": "y"},
        fallbacks=["n"],
        num_retries=2,
        timeout=3,
        drop_params=True,
        user="u",
        safety_identifier="i",
    )
    assert (call.session_id, call.tags, call.end_user) == ("s", ["a", "b"], "u")
    assert (call.fallbacks, call.num_retries, call.timeout, call.drop_params) == (["n"], 2, 3.0, True)
    assert call.chat.extras == {"prompt_cache_key": "k", "safety_identifier": "i"}


def test_storing_is_the_formats_default_and_not_that_of_counts_and_compactions() -> None:
    for endpoint in client.endpoints:
        body = encode(model="m", input="x", stream=True)
        call = client.read_call(Inbound(endpoint=endpoint, body=body, header=lambda name: None))
        ordinary = endpoint.path.endswith("/responses")
        assert (call.stores, call.stream) == (ordinary, ordinary)


def test_a_text_is_the_users_message() -> None:
    chat = read(input="hello", instructions="Be brief.").chat
    assert chat.system == [Text(text="Be brief.")]
    assert chat.messages == [Message(role="user", parts=[Text(text="hello")])]


def test_messages_of_every_role_and_part() -> None:
    png = "data:image/png;base64,AAAA"
    chat = read(
        input=[
            {"role": "system", "content": "one"},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "see"},
                    {"type": "input_image", "image_url": png, "detail": "auto"},
                    {"type": "input_image", "image_url": "https://example.org/a.png"},
                    {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
                    {"type": "input_file", "file_url": "https://example.org/a.pdf"},
                ],
            },
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [
                    {"type": "output_text", "text": "a", "annotations": []},
                    {"type": "refusal", "refusal": "b"},
                ],
            },
            {"role": "developer", "content": [{"type": "input_text", "text": "two"}]},
        ]
    ).chat
    assert chat.system == [Text(text="one"), Text(text="two")]
    assert chat.messages == [
        Message(
            role="user",
            parts=[
                Text(text="see"),
                Image(media_type="image/png", data="AAAA"),
                Image(url="https://example.org/a.png"),
                Document(name="a.pdf", media_type="application/pdf", data="AAAA"),
                Document(name="document", url="https://example.org/a.pdf"),
            ],
        ),
        Message(role="assistant", parts=[Text(text="a"), Text(text="b")]),
    ]


def test_calls_and_outputs_of_functions_custom_tools_and_namespaces() -> None:
    chat = read(
        tools=[SHELL, PATCH, AGENTS],
        input=[
            HELLO,
            {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "shell", "arguments": '{"a":1}'},
            {"type": "custom_tool_call", "call_id": "c2", "name": "apply_patch", "input": 'say "hi"\n'},
            {"type": "function_call", "call_id": "c3", "namespace": "agents", "name": "spawn", "arguments": ""},
            {"type": "function_call_output", "call_id": "c1", "output": "done"},
            {
                "type": "custom_tool_call_output",
                "call_id": "c2",
                "output": [
                    {"type": "input_text", "text": "ok"},
                    {"type": "input_image", "image_url": "https://x.org/"},
                ],
            },
            {"type": "function_call_output", "call_id": "c3", "output": ""},
        ],
    ).chat
    assert [tool.name for tool in chat.tools] == ["shell", "apply_patch", "agents__spawn", "agents__wait"]
    assert chat.messages[1].parts == [
        ToolCall(id="c1", name="shell", arguments='{"a":1}'),
        ToolCall(id="c2", name="apply_patch", arguments='{"input":"say \\"hi\\"\\n"}'),
        ToolCall(id="c3", name="agents__spawn", arguments="{}"),
    ]
    assert chat.messages[2].parts == [
        ToolResult(call_id="c1", parts=[Text(text="done")]),
        ToolResult(call_id="c2", parts=[Text(text="ok"), Image(url="https://x.org/")]),
        ToolResult(call_id="c3", parts=[Text(text="")]),
    ]


def test_a_custom_tools_grammar_and_a_namespaces_purpose_are_told_to_the_model() -> None:
    _, patch, spawn, wait = read(tools=[SHELL, PATCH, AGENTS]).chat.tools
    assert patch.description == "Edits files.\n\n`input` must match this lark grammar:\nstart: begin"
    assert json.loads(bytes(patch.schema))["required"] == ["input"]
    assert (spawn.description, wait.description) == ("Other agents.\n\nStarts one.", None)


def test_a_namespaces_tool_never_takes_the_name_of_another() -> None:
    taken = {"type": "function", "name": "agents__spawn", "parameters": NO_PARAMETERS}
    names = [tool.name for tool in read(tools=[AGENTS, taken]).chat.tools]
    assert names == ["agents__spawn_2", "agents__wait", "agents__spawn"]


def test_tools_that_items_add_are_offered() -> None:
    added = {"type": "additional_tools", "role": "developer", "tools": [PATCH]}
    assert [tool.name for tool in read(tools=[SHELL], input=[HELLO, added]).chat.tools] == ["shell", "apply_patch"]


def test_tools_that_openai_runs_are_left_out_by_name() -> None:
    chat = read(tools=[SHELL, {"type": "web_search"}, {"type": "image_generation"}, {"type": "web_search"}]).chat
    assert [tool.name for tool in chat.tools] == ["shell"]
    assert chat.omitted == ["tools.web_search", "tools.image_generation"]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", ToolChoice("auto")),
        ("required", ToolChoice("any")),
        ("none", ToolChoice("none")),
        ({"type": "function", "name": "shell"}, ToolChoice("tool", "shell")),
        ({"type": "custom", "name": "apply_patch"}, ToolChoice("tool", "apply_patch")),
    ],
)
def test_tool_choices(choice: object, expected: ToolChoice) -> None:
    assert read(tools=[SHELL, PATCH], tool_choice=choice).chat.tool_choice == expected


def test_allowed_tools_are_the_only_ones_offered() -> None:
    allowed = [{"type": "custom", "name": "apply_patch"}, {"type": "web_search"}]
    choice = {"type": "allowed_tools", "mode": "required", "tools": allowed}
    chat = read(tools=[SHELL, PATCH, {"type": "web_search"}], tool_choice=choice).chat
    assert [tool.name for tool in chat.tools] == ["apply_patch"]
    assert chat.tool_choice == ToolChoice("any")


def test_a_tool_that_only_openai_runs_cannot_be_demanded() -> None:
    hosted = {"type": "web_search"}
    assert isinstance(refuse(tools=[hosted], tool_choice=hosted), Unsupported)
    demanded = {"type": "allowed_tools", "mode": "required", "tools": [hosted]}
    assert isinstance(refuse(tools=[SHELL, hosted], tool_choice=demanded), Unsupported)


def test_our_own_reasoning_comes_back_as_it_was() -> None:
    shown = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "seen"}]}
    chat = read(
        input=[
            HELLO,
            {**shown, "encrypted_content": seal(SealedThinking("whole", "sig"))},
            {**shown, "encrypted_content": seal(SealedRedacted("AAAA"))},
        ]
    ).chat
    assert chat.messages[1].parts == [Thinking(text="whole", signature="sig"), RedactedThinking(data="AAAA")]
    assert chat.omitted == []


@pytest.mark.parametrize("encrypted", ["gAAAAABo", "sekisho1.broken", "sekisho1.", "sekisho1.é"])
def test_reasoning_of_others_is_left_out_by_name_and_its_text_kept(encrypted: str) -> None:
    item = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
        "encrypted_content": encrypted,
    }
    chat = read(input=[HELLO, item]).chat
    assert chat.messages[1].parts == [Thinking(text="a\n\nb")]
    assert chat.omitted == ["input.reasoning.encrypted_content"]


def test_items_of_tools_that_openai_ran_are_left_out_by_name() -> None:
    chat = read(input=[HELLO, {"type": "web_search_call", "id": "ws_1", "status": "completed"}]).chat
    assert (len(chat.messages), chat.omitted) == (1, ["input.web_search_call"])


def test_a_compaction_of_ours_is_read_as_the_summary() -> None:
    item = {"type": "compaction", "encrypted_content": seal(SealedSummary("We built a gate."))}
    (turn,) = read(input=[item, HELLO]).chat.messages
    assert isinstance(turn.parts[0], Text)
    assert turn.parts[0].text.endswith("We built a gate.")


@pytest.mark.parametrize(
    "item",
    [
        {"type": "compaction", "encrypted_content": "gAAAAABo"},
        {"type": "item_reference", "id": "msg_1"},
        {"id": "msg_1"},
        {"type": "something_new"},
        {"type": "message", "role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_image", "file_id": "file-1"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_audio"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "data:x;base64,AAAA"}]},
        {},
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(item: object) -> None:
    assert (refuse(input=[HELLO, item]).param or "").startswith("input[1]")


@pytest.mark.parametrize(
    "fields",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"prompt": {"id": "pmpt_1"}},
        {"background": True},
        {"input": []},
        {"input": 5},
        {"tools": [{"type": "function"}]},
        {"tool_choice": {"type": "function", "name": "unknown"}},
        {"text": {"format": {"type": "xml"}}},
        {"reasoning": {"effort": "huge"}},
        {"max_output_tokens": 0},
    ],
)
def test_fields_that_are_refused_are_named(fields: dict[str, Any]) -> None:
    assert (refuse(**fields).param or "").split(".")[0].split("[")[0] in fields


def test_everything_that_decides_the_answer() -> None:
    schema = {"type": "object"}
    chat = read(
        text={"format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True}, "verbosity": "low"},
        reasoning={"effort": "xhigh", "summary": "auto"},
        max_output_tokens=9,
        temperature=0.5,
        top_p=0.9,
        parallel_tool_calls=False,
        service_tier="flex",
    ).chat
    assert isinstance(chat.response_format, ResponseFormat)
    assert (chat.response_format.name, chat.response_format.strict) == ("n", True)
    assert chat.response_format.schema is not None
    assert json.loads(bytes(chat.response_format.schema)) == schema
    assert chat.reasoning == Reasoning(effort="xhigh")
    assert (chat.max_output_tokens, chat.temperature, chat.top_p) == (9, 0.5, 0.9)
    assert (chat.parallel_tool_calls, chat.service_tier, chat.extras) == (False, "flex", {"verbosity": "low"})


def test_hints_are_left_out_by_name_and_the_unknown_is_for_the_upstream_to_judge() -> None:
    chat = read(
        truncation="auto",
        max_tool_calls=3,
        client_metadata={},
        include=["reasoning.encrypted_content", "web_search_call.action.sources"],
        stream_options={"include_obfuscation": True},
        reasoning={"context": "all_turns"},
        something_new=1,
    ).chat
    named = {"truncation", "max_tool_calls", "client_metadata", "include", "reasoning.context"}
    assert set(chat.omitted) == named
    assert chat.extras == {"something_new": 1}


@pytest.mark.parametrize("trigger", [True, False])
def test_a_compaction_asks_for_a_summary_without_tools(trigger: bool) -> None:
    items = [HELLO, {"type": "function_call", "call_id": "c", "name": "shell", "arguments": "{}"}]
    endpoint = next(
        one for one in client.endpoints if one.path == ("/v1/responses" if trigger else "/responses/compact")
    )
    body = encode(model="m", tools=[SHELL], input=[*items, *([{"type": "compaction_trigger"}] if trigger else [])])
    chat = client.read_call(Inbound(endpoint=endpoint, body=body, header=lambda name: None)).chat
    assert chat.tools == []
    last = chat.messages[-1]
    assert last.role == "user"
    assert isinstance(last.parts[-1], Text)
    assert "Summarise" in last.parts[-1].text
