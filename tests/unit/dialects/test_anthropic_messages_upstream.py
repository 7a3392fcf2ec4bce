"""Conversations written for Anthropic, with the types of its SDK as the judge."""

import base64
from typing import Any

import msgspec
import pytest
from msgspec import Raw, structs
from pydantic import ValidationError
from tests.support.anthropic_wire import CLAUDE, check_body, write
from tests.support.converse import assistant, call, request_of, result, tool, user

from sekisho.core.chat import (
    CacheMark,
    ChatRequest,
    Citation,
    Document,
    Image,
    Message,
    Reasoning,
    ResponseFormat,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from sekisho.core.errors import Unsupported
from sekisho.core.model import ModelFacts
from sekisho.core.wire import WriteOptions
from sekisho.dialects.anthropic_messages import upstream

PNG = "iVBORw0KGgoAAAA"
MARK = CacheMark()


def body_of(chat: ChatRequest, facts: ModelFacts = CLAUDE, **options: Any) -> Any:
    return write(upstream, chat, facts, **options)[0]


def marks_in(value: Any) -> int:
    if isinstance(value, dict):
        return ("cache_control" in value) + sum(map(marks_in, value.values()))
    return sum(map(marks_in, value)) if isinstance(value, list) else 0


def test_a_small_conversation() -> None:
    body, wire = write(upstream, request_of(user("hi"), system=[Text(text="Be brief.")], max_output_tokens=50))
    assert body == {
        "model": "claude-x",
        "max_tokens": 50,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "system": [{"type": "text", "text": "Be brief."}],
    }
    assert wire.headers == {"anthropic-version": "2023-06-01"}
    assert not wire.native


def test_a_stream_is_asked_for_in_the_body() -> None:
    assert body_of(request_of(), stream=True)["stream"] is True


@pytest.mark.parametrize(("facts", "expected"), [(CLAUDE, 64000), (ModelFacts(), 8192)])
def test_there_is_always_an_output_limit(facts: ModelFacts, expected: int) -> None:
    assert body_of(request_of(), facts)["max_tokens"] == expected
    assert body_of(request_of(max_output_tokens=10**6), CLAUDE)["max_tokens"] == 64000


def test_the_version_is_the_newest_that_fits() -> None:
    both = structs.replace(CLAUDE, anthropic_versions=("2023-06-01", "2026-10-21"))
    assert write(upstream, request_of(), both)[1].headers["anthropic-version"] == "2026-10-21"
    # The new one has no field for the temperature.
    body, wire = write(upstream, request_of(temperature=0.0), both)
    assert (wire.headers["anthropic-version"], body["temperature"]) == ("2023-06-01", 0.0)
    new = structs.replace(CLAUDE, anthropic_versions=("2026-10-21",))
    body, wire = write(upstream, request_of(temperature=0.0, top_k=5), new)
    assert wire.headers["anthropic-version"] == "2026-10-21"
    assert "temperature" not in body
    assert wire.dropped == ("temperature", "top_k")


@pytest.mark.parametrize(
    ("sampling", "kept"), [("both", {"temperature", "top_p"}), ("one", {"temperature"}), ("none", set())]
)
def test_sampling_is_limited_to_what_the_model_takes(sampling: Any, kept: set[str]) -> None:
    body = body_of(request_of(temperature=0.2, top_p=0.5), structs.replace(CLAUDE, sampling=sampling))
    assert body.keys() & {"temperature", "top_p"} == kept


def test_pictures_and_files() -> None:
    text = base64.b64encode("関所".encode()).decode()
    chat = request_of(
        user(
            Image(media_type="image/jpeg", data=PNG),
            Image(url="https://example.org/a.png"),
            Document(name="Roads", media_type="application/pdf", data="JVBERi0=", context="old", cited=True),
            Document(name="document", media_type="text/markdown; charset=utf-8", data=text),
            Document(name="document", url="https://example.org/a.pdf"),
        )
    )
    content = body_of(chat)["messages"][0]["content"]
    assert [block["source"] for block in content] == [
        {"type": "base64", "media_type": "image/png", "data": PNG},  # by its first bytes
        {"type": "url", "url": "https://example.org/a.png"},
        {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
        {"type": "text", "media_type": "text/plain", "data": "関所"},
        {"type": "url", "url": "https://example.org/a.pdf"},
    ]
    assert {key: content[2][key] for key in ("title", "context", "citations")} == {
        "title": "Roads",
        "context": "old",
        "citations": {"enabled": True},
    }


@pytest.mark.parametrize(
    "part",
    [
        Image(media_type="image/tiff", data="AAAA"),
        Document(name="x", media_type="application/zip", data="UEsDBA=="),
        Document(name="x", media_type="text/plain", data="not base64!"),
    ],
)
def test_what_the_model_cannot_read_is_refused_or_dropped_on_demand(part: Image | Document) -> None:
    with pytest.raises(Unsupported):
        upstream.write_request(request_of(user(part)), CLAUDE, WriteOptions(model="m"))
    body, wire = write(upstream, request_of(user(part)), drop_params=True)
    assert body["messages"][0]["content"][0]["type"] == "text"
    assert wire.dropped == ("messages",)


def test_tool_turns() -> None:
    chat = request_of(
        user("go"),
        assistant(Thinking(text="hm", signature="sig"), call("t1", arguments='{"path": "a"}'), call("t.2")),
        user(result("t.2", "no", is_error=True), result("t1")),
        tools=[tool()],
    )
    turns = body_of(chat)["messages"]
    thinking, first, second = turns[1]["content"]
    assert thinking == {"type": "thinking", "thinking": "hm", "signature": "sig"}
    assert first == {"type": "tool_use", "id": "t1", "name": "read", "input": {"path": "a"}}
    assert second["id"] != "t.2"  # a dot is not allowed
    assert turns[2]["content"] == [
        {
            "type": "tool_result",
            "tool_use_id": second["id"],
            "content": [{"type": "text", "text": "no"}],
            "is_error": True,
        },
        {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "done"}]},
    ]


