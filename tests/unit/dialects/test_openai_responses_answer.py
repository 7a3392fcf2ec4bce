"""Whole answers in the Responses API's form, judged by OpenAI's own SDK."""

import json
from typing import Any

import pytest
from openai.types.responses import CompactedResponse, InputTokenCountResponse, Response, ResponseCompactionItem
from tests.support.openai_wire import encode, read_call, read_whole

from sekisho.core.chat import Citation, ClientCall, RedactedThinking, Text, Thinking, ToolCall
from sekisho.core.errors import InvalidRequest
from sekisho.core.events import ChatAnswer, Finish
from sekisho.core.usage import Usage
from sekisho.core.wire import AnswerHead, Inbound
from sekisho.dialects.common.sealed import SEAL
from sekisho.dialects.openai_responses import client

HEAD = AnswerHead(call_id="0198c0de-0000-7000-8000-00000000000a", model="claude", created=1_700_000_000)
STOP = Finish("stop", "end_turn")
USAGE = Usage(input=10, output=20, cache_read=3, cache_write_5m=4, cache_write_1h=5, reasoning=6)
USER = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
TOOLS = [
    {"type": "function", "name": "shell", "parameters": {"type": "object", "properties": {}}, "strict": False},
    {"type": "custom", "name": "apply_patch"},
    {"type": "namespace", "name": "agents", "description": "Others.", "tools": [{"type": "function", "name": "spawn"}]},
]


def ask(**fields: Any) -> ClientCall:
    return read_call(client, encode(**{"model": "claude", "input": [USER], "tools": TOOLS, **fields}))


def write(call: ClientCall, *parts: Any, finish: Finish = STOP, cost: int | None = None) -> dict[str, Any]:
    body = client.write_answer(ChatAnswer(parts=list(parts), finish=finish, usage=USAGE), HEAD, call, cost)
    written: dict[str, Any] = json.loads(body)
    return written


def test_an_answer_of_every_kind_is_what_the_sdk_expects() -> None:
    written = write(
        ask(
            reasoning={"effort": "low", "summary": "auto"}, instructions="Be brief.", metadata={"a": "b", "tags": ["c"]}
        ),
        Thinking(text="hm", signature="sig"),
        RedactedThinking(data="AAAA"),
        Text(text="Hello", citations=[Citation(kind="web", url="https://x.org/", title="X")]),
        Text(text=" you"),
        ToolCall(id="c1", name="shell", arguments='{"a":1}'),
        ToolCall(id="c2", name="apply_patch", arguments='{"input":"x\\ny"}'),
        ToolCall(id="c3", name="agents__spawn", arguments="{}"),
        finish=Finish("tool_calls", "tool_use"),
    )
    response = Response.model_validate(written)
    assert (response.id, response.status, response.model) == (
        "resp_0198c0de00007000800000000000000a",
        "completed",
        "claude",
    )
    assert (response.output_text, response.instructions, response.metadata) == ("Hello you", "Be brief.", {"a": "b"})
    kinds = ["reasoning", "reasoning", "message", "function_call", "custom_tool_call", "function_call"]
    assert [item.type for item in response.output] == kinds
    assert len({item.id for item in response.output}) == 6
    first, hidden, message, _, patch, spawn = written["output"]
    assert first["summary"] == [{"type": "summary_text", "text": "hm"}]
    assert hidden["summary"] == []
    assert message["content"][0]["annotations"] == [
        {"type": "url_citation", "start_index": 0, "end_index": 5, "url": "https://x.org/", "title": "X"}
    ]
    assert (patch["name"], patch["input"]) == ("apply_patch", "x\ny")
    assert (spawn["name"], spawn["namespace"]) == ("spawn", "agents")


