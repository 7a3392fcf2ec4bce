"""The client's side of Completions: servers that are asked in the client's own words, or not at all."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from sekisho.core.chat import ChatRequest, ClientCall, FinishReason, Text
from sekisho.core.errors import Unsupported
from sekisho.core.events import ChatAnswer, Event, Finish, TextDelta, UsageReport
from sekisho.core.model import ModelFacts
from sekisho.core.usage import Usage
from sekisho.core.wire import Piece, StreamReader, WireAnswer, WireFault, WireRequest, WriteOptions
from sekisho.dialects.common.members import write_members
from sekisho.dialects.common.openai import DONE, ErrorObject, EventReader, TokenUsage, read_fault, read_usage
from sekisho.dialects.common.openai_envelope import edit_members, limit_output
from sekisho.dialects.common.pieces import read_pieces
from sekisho.dialects.openai_completions.request import FAMILY

_LIMIT = "max_tokens"
_REASONS: dict[str, FinishReason] = {"length": "length", "content_filter": "content_filter"}


class _Choice(Struct):
    text: str = ""
    index: Annotated[int, Meta(ge=0)] = 0
    finish_reason: str | None = None


class _Completion(Struct):
    """A whole answer or a chunk, which have the same shape."""

    choices: list[_Choice] | None = None
    usage: TokenUsage | None = None
    error: ErrorObject | str | None = None


_decode_completion = msgspec.json.Decoder(_Completion).decode


class OpenAICompletionsUpstream:
    """Passes Completions on and reads their answers."""

    family = FAMILY

    def write_request(self, chat: ChatRequest, facts: ModelFacts, options: WriteOptions) -> WireRequest:
        """Nothing is translated into this format, which has no turns. Raises Unsupported."""
        raise Unsupported("The model only completes texts: use the completions endpoint.", param="model")

    def pass_request(self, call: ClientCall, facts: ModelFacts, options: WriteOptions) -> WireRequest:
        """The client's own body."""
        members = edit_members(call, options)
        if options.ceiling is not None:
            limit_output(members, (_LIMIT,), _LIMIT, options.ceiling // call.answers)
        return WireRequest(body=write_members(members), native=True)

    def read_answer(self, answer: WireAnswer, request: WireRequest) -> ChatAnswer:
        """A `text_completion` object: the first choice of it. Raises WireFault."""
        completion = _decode(answer.body)
        if not completion.choices:
            raise WireFault("corrupt", "the answer has no choices")
        choice = min(completion.choices, key=lambda choice: choice.index)
        finish = _read_finish(choice.finish_reason or "stop")
        return ChatAnswer(parts=[Text(text=choice.text)], finish=finish, usage=read_usage(completion.usage) or Usage())

    def stream_reader(self, request: WireRequest) -> StreamReader:
        """A reader of `text_completion` chunks."""
        return CompletionReader()


class CompletionReader:
    """The `StreamReader` of this dialect. The texts of all choices are told, so that they are counted."""

    def __init__(self) -> None:
        self._events = EventReader()
        self._finished = False
        self._reported = False
        self._done = False

    @property
    def complete(self) -> bool:
        """Whether a choice has come to its finish, and after it the usage or the end of the stream was told."""
        return self._finished and (self._reported or self._done)

    def feed(self, data: bytes) -> Sequence[Piece]:
        """The events that `data` completes. Raises WireFault."""
        return read_pieces(self._events.feed(data), lambda event: Piece(event.name, event.data, self._read(event.data)))

    def _read(self, data: bytes) -> list[Event]:
        if data == DONE or self._done:
            self._done = True
            return []
        completion = _decode(data)
        events: list[Event] = []
        for choice in completion.choices or ():
            if choice.text:
                events.append(TextDelta(choice.text))
            if choice.finish_reason and not self._finished:
                self._finished = True
                events.append(_read_finish(choice.finish_reason))
        usage = read_usage(completion.usage)
        if usage is not None and self._finished and not self._reported:
            self._reported = True
            events.append(UsageReport(usage))
        return events


def _decode(data: bytes) -> _Completion:
    try:
        completion = _decode_completion(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireFault("corrupt", f"the answer is not one of Completions: {error}") from error
    if completion.error is not None:
        raise read_fault(completion.error)
    return completion


def _read_finish(native: str) -> Finish:
    return Finish(_REASONS.get(native, "stop"), native)
