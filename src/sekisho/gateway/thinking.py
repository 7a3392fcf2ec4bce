"""Signed reasoning, kept for clients whose API has no place for it.

Claude refuses a tool turn whose assistant message lacks the signed reasoning that came with the tool call. OpenAI's
chat API has no field for it, and most clients send only the tool calls back. So the reasoning is remembered under the
tool call's id (which every client returns) and put back. It stays in this process's memory, for a bounded time and
size: it is the content of a conversation and must not reach a disk.
"""

from collections import OrderedDict
from collections.abc import Sequence

from sekisho.core.chat import ChatRequest, Message, RedactedThinking, Text, Thinking, ToolCall
from sekisho.core.clock import Clock

_KEEP_SECONDS = 6 * 3600.0
_KEEP_BYTES = 64 * 1024 * 1024

Reasoning = list[Thinking | RedactedThinking]


class ThinkingKeeper:
    """Reasoning by owner and tool call id; the oldest goes first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], tuple[float, int, Reasoning]] = OrderedDict()
        self._bytes = 0

    def remember(self, owner: str, parts: Sequence[Text | Thinking | RedactedThinking | ToolCall]) -> None:
        """Keep the signed reasoning of an answer that asks for tools. `owner` keeps callers apart."""
        first_call = next((part for part in parts if type(part) is ToolCall), None)
        if first_call is None:
            return
        reasoning: Reasoning = [part for part in parts if _is_signed(part)]  # type: ignore[misc]  # narrowed by _is_signed
        if not reasoning:
            return
        size = sum(len(part.data if isinstance(part, RedactedThinking) else part.text) for part in reasoning)
        self._forget((owner, first_call.id))
        self._kept[owner, first_call.id] = (self._clock.monotonic(), size, reasoning)
        self._bytes += size
        self._evict()

    def restore(self, owner: str, chat: ChatRequest) -> None:
        """Put kept reasoning in front of the assistant turns that came back without it."""
        for at, message in enumerate(chat.messages) if self._kept else ():
            if message.role == "assistant" and not any(_is_signed(part) for part in message.parts):
                chat.messages[at] = self._restore_turn(owner, message)

    def _restore_turn(self, owner: str, message: Message) -> Message:
        for part in message.parts:
            if type(part) is ToolCall and (kept := self._kept.get((owner, part.id))):
                others = [other for other in message.parts if not isinstance(other, Thinking)]
                return Message(role=message.role, parts=[*kept[2], *others])
        return message

    def _evict(self) -> None:
        oldest_allowed = self._clock.monotonic() - _KEEP_SECONDS
        while self._kept:
            key, (since, _, _) = next(iter(self._kept.items()))
            if since >= oldest_allowed and self._bytes <= _KEEP_BYTES:
                return
            self._forget(key)

    def _forget(self, key: tuple[str, str]) -> None:
        if (kept := self._kept.pop(key, None)) is not None:
            self._bytes -= kept[1]


def _is_signed(part: object) -> bool:
    return type(part) is RedactedThinking or (type(part) is Thinking and part.signature is not None)
