from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace
from tests.support.converse import (
    CLAUDE,
    LLAMA,
    SCHEMA,
    assistant,
    call,
    request_of,
    result,
    tool,
    user,
    write,
    write_wire,
)

from sekisho.core.chat import Reasoning, ResponseFormat, Tool, ToolChoice
from sekisho.core.errors import Unsupported
from sekisho.core.model import ModelFacts

BUDGET = replace(CLAUDE, thinking="budget")
ADAPTIVE = replace(CLAUDE, thinking="adaptive")
NOVA = ModelFacts(family="nova", max_output_tokens=10000, thinking="nova")
PLAIN_CLAUDE = replace(CLAUDE, thinking="none", json_schema=False)


class TestTools:
    def test_a_tool_is_written(self) -> None:
        body = write(request_of(tools=[tool()]))
        schema = {"type": "object", "properties": {"path": {"type": "string"}}}
        spec = {"name": "read", "description": "Reads", "inputSchema": {"json": schema}}
        assert body["toolConfig"] == {"tools": [{"toolSpec": spec}]}

    @pytest.mark.parametrize(
        ("schema", "written"),
        [
            (b"", {"type": "object", "properties": {}}),
            (b"null", {"type": "object", "properties": {}}),
            (b" {} ", {"type": "object", "properties": {}}),
            (b'{"properties":{"a":{}}}', {"type": "object", "properties": {"a": {}}}),
        ],
    )
    def test_a_schema_is_completed(self, schema: bytes, written: object) -> None:
        body = write(request_of(tools=[Tool(name="t", description=" ", schema=Raw(schema))]))
        assert body["toolConfig"]["tools"] == [{"toolSpec": {"name": "t", "inputSchema": {"json": written}}}]

    def test_a_schema_that_is_no_object_is_refused(self) -> None:
        with pytest.raises(Unsupported, match="schema"):
            write(request_of(tools=[Tool(name="t", schema=Raw(b"[]"))]))

    def test_strictness_is_kept_where_the_model_knows_it(self) -> None:
        chat = request_of(tools=[replace(tool(), strict=True)])
        assert write(chat)["toolConfig"]["tools"][0]["toolSpec"]["strict"] is True
        body, wire = write_wire(chat, LLAMA)
        assert "strict" not in body["toolConfig"]["tools"][0]["toolSpec"]
        assert wire.dropped == ("strict",)

    @pytest.mark.parametrize("name", ["mcp.server/tool", "x" * 65, "", "道具"])
    def test_odd_names_get_one_stable_alias_everywhere(self, name: str) -> None:
        chat = request_of(
            user("go"),
            assistant(call("a", name)),
            user(result("a")),
            tools=[tool(name), tool("plain")],
            tool_choice=ToolChoice("tool", name),
        )
        body, wire = write_wire(chat)
        alias = body["toolConfig"]["tools"][0]["toolSpec"]["name"]
        assert body["messages"][1]["content"][0]["toolUse"]["name"] == alias
        assert body["toolConfig"]["toolChoice"] == {"tool": {"name": alias}}
        assert wire.tool_names == {alias: name}
        assert write(chat) == body

    def test_an_alias_never_takes_another_tools_name(self) -> None:
        alias = write(request_of(tools=[tool("a.b")]))["toolConfig"]["tools"][0]["toolSpec"]["name"]
        _, wire = write_wire(request_of(tools=[tool("a.b"), tool(alias)]))
        assert list(wire.tool_names.values()) == ["a.b"]
        assert alias not in wire.tool_names

    def test_names_that_differ_only_in_odd_characters_stay_apart(self) -> None:
        _, wire = write_wire(request_of(tools=[tool("a.b"), tool("a/b")]))
        assert sorted(wire.tool_names.values()) == ["a.b", "a/b"]

    def test_of_tools_with_one_name_the_first_stays(self) -> None:
        body, wire = write_wire(request_of(tools=[tool(), replace(tool(), description="other")]))
        assert [spec["toolSpec"]["description"] for spec in body["toolConfig"]["tools"]] == ["Reads"]
        assert wire.dropped == ("tools",)

    @pytest.mark.parametrize(
        ("choice", "written"),
        [
            (ToolChoice("auto"), {"auto": {}}),
            (ToolChoice("any"), {"any": {}}),
            (ToolChoice("tool", "read"), {"tool": {"name": "read"}}),
        ],
    )
    def test_the_choice_is_written(self, choice: ToolChoice, written: object) -> None:
        assert write(request_of(tools=[tool()], tool_choice=choice))["toolConfig"]["toolChoice"] == written

    def test_choice_none_leaves_the_tools_out_and_tells_past_calls_as_text(self) -> None:
        chat = request_of(
            user("go"), assistant(call("a")), user(result("a")), tools=[tool()], tool_choice=ToolChoice("none")
        )
        body, wire = write_wire(chat)
        assert "toolConfig" not in body
        assert all(set(block) == {"text"} for turn in body["messages"] for block in turn["content"])
        assert wire.dropped == ()

    def test_a_choice_that_claude_refuses_while_it_thinks_is_dropped(self) -> None:
        chat = request_of(tools=[tool()], tool_choice=ToolChoice("any"), reasoning=Reasoning(effort="low"))
        body, wire = write_wire(chat)
        assert body["toolConfig"]["toolChoice"] == {"auto": {}}
        assert wire.dropped == ("tool_choice",)

    def test_a_choice_the_model_cannot_be_held_to_is_refused(self) -> None:
        facts = ModelFacts(family="llama", tool_choice=False)
        assert write(request_of(tools=[tool()], tool_choice=ToolChoice("auto")), facts)["toolConfig"].keys() == {
            "tools"
        }
        chat = request_of(tools=[tool()], tool_choice=ToolChoice("any"))
        with pytest.raises(Unsupported) as caught:
            write(chat, facts)
        assert caught.value.param == "tool_choice"
        body, wire = write_wire(chat, facts, drop_params=True)
        assert "toolChoice" not in body["toolConfig"]
        assert wire.dropped == ("tool_choice",)

    @pytest.mark.parametrize("name", [None, "other"])
    def test_a_choice_of_no_tool_there_is_is_refused(self, name: str | None) -> None:
        with pytest.raises(Unsupported, match="not among"):
            write(request_of(tools=[tool()], tool_choice=ToolChoice("tool", name)))

    def test_tools_for_a_model_without_them_are_refused(self) -> None:
        chat = request_of(tools=[tool()])
        with pytest.raises(Unsupported, match="no tools"):
            write(chat, ModelFacts(tools=False))
        body, wire = write_wire(chat, ModelFacts(tools=False), drop_params=True)
        assert "toolConfig" not in body
        assert wire.dropped == ("tools",)

    @pytest.mark.parametrize(
        ("choice", "written"),
        [
            (None, {"type": "auto", "disable_parallel_tool_use": True}),
            (ToolChoice("any"), {"type": "any", "disable_parallel_tool_use": True}),
            (ToolChoice("tool", "read"), {"type": "tool", "name": "read", "disable_parallel_tool_use": True}),
        ],
    )
    def test_parallel_calls_are_forbidden_in_claudes_own_field(
        self, choice: ToolChoice | None, written: object
    ) -> None:
        body = write(request_of(tools=[tool()], tool_choice=choice, parallel_tool_calls=False))
        assert body["additionalModelRequestFields"] == {"tool_choice": written}
        assert "toolChoice" not in body["toolConfig"]

    def test_parallel_calls_cannot_be_forbidden_elsewhere(self) -> None:
        body, wire = write_wire(request_of(tools=[tool()], parallel_tool_calls=False), LLAMA)
        assert "additionalModelRequestFields" not in body
        assert wire.dropped == ("parallel_tool_calls",)
        assert write_wire(request_of(tools=[tool()], parallel_tool_calls=True), LLAMA)[1].dropped == ()


