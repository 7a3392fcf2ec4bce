import pytest
from msgspec.structs import replace
from tests.support.converse import CLAUDE, LLAMA, assistant, call, request_of, result, tool, user, write, write_wire

from sekisho.core.chat import CacheMark, Citation, Document, Image, RedactedThinking, Text, Thinking, ToolResult
from sekisho.core.errors import Unsupported
from sekisho.core.model import ModelFacts

PNG = "iVBORw0KGgo="
MARK = CacheMark()
HOUR = CacheMark("1h")
POINT = {"cachePoint": {"type": "default"}}


def test_system_and_turns_are_written() -> None:
    body = write(request_of(user("hi"), assistant("yes"), user("go"), system=[Text(text="be brief"), Text(text=" ")]))
    assert body["system"] == [{"text": "be brief"}]
    assert body["messages"] == [
        {"role": "user", "content": [{"text": "hi"}]},
        {"role": "assistant", "content": [{"text": "yes"}]},
        {"role": "user", "content": [{"text": "go"}]},
    ]


def test_without_system_support_the_system_text_begins_the_first_turn() -> None:
    body = write(request_of(user("hi"), system=[Text(text="be brief")]), ModelFacts(system=False))
    assert "system" not in body
    assert body["messages"] == [{"role": "user", "content": [{"text": "be brief"}, {"text": "hi"}]}]


def test_turns_of_one_role_are_merged_and_blank_ones_left_out() -> None:
    body = write(request_of(user("a"), user("  \n"), user("b"), assistant(""), user("c")))
    assert body["messages"] == [{"role": "user", "content": [{"text": "a"}, {"text": "b"}, {"text": "c"}]}]


@pytest.mark.parametrize("messages", [[assistant("I begin")], [user("")]])
def test_the_conversation_starts_with_a_user_turn(messages: list[object]) -> None:
    chat = request_of()
    chat.messages = messages  # type: ignore[assignment]  # parametrised
    first = write(chat)["messages"][0]
    assert first["role"] == "user"
    assert first["content"][0]["text"].strip()


def test_the_request_is_not_changed() -> None:
    chat = request_of(
        user("a"), user("b"), assistant("x", call("weird id!")), user(result("weird id!")), tools=[tool()]
    )
    before = repr(chat)
    write(chat)
    assert repr(chat) == before


def test_an_answer_begun_for_the_model_does_not_end_in_white_space() -> None:
    assert write(request_of(user("a"), assistant("b \n")))["messages"][-1]["content"] == [{"text": "b"}]


def test_results_of_parallel_calls_come_first_in_one_user_turn() -> None:
    body = write(
        request_of(
            user("go"),
            assistant(call("a", arguments='{"path":"x"}'), call("b")),
            user(result("b")),
            user("and more", result("a", "oops", is_error=True)),
            tools=[tool()],
        )
    )
    assert body["messages"][1]["content"] == [
        {"toolUse": {"toolUseId": "a", "name": "read", "input": {"path": "x"}}},
        {"toolUse": {"toolUseId": "b", "name": "read", "input": {}}},
    ]
    assert body["messages"][2]["content"] == [
        {"toolResult": {"toolUseId": "b", "content": [{"text": "done"}]}},
        {"toolResult": {"toolUseId": "a", "content": [{"text": "oops"}], "status": "error"}},
        {"text": "and more"},
    ]


@pytest.mark.parametrize("arguments", ['{"path": ', "[1]", "3", "[" * 100_000])
def test_arguments_that_are_no_object_are_wrapped(arguments: str) -> None:
    body = write(request_of(user("go"), assistant(call("a", arguments=arguments)), user(result("a")), tools=[tool()]))
    assert body["messages"][1]["content"][0]["toolUse"]["input"] == {"arguments": arguments}


