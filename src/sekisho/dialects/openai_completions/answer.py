"""Writes answers as `text_completion` objects, whole and streamed: an answer's text, and nothing else it may have."""

from collections.abc import Mapping
from typing import Final

import msgspec

from sekisho.core.chat import FinishReason, Text
from sekisho.core.errors import SekishoError
from sekisho.core.events import ChatAnswer, Event, Finish, TextDelta
from sekisho.core.usage import Usage
from sekisho.core.wire import AnswerHead, Piece
from sekisho.dialects.common.openai import DONE, build_usage, relay_event, write_error
from sekisho.dialects.common.sse import KEEP_ALIVE, encode_event

_DONE: Final = encode_event(DONE)
# Nothing here asks for tools.
_REASONS: Final[Mapping[FinishReason, str]] = {"tool_calls": "stop"}

_encode = msgspec.json.Encoder().encode


def write_answer(answer: ChatAnswer, head: AnswerHead, cost: int | None, echo: str) -> bytes:
    """A whole answer, after the prompt in `echo`; `cost` in nano-dollars, None when the model is unpriced."""
    text = "".join(part.text for part in answer.parts if isinstance(part, Text))
    choice = _build_choice(echo + text, _read_reason(answer.finish))
    return _encode({**_build_head(head), "choices": [choice], "usage": build_usage(answer.usage, cost)})


class CompletionWriter:
    """The `StreamWriter` of this dialect. `echo` is the prompt if the answer is to begin with it."""

    def __init__(self, head: AnswerHead, *, include_usage: bool, echo: str) -> None:
        self._head = _build_head(head)
        self._include_usage = include_usage
        self._echo = echo

    def write(self, event: Event) -> bytes:
        """The bytes for one event; none for those that are no text."""
        match event:
            case TextDelta(text=text):
                return self._take_echo() + self._write_choice(text, None)
            case Finish():
                return self._take_echo() + self._write_choice("", _read_reason(event))
            case _:
                return b""

    def end(self, usage: Usage, cost: int | None) -> bytes:
        """The end of a complete stream; `cost` in nano-dollars, None when the model is unpriced."""
        if not self._include_usage:
            return _DONE
        return encode_event(_encode({**self._head, "choices": [], "usage": build_usage(usage, cost)})) + _DONE

    def relay(self, piece: Piece) -> bytes:
        """An event of an upstream of the same format, as it came; none for a usage chunk not asked for."""
        return relay_event(piece, include_usage=self._include_usage)

    def keep_alive(self) -> bytes:
        """A comment."""
        return KEEP_ALIVE

    def fail(self, error: SekishoError) -> bytes:
        """The end of a broken stream."""
        return encode_event(write_error(error))

    def _take_echo(self) -> bytes:
        echo, self._echo = self._echo, ""
        return self._write_choice(echo, None) if echo else b""

    def _write_choice(self, text: str, reason: str | None) -> bytes:
        return encode_event(_encode({**self._head, "choices": [_build_choice(text, reason)]}))


def _build_head(head: AnswerHead) -> dict[str, object]:
    return {"id": f"cmpl-{head.call_id}", "object": "text_completion", "created": head.created, "model": head.model}


def _build_choice(text: str, reason: str | None) -> dict[str, object]:
    return {"text": text, "index": 0, "logprobs": None, "finish_reason": reason}


def _read_reason(finish: Finish) -> str:
    return _REASONS.get(finish.reason, finish.reason)
