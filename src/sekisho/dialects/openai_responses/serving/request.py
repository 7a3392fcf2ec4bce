"""Reads a request body of OpenAI's Responses API into the neutral form."""

from collections.abc import Mapping
from typing import Final

from msgspec import Raw

from sekisho.core.beginnings import Beginning
from sekisho.core.chat import ChatRequest, KnownTurns, Message, Text
from sekisho.core.errors import InvalidRequest
from sekisho.dialects.common.fields import read_flag, read_integer, read_name, read_number, read_text
from sekisho.dialects.common.known_turns import read_known_turns
from sekisho.dialects.common.members import decode_members
from sekisho.dialects.common.wishes import read_optional
from sekisho.dialects.openai_responses.names import COMPACT, COUNT, TRIGGER
from sekisho.dialects.openai_responses.serving.directory import read_directory, read_tool_choice
from sekisho.dialects.openai_responses.serving.items import Conversation
from sekisho.dialects.openai_responses.serving.options import (
    read_extras,
    read_reasoning,
    read_response_format,
    refuse_kept_state,
)
from sekisho.dialects.openai_responses.serving.plain import read_plain_items

_SUMMARISE: Final = (
    "Summarise the conversation so far, so that the work can be continued from your summary alone by someone who has "
    "not seen the conversation. Keep: what the user wants and every constraint they stated; decisions and their "
    "reasons; files, commands, names and values that matter, verbatim; what was tried and how it went; the state now; "
    "and the next steps. Answer with the summary only."
)


def read_chat(members: Mapping[str, Raw], path: str, beginning: Beginning | None = None) -> ChatRequest:
    """The conversation and everything that decides its answer.

    Args:
        members: The request body's.
        path: The endpoint's path, which says what is asked for.
        beginning: What is known of how the conversation begins.

    Raises:
        InvalidRequest: Naming the field; Unsupported for what cannot be had here.
    """
    plain = _read_plain(members, beginning)
    left_out = ("tools",) if plain is None else ("tools", "input")
    fields = decode_members({name: raw for name, raw in members.items() if name not in left_out})
    refuse_kept_state(fields)
    directory = read_directory(members.get("tools"), fields.get("input"), beginning)
    conversation = Conversation(directory)
    instructions = read_optional(fields.get("instructions"), "instructions", read_text)
    if instructions:
        conversation.system.append(Text(text=instructions))
    if plain is None:
        conversation.read(fields.get("input"))
    else:
        conversation.system += plain[0]
        conversation.turns = plain[1]
    if not conversation.turns and not path.endswith(COUNT):
        raise InvalidRequest("`input` holds no message: send at least one.", param="input")
    if path.endswith(COMPACT) or _ends_with_trigger(fields.get("input")):
        return _ask_for_summary(conversation)
    tool_choice = read_tool_choice(fields.get("tool_choice"), directory)
    extras, omitted = read_extras(fields)
    return ChatRequest(
        system=conversation.system,
        messages=conversation.turns,
        known=None if plain is None else plain[2],
        tools=directory.tools,
        tool_choice=tool_choice,
        parallel_tool_calls=read_optional(fields.get("parallel_tool_calls"), "parallel_tool_calls", read_flag),
        max_output_tokens=read_optional(fields.get("max_output_tokens"), "max_output_tokens", read_positive),
        temperature=read_optional(fields.get("temperature"), "temperature", _read_temperature),
        top_p=read_optional(fields.get("top_p"), "top_p", _read_share),
        reasoning=read_reasoning(fields),
        response_format=read_response_format(fields),
        service_tier=read_optional(fields.get("service_tier"), "service_tier", read_name),
        extras=extras,
        omitted=_each_once([*directory.omitted, *conversation.omitted, *omitted]),
    )


def _read_plain(
    members: Mapping[str, Raw], beginning: Beginning | None
) -> tuple[list[Text], list[Message], KnownTurns | None] | None:
    """The texts of system messages, turns, and those that others have, too; None for input that is not plain."""
    items = members.get("input", Raw(b"null"))
    if beginning is not None and (known := read_known_turns(items, beginning, read_plain_items)) is not None:
        return known
    plain = read_plain_items(items)
    return None if plain is None else (*plain, None)


def read_positive(value: object, path: str) -> int:
    """A number of at least one."""
    return read_integer(value, path, minimum=1)


def _ask_for_summary(conversation: Conversation) -> ChatRequest:
    """The conversation with the wish for a summary at its end. Its tools are left out: none shall be called."""
    turns, wish = conversation.turns, Text(text=_SUMMARISE)
    if turns[-1].role == "user":  # which may be shared with other calls
        turns[-1] = Message(role="user", parts=[*turns[-1].parts, wish])
    else:
        turns.append(Message(role="user", parts=[wish]))
    return ChatRequest(system=conversation.system, messages=turns, omitted=_each_once(conversation.omitted))


def _ends_with_trigger(items: object) -> bool:
    last = items[-1] if isinstance(items, list) and items else None
    return isinstance(last, dict) and last.get("type") == TRIGGER


def _each_once(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _read_temperature(value: object, path: str) -> float:
    return read_number(value, path, minimum=0, maximum=2)


def _read_share(value: object, path: str) -> float:
    return read_number(value, path, minimum=0, maximum=1)
