"""The conversation as Bedrock's Converse and Anthropic's Messages demand it, still in neutral form.

They want turns that alternate, begin with the user's and are never blank; the results of all calls of a turn in
the very next one; ids that are unique; and no tool blocks at all in a request that offers no tools.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from sekisho.core.chat import (
    ChatRequest,
    Message,
    Part,
    RedactedThinking,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from sekisho.core.model import ModelFacts
from sekisho.dialects.common.names import CallIds
from sekisho.dialects.common.omissions import Omissions
from sekisho.dialects.common.sealed import SEAL

NO_OUTPUT = "(no output)"
_NOT_RUN = "This tool call was not run."
_OPENING = "Continue."


def arrange_turns(
    chat: ChatRequest, facts: ModelFacts, notes: Omissions, *, with_tools: bool, ids: CallIds | None = None
) -> list[Message]:
    """The conversation in turns that the upstream accepts.

    Args:
        chat: The request; it is not changed.
        facts: What the model can do.
        notes: Gathers what is left out.
        with_tools: Whether the request will offer the client's tools; if not, tool blocks are told as text.
        ids: Gives the ids of tool calls; by default those that Converse takes.

    Raises:
        Unsupported: For a picture or file in an assistant turn, which no model takes.
    """
    turns = arrange_some(chat.messages, facts, notes, ids or CallIds(), with_tools=with_tools)
    if not turns or turns[0].role != "user":
        turns.insert(0, Message(role="user", parts=[Text(text=_OPENING)]))
    if not facts.system:
        told = [Text(text=text.text) for text in chat.system if not is_blank(text)]
        turns[0].parts[:0] = told
    trim_prefill(turns[-1])
    return turns


def arrange_some(
    messages: Iterable[Message], facts: ModelFacts, notes: Omissions, ids: CallIds, *, with_tools: bool
) -> list[Message]:
    """As `arrange_turns`, of turns that others may stand before and after. Calls get a result in any case."""
    usable = [
        Message(role=message.role, parts=_usable_parts(message, facts, notes, with_tools=with_tools))
        for message in messages
    ]
    return pair_tool_results(merge_turns(usable), ids)


def is_blank(text: Text) -> bool:
    """Whether a text is refused for saying nothing."""
    return not text.text or text.text.isspace()


def is_signed(part: Part) -> bool:
    """Whether a part is reasoning that Claude takes back. A seal of ours holds that of another vendor's model."""
    if type(part) is Thinking:
        return part.signature is not None and not part.signature.startswith(SEAL)
    return type(part) is RedactedThinking


def _usable_parts(message: Message, facts: ModelFacts, notes: Omissions, *, with_tools: bool) -> list[Part]:
    assistant = message.role == "assistant"
    parts: list[Part] = []
    said = False  # Claude refuses a turn that ends in reasoning; one that holds nothing else was cut off
    for part in message.parts:
        if type(part) is Text:
            if not part.text or part.text.isspace():
                continue
            parts.append(part)
        elif type(part) is ToolCall:
            parts.append(part if assistant and with_tools else _tell_call(part))
        elif type(part) is ToolResult:
            parts.extend([part] if not assistant and with_tools else _tell_result(part))
        elif type(part) is Thinking or type(part) is RedactedThinking:
            if assistant and facts.family == "claude" and is_signed(part):
                parts.append(part)
            continue
        elif assistant:
            notes.refuse("messages", "The model takes no pictures or files in an assistant's turn.")
            continue
        else:
            parts.append(part)
        said = True
    return parts if said else []


def merge_turns(messages: Iterable[Message]) -> list[Message]:
    """Turns that alternate, from messages that may be empty."""
    turns: list[Message] = []
    for message in messages:
        if not message.parts:
            continue
        if turns and turns[-1].role == message.role:
            turns[-1].parts.extend(message.parts)
        else:
            turns.append(message)
    return turns


def pair_tool_results(turns: list[Message], ids: CallIds) -> list[Message]:
    """Give each tool call a proper id, and exactly one result in the turn after it."""
    open_calls: list[tuple[str, str]] = []
    for turn in turns:
        if turn.role == "assistant":
            open_calls = []
            for at, part in enumerate(turn.parts):
                if type(part) is ToolCall:
                    wire_id = ids.assign(part.id)
                    open_calls.append((part.id, wire_id))
                    if wire_id != part.id:
                        turn.parts[at] = replace(part, id=wire_id)
        else:
            turn.parts = _answer_calls(open_calls, turn.parts)
            open_calls = []
    if open_calls:
        turns.append(Message(role="user", parts=_answer_calls(open_calls, [])))
    return turns


def _answer_calls(calls: list[tuple[str, str]], parts: list[Part]) -> list[Part]:
    """The parts of a user turn: results of `calls` (the client's and the wire's id of each) first, none missing."""
    answered = [part.call_id for part in parts if type(part) is ToolResult]
    if not calls and not answered:
        return parts
    if len(answered) == len(parts) and calls == [(call_id, call_id) for call_id in answered]:
        return parts
    results: list[Part] = []
    others: list[Part] = []
    for part in parts:
        if type(part) is not ToolResult:
            others.append(part)
            continue
        for call in calls:
            if call[0] == part.call_id:
                calls.remove(call)
                results.append(part if call[1] == part.call_id else replace(part, call_id=call[1]))
                break
        else:
            others.extend(_tell_result(part))
    for _, wire_id in calls:
        results.append(ToolResult(call_id=wire_id, parts=[Text(text=_NOT_RUN)], is_error=True))
    return results + others


def _tell_call(call: ToolCall) -> Text:
    return Text(text=f"[Called tool {call.name} ({call.id}) with {call.arguments or '{}'}]", cache=call.cache)


def _tell_result(result: ToolResult) -> list[Part]:
    """A tool's answer as text, and its pictures and files as the user's own."""
    texts = [part.text for part in result.parts if isinstance(part, Text) and not is_blank(part)]
    word = "Error" if result.is_error else "Result"
    told = Text(text=f"[{word} of tool call {result.call_id}]\n" + ("\n".join(texts) or NO_OUTPUT), cache=result.cache)
    return [told, *(part for part in result.parts if not isinstance(part, Text))]


def trim_prefill(last: Message) -> None:
    """Claude refuses an answer begun for it that ends in white space."""
    if last.role == "assistant" and isinstance(text := last.parts[-1], Text):
        last.parts[-1] = replace(text, text=text.text.rstrip())