def test_an_empty_result_has_no_content() -> None:
    chat = request_of(user("go"), assistant(call("t1")), user(result("t1", "")), tools=[tool()])
    assert body_of(chat)["messages"][2]["content"] == [{"type": "tool_result", "tool_use_id": "t1"}]


def test_pictures_of_a_failed_tool_follow_its_result() -> None:
    failed = ToolResult(call_id="t1", parts=[Text(text="no"), Image(data=PNG)], is_error=True)
    chat = request_of(user("go"), assistant(call("t1")), user(failed), tools=[tool()])
    blocks = body_of(chat)["messages"][2]["content"]
    assert [block["type"] for block in blocks] == ["tool_result", "image"]
    assert [block["type"] for block in blocks[0]["content"]] == ["text"]


def test_results_without_their_call_are_told_as_text() -> None:
    chat = request_of(user(result("gone", "out")), tools=[tool()])
    assert "out" in body_of(chat)["messages"][0]["content"][0]["text"]


def test_tool_names_that_are_not_allowed_come_back_as_they_were() -> None:
    dotted, long = "mcp.server.read", "x" * 130
    chat = request_of(
        user("go"),
        assistant(call("t1", dotted)),
        user(result("t1")),
        tools=[tool(dotted), tool(long), tool("y" * 128)],
        tool_choice=ToolChoice("tool", dotted),
    )
    body, wire = write(upstream, chat)
    names = [each["name"] for each in body["tools"]]
    assert names[2] == "y" * 128
    assert body["messages"][1]["content"][0]["name"] == body["tool_choice"]["name"] == names[0]
    assert wire.tool_names == {names[0]: dotted, names[1]: long}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"tool_choice": ToolChoice("auto")}, {"type": "auto"}),
        ({"tool_choice": ToolChoice("any")}, {"type": "any"}),
        ({"tool_choice": ToolChoice("none")}, {"type": "none"}),
        ({"tool_choice": ToolChoice("none"), "parallel_tool_calls": False}, {"type": "none"}),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"tool_choice": ToolChoice("any"), "reasoning": Reasoning("adaptive")}, {"type": "auto"}),
    ],
)
def test_tool_choices(fields: dict[str, Any], expected: Any) -> None:
    body = body_of(request_of(tools=[tool()], **fields))
    assert body.get("tool_choice") == expected
    assert len(body["tools"]) == 1


def test_tools_without_a_type_in_their_schema() -> None:
    body = body_of(request_of(tools=[Tool(name="a", schema=Raw(b"{}"), strict=True)]))
    assert body["tools"] == [{"name": "a", "input_schema": {"type": "object", "properties": {}}, "strict": True}]


@pytest.mark.parametrize(
    ("thinking", "wish", "expected", "effort"),
    [
        ("adaptive", Reasoning("enabled", None, 9000), {"type": "adaptive"}, "high"),
        ("adaptive", Reasoning(None, "low"), {"type": "adaptive"}, "low"),
        ("budget", Reasoning(None, "low"), {"type": "enabled", "budget_tokens": 2048}, None),
        ("budget", Reasoning("enabled", None, 5), {"type": "enabled", "budget_tokens": 1024}, None),
        ("both", Reasoning("enabled", None, 5000), {"type": "enabled", "budget_tokens": 5000}, None),
        ("none", Reasoning("adaptive"), None, None),
        ("both", Reasoning("disabled"), None, None),
    ],
)
def test_thinking_is_asked_for_as_the_model_wants_it(
    thinking: Any, wish: Reasoning, expected: Any, effort: Any
) -> None:
    body = body_of(request_of(reasoning=wish, temperature=0.3), structs.replace(CLAUDE, thinking=thinking))
    assert body.get("thinking") == expected
    assert body.get("output_config", {}).get("effort") == effort
    assert ("temperature" in body) == (expected is None)


def test_a_json_schema() -> None:
    wanted = ResponseFormat(schema=Raw(b'{"type":"object","x":1.50}'))
    body, wire = write(upstream, request_of(response_format=wanted))
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": {"type": "object", "x": 1.5}}}
    assert b'"x":1.50' in wire.body
    assert wire.json_tool is None