def test_what_was_written_is_read_again_as_it_was() -> None:
    parts = [
        Thinking(text="hm", signature="sig"),
        Thinking(text="unsigned"),
        RedactedThinking(data="AAAA"),
        Text(text="Hello"),
        ToolCall(id="c1", name="shell", arguments='{"a":1}'),
        ToolCall(id="c2", name="apply_patch", arguments='{"input":"x\\ny"}'),
        ToolCall(id="c3", name="agents__spawn", arguments="{}"),
    ]
    output = write(ask(), *parts)["output"]
    chat = read_whole(client, encode(model="m", tools=TOOLS, input=[USER, *output])).chat
    assert chat.messages[1].parts == parts


def test_reasoning_is_shown_only_where_a_summary_is_asked_for_and_always_sealed() -> None:
    (item,) = write(ask(), Thinking(text="hm", signature="sig"))["output"]
    assert item["summary"] == []
    assert item["encrypted_content"].startswith(SEAL)


def test_usage_contains_the_cache_and_names_the_cost() -> None:
    usage = write(ask(), Text(text="x"), cost=1_500)["usage"]
    assert usage["input_tokens"] == 22
    assert usage["input_tokens_details"] == {"cached_tokens": 3, "cache_write_tokens": 9}
    assert usage["output_tokens_details"] == {"reasoning_tokens": 6}
    assert (usage["total_tokens"], usage["cost"]) == (42, 1.5e-6)


@pytest.mark.parametrize(("reason", "told"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_an_answer_that_was_cut_off_says_why(reason: Any, told: str) -> None:
    response = Response.model_validate(write(ask(), Text(text="x"), finish=Finish(reason, "x")))
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == told


def test_free_form_arguments_that_are_none_are_told_as_they_are() -> None:
    given = ['{"patch":"x"}', "*** Begin", '{"input":5}', '{"input":"cut of']
    written = write(ask(), *[ToolCall(id=f"c{at}", name="apply_patch", arguments=one) for at, one in enumerate(given)])
    assert [item["input"] for item in written["output"]] == [*given[:3], "cut of"]


def test_storing_is_told_as_the_gateway_decided() -> None:
    call = ask()
    assert write(call, Text(text="x"))["store"] is True
    call.stores = False
    assert write(call, Text(text="x"))["store"] is False


def compact(path: str, *items: Any) -> tuple[ClientCall, dict[str, Any]]:
    endpoint = next(one for one in client.endpoints if one.path == path)
    body = encode(model="m", input=[USER, *items])
    call = client.read_call(Inbound(endpoint=endpoint, body=body, header=lambda name: None))
    return call, write(call, Thinking(text="hm"), Text(text="We said "), Text(text="hello."))


def test_a_compaction_keeps_the_users_messages_and_a_summary_that_we_can_read() -> None:
    _, written = compact(
        "/v1/responses/compact", {"role": "assistant", "content": "hi"}, {"role": "user", "content": "go"}
    )
    compacted = CompactedResponse.construct(**written)
    assert (compacted.object, compacted.created_at) == ("response.compaction", 1_700_000_000)
    *users, item = written["output"]
    assert users == [USER, {"type": "message", "role": "user", "content": "go"}]
    ResponseCompactionItem.model_validate(item)
    chat = read_whole(client, encode(model="m", input=[item])).chat
    assert isinstance(chat.messages[0].parts[0], Text)
    assert chat.messages[0].parts[0].text.endswith("We said hello.")


def test_codex_gets_a_compaction_as_the_only_item_of_an_ordinary_answer() -> None:
    _, written = compact("/responses", {"type": "compaction_trigger"})
    assert [item.type for item in Response.model_validate(written).output] == ["compaction"]


def test_errors_and_counts() -> None:
    error = json.loads(client.write_error(InvalidRequest("`input` is wrong.", param="input")))["error"]
    told = {"message": "`input` is wrong.", "type": "invalid_request_error", "param": "input", "code": "400"}
    assert error == told
    assert InputTokenCountResponse.model_validate_json(client.write_count(12)).input_tokens == 12
    assert client.answer_headers("call-1", None) == ((b"x-request-id", b"call-1"),)
