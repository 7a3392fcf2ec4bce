"""What OpenAI's formats have in common: the error object, and usage as most of them tell it."""

import msgspec
from msgspec import Raw, Struct

from sekisho.core.errors import SekishoError
from sekisho.core.events import UsageReport
from sekisho.core.money import dollars_from_nano
from sekisho.core.usage import Usage
from sekisho.core.wire import HeaderPairs, Piece, WireFault
from sekisho.dialects.common.counts import Count
from sekisho.dialects.common.sse import SseDecoder, SseEvent, encode_event

STREAM_TYPE = b"text/event-stream; charset=utf-8"
DONE = b"[DONE]"
"""The data of the last event of a stream."""


class ErrorObject(Struct):
    """An error as an upstream tells it. `code` is a number at some servers."""

    message: str | None = None
    type: str | None = None
    code: str | int | None = None


class _PromptDetails(Struct):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None


class _CompletionDetails(Struct):
    reasoning_tokens: Count | None = None


class TokenUsage(Struct):
    """Usage as an upstream tells it. `prompt_tokens` contains the cached; other gateways add Anthropic's counts."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    total_tokens: Count | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    cache_creation_input_tokens: Count | None = None
    prompt_cache_hit_tokens: Count | None = None


class _Chunk(Struct):
    choices: list[Raw] | None = None


_NO_DETAILS = _PromptDetails()

_decode_chunk = msgspec.json.Decoder(_Chunk).decode


class EventReader:
    """Cuts a stream into events, however the bytes arrive, and tells a stream from what is none."""

    def __init__(self) -> None:
        self._events = SseDecoder()
        self._begun = False

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events that `data` completes.

        Raises:
            WireFault: `corrupt` when a JSON document or a web page comes in place of a stream.
        """
        if not self._begun and (start := data.lstrip()):
            self._begun = True
            if start[:1] in (b"{", b"[", b"<"):
                raise WireFault("corrupt", "the answer is not a stream of server-sent events")
        return self._events.feed(data)

    @property
    def between(self) -> bool:
        """Whether the stream has begun, and all of its events so far are complete."""
        return self._begun and self._events.between


def relay_event(piece: Piece, *, include_usage: bool) -> bytes:
    """An event of an upstream of the same format, as it came.

    None for a chunk of nothing but usage that the gateway has asked for and the client has not. Some servers tell the
    usage with the last chunk of the answer whoever asks: that chunk stays as it is.
    """
    events, data = piece.events, piece.data
    if events and not include_usage and type(events[-1]) is UsageReport and not _decode_chunk(data).choices:
        return b""
    return encode_event(data, piece.name)


def write_error(error: SekishoError) -> bytes:
    """The JSON body of an error response; its `code` is always a string."""
    return msgspec.json.encode(
        {
            "error": {
                "message": error.message,
                "type": error.kind,
                "param": error.param,
                "code": error.code or str(error.status),
            }
        }
    )


def write_headers(call_id: str) -> HeaderPairs:
    """The request's id, under OpenAI's name for it."""
    return ((b"x-request-id", call_id.encode()),)


def build_usage(usage: Usage, cost: int | None) -> dict[str, object]:
    """The usage object. `prompt_tokens` contains the cached tokens; `cost` is absent when there is no price."""
    prompt, output, read, written = usage.prompt, usage.output, usage.cache_read, usage.cache_write
    fields: dict[str, object] = {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": written,
    }
    if cost is not None:
        fields["cost"] = dollars_from_nano(cost)
    return fields


def read_usage(told: TokenUsage | None) -> Usage | None:
    """Usage by kind; None where nothing was counted, so that the gateway estimates it."""
    if told is None or (told.prompt_tokens is None and told.completion_tokens is None):
        return None
    prompt, details = told.prompt_tokens or 0, told.prompt_tokens_details or _NO_DETAILS
    read = min(details.cached_tokens or told.prompt_cache_hit_tokens or 0, prompt)
    written = min(details.cache_write_tokens or told.cache_creation_input_tokens or 0, prompt - read)
    output = told.completion_tokens
    if output is None:
        output = max((told.total_tokens or 0) - prompt, 0)
    reasoning = 0 if told.completion_tokens_details is None else told.completion_tokens_details.reasoning_tokens or 0
    return Usage(
        input=prompt - read - written,
        output=output,
        cache_read=read,
        cache_write_5m=written,
        reasoning=min(reasoning, output),
    )


def read_fault(error: ErrorObject | str) -> WireFault:
    """What an error inside an answer means: its code is the upstream's code, or else its type."""
    if isinstance(error, str):
        return WireFault("error", error)
    code = error.code if error.code not in (None, "") else error.type
    return WireFault(str(code or "error"), error.message or "the upstream gave no reason")