@pytest.mark.parametrize("call_id", ["x" * 65, "call/1", "", "呼"])
def test_odd_call_ids_get_the_same_stable_alias_in_call_and_result(call_id: str) -> None:
    chat = request_of(user("go"), assistant(call(call_id)), user(result(call_id)), tools=[tool()])
    body = write(chat)
    alias = body["messages"][1]["content"][0]["toolUse"]["toolUseId"]
    assert body["messages"][2]["content"][0]["toolResult"]["toolUseId"] == alias
    assert write(chat) == body


def test_repeated_call_ids_become_unique() -> None:
    turn = [assistant(call("same"), call("same")), user(result("same", "1"), result("same", "2"))]
    body = write(request_of(user("go"), *turn, *turn, tools=[tool()]))
    calls = [block["toolUse"]["toolUseId"] for at in (1, 3) for block in body["messages"][at]["content"]]
    answered = [block["toolResult"]["toolUseId"] for at in (2, 4) for block in body["messages"][at]["content"]]
    assert len(set(calls)) == 4
    assert answered == calls


def test_a_call_without_a_result_gets_an_error_result() -> None:
    body = write(request_of(user("go"), assistant(call("a"), call("b")), user(result("a")), tools=[tool()]))
    missing = body["messages"][2]["content"][1]["toolResult"]
    assert missing["toolUseId"] == "b"
    assert missing["status"] == "error"
    assert "not run" in missing["content"][0]["text"]


def test_a_call_at_the_very_end_gets_an_error_result() -> None:
    body = write(request_of(user("go"), assistant(call("a")), tools=[tool()]))
    assert body["messages"][-1]["role"] == "user"
    assert body["messages"][-1]["content"][0]["toolResult"]["status"] == "error"


def test_a_result_without_a_call_becomes_text() -> None:
    body = write(request_of(user("go", result("ghost", "boo")), tools=[tool()]))
    assert [list(block) for block in body["messages"][0]["content"]] == [["text"], ["text"]]
    assert "boo" in body["messages"][0]["content"][1]["text"]


@pytest.mark.parametrize("parts", [[], [Text(text=" ")]])
def test_an_empty_tool_result_gets_a_placeholder(parts: list[Text]) -> None:
    answer = ToolResult(call_id="a", parts=[*parts])
    body = write(request_of(user("go"), assistant(call("a")), user(answer), tools=[tool()]))
    assert body["messages"][2]["content"][0]["toolResult"]["content"] == [{"text": "(no output)"}]


def test_history_with_tool_blocks_but_no_tools_is_told_as_text() -> None:
    shot = ToolResult(call_id="a", parts=[Text(text="shown"), Image(media_type="image/png", data=PNG)])
    body = write(request_of(user("go"), assistant(call("a", arguments='{"path":"x"}')), user(shot)))
    assert "toolConfig" not in body
    told = body["messages"][1]["content"][0]["text"]
    assert "read" in told
    assert '{"path":"x"}' in told
    assert "shown" in body["messages"][2]["content"][0]["text"]
    assert body["messages"][2]["content"][1]["image"]["format"] == "png"


@pytest.mark.parametrize(
    ("media_type", "data", "image_format"),
    [
        ("image/png", "AAAA", "png"),
        ("image/jpg", "AAAA", "jpeg"),
        ("image/webp", "AAAA", "webp"),
        ("image/gif", "AAAA", "gif"),
        (None, PNG, "png"),
        ("image/png", "/9j/4AAQ", "jpeg"),
    ],
)
def test_pictures_are_written_by_their_true_format(media_type: str | None, data: str, image_format: str) -> None:
    body = write(request_of(user(Image(media_type=media_type, data=data))))
    assert body["messages"][0]["content"] == [{"image": {"format": image_format, "source": {"bytes": data}}}]


def test_a_model_that_cannot_see_refuses_pictures_unless_they_may_be_dropped() -> None:
    chat = request_of(user("what is this", Image(media_type="image/png", data=PNG)))
    with pytest.raises(Unsupported, match="pictures") as caught:
        write(chat, LLAMA)
    assert caught.value.param == "messages"
    body, wire = write_wire(chat, LLAMA, drop_params=True)
    assert "messages" in wire.dropped
    assert all("text" in block for block in body["messages"][0]["content"])


