"""OpenAI's completions: a text that goes on."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from sekisho.simulator.errors import Refusal
from sekisho.simulator.http import Request
from sekisho.simulator.prompt import Prompt, TextBlock, pieces_of
from sekisho.simulator.wires.base import TEXT_PIECE, Envelope, Said, StreamEvent, Wire, names
from sekisho.simulator.wires.chat.write import DONE, finish_reason
from sekisho.simulator.wires.envelopes import ServerSentEvents
from sekisho.simulator.wires.openai.errors import refuse, word_error, write_openai_error
from sekisho.simulator.wires.openai.rules import check_stop, convert_fields, decode_fields, missing, require_model
from sekisho.simulator.wires.openai.usage import chat_usage

KNOWN_FIELDS = names("""
    best_of echo frequency_penalty logit_bias logprobs max_tokens model n presence_penalty prompt seed stop stream
    stream_options suffix temperature top_p user
""")
"""The fields of OpenAI's completions, as the SDK has them."""
_USUAL_MAX_TOKENS = 16


class _Body(Struct, kw_only=True):
    prompt: str | list[Any] | None = None
    echo: bool | None = None
    max_tokens: int | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None


class CompletionsWire(Wire):
    """`POST /v1/completions`."""

    def read(self, request: Request, model: str) -> Prompt:
        """A prompt that the API allows."""
        require_model(model)
        fields = decode_fields(request, KNOWN_FIELDS)
        body = convert_fields(fields, _Body)
        if body.n not in (None, 1):
            raise refuse("The simulator gives one choice only: 'n' must be 1.", "n", "invalid_value")
        if body.stream_options is not None and not body.stream:
            words = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
            raise refuse(words, "stream_options")
        return Prompt(
            model=model,
            system=[],
            messages=[{"role": "user", "content": [{"text": _read_text(body.prompt)}]}],
            max_tokens=_USUAL_MAX_TOKENS if body.max_tokens is None else body.max_tokens,
            stop=check_stop(body.stop, model),
            raw=fields,
            extra=fields,
            cached_by_itself=True,
        )

    def write(self, said: Said) -> dict[str, Any]:
        """A whole answer."""
        choice = _choice("".join([_echo(said), *_texts(said)]), finish_reason(said.answer))
        return {**_head(said), "choices": [choice], "usage": chat_usage(said.usage)}

    def stream(self, said: Said) -> Iterator[StreamEvent]:
        """The chunks of a streamed answer; the last one has the usage, if it was asked for."""
        wants_usage = bool((said.prompt.raw.get("stream_options") or {}).get("include_usage"))
        head = _head(said) | ({"usage": None} if wants_usage else {})
        produced = 0
        if echo := _echo(said):
            yield StreamEvent("chunk", {**head, "choices": [_choice(echo, None)]}, produced)
        for piece in pieces_of("".join(_texts(said)), TEXT_PIECE):
            produced += len(piece.encode())
            yield StreamEvent("chunk", {**head, "choices": [_choice(piece, None)]}, produced)
        yield StreamEvent("chunk", {**head, "choices": [_choice("", finish_reason(said.answer))]}, produced)
        if wants_usage:
            yield StreamEvent("chunk", {**head, "choices": [], "usage": chat_usage(said.usage)}, produced)
        yield StreamEvent("done", DONE, produced)

    def envelope(self) -> Envelope:
        """Events without names."""
        return ServerSentEvents(named=False)

    def break_off(self, said: Said, error: Refusal, after: int) -> StreamEvent:
        """An object with `error` instead of a chunk."""
        return StreamEvent("error", word_error(error))

    def write_error(self, error: Refusal) -> tuple[int, dict[str, str], dict[str, Any]]:
        """OpenAI's shape."""
        return write_openai_error(error)


def read_token_text(value: Any) -> str | None:
    """A text, or tokens given as numbers, which stand for themselves; None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(token, int) for token in value):
        return " ".join(map(str, value))
    return None


def _read_text(given: str | list[Any] | None) -> str:
    if given is None:
        raise missing("prompt")
    single = given[0] if isinstance(given, list) and len(given) == 1 and not isinstance(given[0], int) else given
    text = read_token_text(single)
    if text is None:
        raise refuse("The simulator completes one prompt a call.", "prompt", "invalid_value")
    return text


def _texts(said: Said) -> list[str]:
    return [block.text for block in said.answer.blocks if isinstance(block, TextBlock)]


def _echo(said: Said) -> str:
    return said.prompt.messages[0]["content"][0]["text"] if said.prompt.raw.get("echo") else ""


def _head(said: Said) -> dict[str, Any]:
    return {
        "id": f"cmpl-{said.id}",
        "object": "text_completion",
        "created": said.created,
        "model": said.prompt.model,
        "system_fingerprint": "fp_simulated",
    }


def _choice(text: str, finish: str | None) -> dict[str, Any]:
    return {"text": text, "index": 0, "logprobs": None, "finish_reason": finish}