class TestAnswerFormat:
    def test_a_schema_is_sent_as_a_string(self) -> None:
        chat = request_of(response_format=ResponseFormat(name="r", description="d", schema=SCHEMA), tools=[tool()])
        body, wire = write_wire(chat)
        definition = {"schema": bytes(SCHEMA).decode(), "name": "r", "description": "d"}
        text_format = {"type": "json_schema", "structure": {"jsonSchema": definition}}
        assert body["outputConfig"] == {"textFormat": text_format}
        assert wire.json_tool is None

    @pytest.mark.parametrize(
        ("wanted", "facts"),
        [
            (ResponseFormat(schema=SCHEMA), PLAIN_CLAUDE),
            (ResponseFormat(), CLAUDE),
            (ResponseFormat(schema=Raw()), CLAUDE),
        ],
    )
    def test_a_tool_stands_in_elsewhere(self, wanted: ResponseFormat, facts: ModelFacts) -> None:
        body, wire = write_wire(request_of(response_format=wanted), facts)
        assert wire.json_tool == "json_response"
        assert body["toolConfig"]["toolChoice"] == {"tool": {"name": "json_response"}}
        (spec,) = (block["toolSpec"] for block in body["toolConfig"]["tools"])
        assert spec["inputSchema"]["json"]["type"] == "object"

    @pytest.mark.parametrize(
        ("fields", "facts"),
        [
            ({"tools": [tool()]}, PLAIN_CLAUDE),
            ({"reasoning": Reasoning(effort="low")}, CLAUDE),
            ({}, ModelFacts(tools=False)),
            ({}, ModelFacts(tool_choice=False)),
        ],
    )
    def test_where_no_tool_can_stand_in_the_format_is_refused(self, fields: dict[str, Any], facts: ModelFacts) -> None:
        chat = request_of(response_format=ResponseFormat(), **fields)
        with pytest.raises(Unsupported) as caught:
            write(chat, facts)
        assert caught.value.param == "response_format"
        _, wire = write_wire(chat, facts, drop_params=True)
        assert wire.dropped == ("response_format",)
        assert wire.json_tool is None
