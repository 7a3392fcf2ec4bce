"""The features of the matrix: each is shown by a conversation, and by what client and upstream saw of it."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sekisho.simulator.prompt import seal_thinking, sign_thinking
from tests.matrix.cell import Cell
from tests.matrix.conversation import Conversation, Outcome, Said, Tool

# One white pixel.
_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8/5+hHgAHggJ/PchI7wAAAABJRU5ErkJggg=="
_PDF = base64.b64encode(b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF").decode()
_READ = Tool("read_file")
_LIST = Tool("list_files")
_STOPS = tuple(f"<END-{number}>" for number in range(20))
_UNICODE = "日本語の文章🎌 mit Umlauten äöü, und e\u0301 — 👩‍👩‍👧 " * 5
_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}},
    "required": ["city", "degrees"],
    "additionalProperties": False,
}


def _direct(**fields: Any) -> Said:
    """What makes the scripted model of the simulator do something exactly."""
    return Said(f"[[sim: {json.dumps(fields, ensure_ascii=False)}]]")


def _check_end(outcome: Outcome, finish: str = "stop") -> None:
    assert outcome.finish == finish


def answer_text(cell: Cell) -> None:
    outcome = cell.ask(Conversation((_direct(text="Good morning."),), system="Be brief."))
    assert outcome.text == "Good morning."
    _check_end(outcome)
    (call,) = cell.simulator.calls()
    assert call["complete"]


def call_a_tool(cell: Cell, result: str = "the notes of Monday") -> None:
    wish = {"name": "read_file", "input": {"path": "notes.txt"}}
    conversation = Conversation((_direct(tools=[wish]),), tools=(_READ, _LIST))
    outcome = cell.ask(conversation)
    assert [(call.name, call.arguments) for call in outcome.calls] == [("read_file", {"path": "notes.txt"})]
    _check_end(outcome, "tool_calls")
    second = cell.ask(conversation.go_on(outcome, result))
    assert "SIMULATED: done." in second.text
    assert result in second.text
    _check_end(second)


def return_an_empty_result(cell: Cell) -> None:
    call_a_tool(cell, "")


def call_tools_in_parallel(cell: Cell) -> None:
    wishes = [{"name": tool.name, "input": {"path": f"{tool.name}.txt"}} for tool in (_READ, _LIST, _READ)]
    conversation = Conversation((_direct(tools=wishes),), tools=(_READ, _LIST))
    outcome = cell.ask(conversation)
    assert [(call.name, call.arguments) for call in outcome.calls] == [(wish["name"], wish["input"]) for wish in wishes]
    assert len({call.id for call in outcome.calls}) == 3
    second = cell.ask(conversation.go_on(outcome, "alpha", "beta", "gamma"))
    assert "alpha beta gamma" in second.text


def show_an_image(cell: Cell) -> None:
    text = _direct(text="A white pixel.").text
    outcome = cell.ask(Conversation((Said(text, image=_PNG),)))
    assert outcome.text == "A white pixel."
    assert _PNG in cell.last_body()


def show_a_document(cell: Cell) -> None:
    text = _direct(text="An empty page.").text
    outcome = cell.ask(Conversation((Said(text, document=_PDF),)))
    assert outcome.text == "An empty page."
    assert _PDF in cell.last_body()


def think_and_call_a_tool(cell: Cell) -> None:
    wish = {"name": "read_file", "input": {"path": "notes.txt"}}
    said = _direct(tools=[wish], thinking="I must look first.", redacted="A secret thought.")
    conversation = Conversation((said,), tools=(_READ,), thinks=True)
    outcome = cell.ask(conversation)
    assert [call.name for call in outcome.calls] == ["read_file"]
    asked = cell.upstream.reasoning if not cell.native else "native"
    if asked in ("signed", "shown"):
        assert outcome.thinking == "I must look first."
    elif asked == "hidden":
        assert '"reasoning' in cell.last_body()
    elif asked == "unknown":
        assert "thinking" in outcome.dropped or "reasoning" in outcome.dropped
    second = cell.ask(conversation.go_on(outcome, "the notes of Monday"))
    assert "SIMULATED: done." in second.text
    if cell.upstream.reasoning == "signed":
        assert sign_thinking("I must look first.") in cell.last_body()
        assert seal_thinking("A secret thought.") in cell.last_body()


def mark_for_caching(cell: Cell) -> None:
    text = _direct(text="Good morning.").text
    outcome = cell.ask(Conversation((Said(text, cached=True),), system="Be brief.", system_cached=True))
    assert outcome.text == "Good morning."
    if cell.upstream.marks is not None:
        assert cell.last_body().count(f'"{cell.upstream.marks}"') == 2
    elif not cell.native:
        assert "cache" not in cell.last_body()


def stop_at_one_of_many(cell: Cell) -> None:
    outcome = cell.ask(Conversation((_direct(text="one two <END-17> three"),), stop=_STOPS))
    assert outcome.text.strip() == "one two"
    _check_end(outcome)
    assert all(stop in cell.last_body() for stop in _STOPS)


def answer_in_a_schema(cell: Cell) -> None:
    outcome = cell.ask(Conversation((Said("How warm is it?"),), schema=_SCHEMA))
    assert json.loads(outcome.text) == {"city": "SIMULATED", "degrees": 0}
    assert not outcome.calls
    _check_end(outcome)


def call_a_tool_of_a_long_dotted_name(cell: Cell) -> None:
    name = "mcp.files.read_everything_".ljust(80, "x")
    conversation = Conversation((Said("Read it."),), tools=(Tool(name),), must_call=True)
    outcome = cell.ask(conversation)
    assert [(call.name, call.arguments) for call in outcome.calls] == [(name, {"path": "SIMULATED"})]
    second = cell.ask(conversation.go_on(outcome, "the notes of Monday"))
    assert "the notes of Monday" in second.text


def split_unicode(cell: Cell) -> None:
    for size in (1, 7):
        outcome = cell.ask(Conversation((_direct(text=_UNICODE, chop=size),)))
        assert outcome.text == _UNICODE
        assert _UNICODE in json.loads(json.dumps(cell.last_body()))


def fail_before_the_first_byte(cell: Cell) -> None:
    for kind in ("error", "throttle"):
        cell.simulator.reset()
        cell.simulator.fault({}, {"kind": kind})
        outcome = cell.try_to_ask(Conversation((_direct(text="Good morning."),)))
        assert outcome.status in (429, 500, 502, 503)
        assert (outcome.status == 429) == (kind == "throttle")
        assert outcome.error


def fail_after_the_first_byte(cell: Cell) -> None:
    for kind in ("cut", "exception_event") if cell.stream else ("cut", "garbage"):
        outcome = _break_off(cell, kind)
        assert outcome.error
        assert not outcome.whole
        assert "word200" not in outcome.text
        if cell.stream:
            assert outcome.status == 200
            assert outcome.text.startswith("word1 ")
        else:
            assert outcome.status >= 500


def _break_off(cell: Cell, kind: str) -> Outcome:
    """The outcome of an answer that breaks off after some events, which the gateway must have had the time to send."""
    outcome = Outcome(0)
    for event_ms in (3, 30, 300):
        cell.simulator.reset()
        cell.simulator.fault({}, {"kind": kind, "after": 10, "event_ms": event_ms})
        outcome = cell.try_to_ask(Conversation((_direct(repeat=200),)))
        if outcome.status == 200 or not cell.stream:
            break
    return outcome


def hang_up(cell: Cell) -> None:
    fault = {"kind": "slow", "event_ms": 20} if cell.stream else {"kind": "slow", "first_ms": 300}
    cell.simulator.fault({}, fault)
    with cell.asking(Conversation((_direct(repeat=2000),))) as connection:
        if cell.stream:
            assert connection.recv(12) == b"HTTP/1.1 200"
        else:
            cell.await_call()
    # The upstream bills a whole answer whoever listens: it is heard to its end, so that what is charged is right.
    cell.await_call(disconnected=cell.stream, complete=not cell.stream)


@dataclass(frozen=True)
class Feature:
    """A feature: how the documentation calls it, and what shows that it works. `run` fails, or raises Refused."""

    title: str
    run: Callable[[Cell], None]


FEATURES = {
    "text": Feature("Text", answer_text),
    "tools": Feature("Tools", call_a_tool),
    "parallel_tools": Feature("Parallel tool calls", call_tools_in_parallel),
    "images": Feature("Images", show_an_image),
    "documents": Feature("Documents (PDF)", show_a_document),
    "thinking": Feature("Thinking between tool calls", think_and_call_a_tool),
    "cache_marks": Feature("Cache marks", mark_for_caching),
    "stop_lists": Feature("20 stop sequences", stop_at_one_of_many),
    "json_schema": Feature("Answers in a JSON schema", answer_in_a_schema),
    "empty_result": Feature("Empty tool results", return_an_empty_result),
    "tool_names": Feature("Tool names with dots, 80 characters", call_a_tool_of_a_long_dotted_name),
    "unicode": Feature("Characters split across packets", split_unicode),
    "early_error": Feature("Errors before the first byte", fail_before_the_first_byte),
    "late_error": Feature("Errors after it", fail_after_the_first_byte),
    "hang_up": Feature("Client hangs up", hang_up),
}
