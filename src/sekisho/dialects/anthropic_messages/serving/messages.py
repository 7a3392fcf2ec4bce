"""Reads `messages` into turns."""

from typing import Final

from sekisho.core.chat import CacheMark, Message, Part, RedactedThinking, Text, Thinking
from sekisho.core.errors import InvalidRequest
from sekisho.dialects.anthropic_messages.serving.content import read_blocks, read_system
from sekisho.dialects.common.fields import read_array, read_choice, read_object

_ROLES: Final = ("user", "assistant", "system")


def read_messages(value: object, omitted: list[str]) -> tuple[list[Text], list[Message]]:
    """System texts that come before the first turn, and the turns. Neighbours of the same role become one turn.

    A system message between turns stays where it is, as words of the user's turn that say what they are: taken out to
    the front it would change the beginning of the prompt, which the cache goes by.

    Raises:
        InvalidRequest: There is no message at all, or one is malformed.
    """
    items = read_array(value, "messages")
    if not items:
        raise InvalidRequest("`messages` is empty: send at least one message.", param="messages")
    system: list[Text] = []
    turns: list[Message] = []
    for index, item in enumerate(items):
        path = f"messages[{index}]"
        message = read_object(item, path)
        role = read_choice(message.get("role"), f"{path}.role", _ROLES)
        content, at = message.get("content"), f"{path}.content"
        if role != "system":
            _append(turns, "assistant" if role == "assistant" else "user", read_blocks(content, at, omitted))
        elif turns:
            _append(turns, "user", [_quote_system(text) for text in read_system(content, at)])
        else:
            system += read_system(content, at)
    return system, turns


def mark_end(turns: list[Message], mark: CacheMark | None) -> None:
    """Put the mark that a client set for the whole request on the last part that can bear one and has none."""
    if mark is None:
        return
    for turn in reversed(turns):
        for part in reversed(turn.parts):
            if not isinstance(part, Thinking | RedactedThinking):
                part.cache = part.cache or mark
                return


def _append(turns: list[Message], role: str, parts: list[Part]) -> None:
    if not parts:
        return
    if turns and turns[-1].role == role:
        turns[-1].parts += parts
    else:
        turns.append(Message(role="assistant" if role == "assistant" else "user", parts=parts))


def _quote_system(text: Text) -> Text:
    return Text(text=f"<system>\n{text.text}\n</system>", cache=text.cache)
