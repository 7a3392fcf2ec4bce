"""Cache points for clients that set none: agents repeat their whole conversation at every step."""

from collections.abc import Sequence

from msgspec.structs import replace

from sekisho.core.chat import CacheMark, ChatRequest, KnownTools, Message, RedactedThinking, Thinking, Tool
from sekisho.core.model import ModelFacts

_MARK = CacheMark()


def mark_for_caching(chat: ChatRequest, facts: ModelFacts) -> None:
    """Mark the end of the system prompt, of the tools, and of the last two user turns, where the model can cache.

    Does nothing if the client marked anything itself. The last two user turns, because the one before the last is
    what the previous step wrote and this step can read. At most four marks, which is Bedrock's limit.
    """
    if not facts.cache or _is_marked(chat):
        return
    if chat.system and "system" in facts.cache:
        chat.system[-1] = replace(chat.system[-1], cache=_MARK)
    if chat.tools and "tools" in facts.cache:
        chat.tools = _mark_last(chat.tools)
    if "messages" in facts.cache:
        for at in _find_last_users(chat.messages):
            *others, last = chat.messages[at].parts
            if not isinstance(last, Thinking | RedactedThinking):
                chat.messages[at] = Message(role="user", parts=[*others, replace(last, cache=_MARK)])


def _find_last_users(turns: Sequence[Message]) -> list[int]:
    """Where the last two of the user's turns stand, the last one first."""
    found: list[int] = []
    for at in range(len(turns) - 1, -1, -1):
        if turns[at].role == "user" and turns[at].parts:
            found.append(at)
            if len(found) == 2:
                break
    return found


def _mark_last(tools: Sequence[Tool]) -> Sequence[Tool]:
    known = tools.made.get(mark_for_caching) if type(tools) is KnownTools else None
    if known is None:
        known = KnownTools([*tools[:-1], replace(tools[-1], cache=_MARK)])
        if type(tools) is KnownTools:
            tools.made[mark_for_caching] = known
    return known


def _is_marked(chat: ChatRequest) -> bool:
    for text in chat.system:
        if text.cache is not None:
            return True
    for turn in chat.new_messages:
        for part in turn.parts:
            if type(part) is not Thinking and type(part) is not RedactedThinking and part.cache is not None:
                return True
    return _are_marked(chat.tools)


def _are_marked(tools: Sequence[Tool]) -> bool:
    if type(tools) is not KnownTools:
        return any(tool.cache for tool in tools)
    marked: bool | None = tools.made.get(_are_marked)
    if marked is None:
        marked = tools.made[_are_marked] = any(tool.cache for tool in tools)
    return marked