def test_an_unknown_model_gets_the_picture() -> None:
    body = write(request_of(user(Image(media_type="image/png", data=PNG))), ModelFacts())
    assert "image" in body["messages"][0]["content"][0]


@pytest.mark.parametrize(
    "image", [Image(media_type="image/bmp", data="Qk0="), Image(url="https://a.example/x.png"), Image(data="")]
)
def test_pictures_that_cannot_be_sent_are_refused(image: Image) -> None:
    with pytest.raises(Unsupported):
        write(request_of(user(image)))


def test_pictures_in_an_assistant_turn_are_refused() -> None:
    with pytest.raises(Unsupported, match="assistant"):
        write(request_of(user("hi"), assistant(Image(media_type="image/png", data=PNG)), user("go")))


def test_documents_get_plain_unique_names_and_a_text_beside_them() -> None:
    documents = [
        Document(name="a/b_c.pdf", media_type="application/pdf", data="AAAA"),
        Document(name="a b c pdf", media_type="text/markdown; charset=utf-8", data="AAAA"),
        Document(name="…", media_type="text/x-python", data="AAAA"),
    ]
    content = write(request_of(user(*documents)))["messages"][0]["content"]
    assert [block["document"]["name"] for block in content[:3]] == ["a b c pdf", "a b c pdf (2)", "document"]
    assert [block["document"]["format"] for block in content[:3]] == ["pdf", "md", "txt"]
    assert content[3]["text"]


@pytest.mark.parametrize(
    ("document", "facts"),
    [
        (Document(name="a", media_type="application/pdf", data="AAAA"), LLAMA),
        (Document(name="a", media_type="application/zip", data="AAAA"), CLAUDE),
    ],
)
def test_documents_the_model_cannot_read_are_refused(document: Document, facts: ModelFacts) -> None:
    with pytest.raises(Unsupported, match="file"):
        write(request_of(user("read", document)), facts)


def test_signed_thinking_goes_back_verbatim_and_first() -> None:
    turn = assistant(call("a"), "looking", Thinking(text="hm ", signature="s=="), RedactedThinking(data="QUJD"))
    body = write(request_of(user("go"), turn, user(result("a")), tools=[tool()]))
    assert body["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "hm ", "signature": "s=="}}},
        {"reasoningContent": {"redactedContent": "QUJD"}},
        {"text": "looking"},
        {"toolUse": {"toolUseId": "a", "name": "read", "input": {}}},
    ]


def test_thinking_that_cannot_go_back_is_left_out() -> None:
    signed = Thinking(text="hm", signature="s")
    unsigned = request_of(user("go"), assistant(Thinking(text="hm"), "yes"), user("on"))
    assert write(unsigned)["messages"][1]["content"] == [{"text": "yes"}]
    foreign = request_of(user("go"), assistant(signed, "yes"), user("on"))
    assert write(foreign, LLAMA)["messages"][1]["content"] == [{"text": "yes"}]
    cut_off = request_of(user("go"), assistant(signed), user("on"))
    assert write(cut_off)["messages"] == [{"role": "user", "content": [{"text": "go"}, {"text": "on"}]}]