def test_a_json_answer_through_a_tool() -> None:
    facts = structs.replace(CLAUDE, json_schema=False)
    body, wire = write(upstream, request_of(response_format=ResponseFormat(schema=Raw(b'{"type":"object"}'))), facts)
    assert [each["name"] for each in body["tools"]] == [wire.json_tool] == [body["tool_choice"]["name"]]
    with pytest.raises(Unsupported):
        upstream.write_request(
            request_of(response_format=ResponseFormat(), tools=[tool()]), facts, WriteOptions(model="m")
        )


def test_cache_marks_stand_on_their_blocks() -> None:
    marked_tool = structs.replace(tool(), cache=CacheMark("1h"))
    marked = ToolResult(call_id="t1", parts=[Text(text="x", cache=MARK)])
    chat = request_of(
        user(Text(text="go", cache=MARK)),
        assistant(call("t1")),
        user(marked),
        system=[Text(text="s", cache=CacheMark("1h"))],
        tools=[marked_tool],
    )
    body = body_of(chat)
    hour = {"type": "ephemeral", "ttl": "1h"}
    assert body["tools"][0]["cache_control"] == body["system"][0]["cache_control"] == hour
    assert body["messages"][2]["content"][0]["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" not in body["messages"][2]["content"][0]["content"][0]
    short = structs.replace(CLAUDE, cache_ttl_1h=False)
    assert body_of(chat, short)["system"][0]["cache_control"] == {"type": "ephemeral"}
    none, wire = write(upstream, chat, structs.replace(CLAUDE, cache=frozenset()))
    assert marks_in(none) == 0
    assert wire.dropped == ("cache_control",)


def test_marks_are_counted_to_four_and_the_latest_win() -> None:
    parts = [Text(text=str(number), cache=MARK) for number in range(5)]
    body, wire = write(upstream, request_of(user(*parts), system=[Text(text="s", cache=MARK)]))
    assert marks_in(body) == 4
    assert ["cache_control" in block for block in body["messages"][0]["content"]] == [False, False, True, True, True]
    assert wire.dropped == ("cache_control",)


def test_a_long_list_of_stop_sequences() -> None:
    stop = [f"s{number}" for number in range(3000)]
    assert body_of(request_of(stop=stop))["stop_sequences"] == stop


def test_citations_go_back_with_the_models_own_words() -> None:
    cited = Citation(kind="char", cited_text="c", document=0, start=1, end=2)
    web = Citation(kind="web", url="https://example.org")
    chat = request_of(user("q"), Message(role="assistant", parts=[Text(text="a", citations=[cited, web])]), user("go"))
    block = body_of(chat)["messages"][1]["content"][0]
    assert [each["type"] for each in block["citations"]] == ["char_location"]


def test_betas_are_limited_to_those_the_upstream_takes() -> None:
    chat = request_of(extras={"anthropic_beta": ["good-1", "bad-2"]})
    assert write(upstream, chat)[1].headers["anthropic-beta"] == "good-1,bad-2"
    limited = structs.replace(CLAUDE, betas=frozenset({"good-1"}))
    assert write(upstream, chat, limited)[1].headers["anthropic-beta"] == "good-1"
    assert "anthropic-beta" not in write(upstream, chat, structs.replace(CLAUDE, betas=frozenset()))[1].headers


def test_other_fields_are_dropped_by_name_or_refused() -> None:
    assert write(upstream, request_of(extras={"seed": 5, "n": 1}))[1].dropped == ("seed",)
    with pytest.raises(Unsupported):
        upstream.write_request(request_of(extras={"n": 2}), CLAUDE, WriteOptions(model="m"))


@pytest.mark.parametrize(
    ("tier", "sent", "dropped"), [("auto", "auto", ()), ("flex", None, ("service_tier",)), ("default", None, ())]
)
def test_service_tiers(tier: str, sent: str | None, dropped: tuple[str, ...]) -> None:
    body, wire = write(upstream, request_of(service_tier=tier))
    assert (body.get("service_tier"), wire.dropped) == (sent, dropped)


def test_the_conversation_itself_is_not_changed() -> None:
    chat = request_of(user("go", Text(text="")), assistant(call("t.1")), user(result("t.1")), tools=[tool("a.b")])
    before = msgspec.json.encode(chat)
    body_of(chat)
    assert msgspec.json.encode(chat) == before


def test_the_judge_can_refuse() -> None:
    with pytest.raises(ValidationError):
        check_body({"max_tokens": 5, "messages": [{"role": "user", "content": [{"type": "text"}]}]})
    with pytest.raises(ValidationError):
        check_body({"max_tokens": 5, "messages": [], "tools": [{"name": 5}]})


def test_arguments_cut_off_are_kept() -> None:
    chat = request_of(
        user("go"), assistant(ToolCall(id="t", name="read", arguments='{"a')), user(result("t")), tools=[tool()]
    )
    assert body_of(chat)["messages"][1]["content"][0]["input"] == {"arguments": '{"a'}