def test_cache_points_stand_after_what_they_cache() -> None:
    marked = ToolResult(call_id="a", parts=[Text(text="x", cache=MARK)])
    body = write(
        request_of(
            user("go"),
            assistant(Thinking(text="hm", signature="s"), call("a")),
            user(marked, Text(text="next", cache=HOUR)),
            system=[Text(text="be brief", cache=HOUR)],
            tools=[replace(tool(), cache=MARK)],
        )
    )
    assert body["system"][1] == {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert body["toolConfig"]["tools"][1] == POINT
    assert [next(iter(block)) for block in body["messages"][2]["content"]] == [
        "toolResult",
        "cachePoint",
        "text",
        "cachePoint",
    ]


def test_an_hour_is_not_asked_of_a_model_that_has_none() -> None:
    chat = request_of(user(Text(text="go", cache=HOUR)))
    assert write(chat, replace(CLAUDE, cache_ttl_1h=False))["messages"][0]["content"][1] == POINT


def test_cache_marks_in_places_the_model_has_none_are_dropped() -> None:
    facts = replace(CLAUDE, cache=frozenset({"system"}))
    chat = request_of(
        user(Text(text="go", cache=MARK)), system=[Text(text="s", cache=MARK)], tools=[replace(tool(), cache=MARK)]
    )
    body, wire = write_wire(chat, facts)
    assert len(body["system"]) == 2
    assert len(body["toolConfig"]["tools"]) == 1
    assert body["messages"][0]["content"] == [{"text": "go"}]
    assert wire.dropped == ("cache_control",)


def test_at_most_four_cache_points_stay_the_latest_of_the_turns() -> None:
    turns = []
    for at in range(4):
        turns += [user(Text(text=f"u{at}", cache=MARK)), assistant(f"a{at}")]
    chat = request_of(*turns, user("end"), system=[Text(text="s", cache=MARK)], tools=[replace(tool(), cache=MARK)])
    body, wire = write_wire(chat)
    assert POINT in body["system"]
    assert POINT in body["toolConfig"]["tools"]
    assert [POINT in turn["content"] for turn in body["messages"]] == [False] * 4 + [True, False, True, False, False]
    assert wire.dropped == ("cache_control",)


@pytest.mark.parametrize(
    ("document", "word"),
    [
        (Document(name="x", data="JVBERi0xLjQ="), "pdf"),
        (Document(name="notes.MD", data="AAAA"), "md"),
        (Document(name="data.csv", data="AAAA"), "csv"),
    ],
)
def test_a_document_without_a_type_shows_it_by_its_start_or_its_name(document: Document, word: str) -> None:
    assert write(request_of(user(document)))["messages"][0]["content"][0]["document"]["format"] == word


def test_a_document_of_no_known_type_is_refused() -> None:
    with pytest.raises(Unsupported):
        write(request_of(user(Document(name="x.bin", data="AAAA"))))


def test_a_document_that_is_still_to_be_fetched_is_refused() -> None:
    with pytest.raises(Unsupported, match="inline"):
        write(request_of(user(Document(name="x", media_type="application/pdf", url="https://example.org/x.pdf"))))


def test_a_documents_context_and_citations_are_asked_for() -> None:
    document = Document(name="d", media_type="text/plain", data="AAAA", context="from 2020", cited=True)
    block = write(request_of(user("?", document)))["messages"][0]["content"][1]["document"]
    assert (block["context"], block["citations"]) == ("from 2020", {"enabled": True})
    body, wire = write_wire(request_of(user("?", document)), replace(LLAMA, documents=True))
    assert "citations" not in body["messages"][0]["content"][1]["document"]
    assert wire.dropped == ("citations",)


def test_citations_of_documents_go_back_to_claude_with_the_text() -> None:
    cited = Text(
        text="so",
        citations=[
            Citation(kind="page", title="t", cited_text="c", document=0, start=1, end=2),
            Citation(kind="web", url="https://example.org"),
        ],
    )
    plain = Text(text="and", citations=[Citation(kind="web", url="https://example.org")])
    chat = request_of(user("a"), assistant(cited, plain), user("b"))
    location = {"documentPage": {"documentIndex": 0, "start": 1, "end": 2}}
    citation = {"title": "t", "sourceContent": [{"text": "c"}], "location": location}
    assert write(chat)["messages"][1]["content"] == [
        {"citationsContent": {"content": [{"text": "so"}], "citations": [citation]}},
        {"text": "and"},
    ]
    assert write(chat, LLAMA)["messages"][1]["content"] == [{"text": "so"}, {"text": "and"}]
