"""Claude's Messages format: Anthropic's own API, Bedrock's path for it, and InvokeModel."""

from collections.abc import Iterator
from typing import Any

import msgspec

from sekisho.simulator.errors import Refusal, invalid
from sekisho.simulator.http import Request
from sekisho.simulator.model import load_service_model
from sekisho.simulator.prompt import Prompt, claude_version
from sekisho.simulator.wires.aws import write_aws_error
from sekisho.simulator.wires.base import Counter, Directory, Envelope, Said, StreamEvent, Wire
from sekisho.simulator.wires.envelopes import ChunkStream, ServerSentEvents
from sekisho.simulator.wires.messages.errors import word_error, write_anthropic_error
from sekisho.simulator.wires.messages.read import read_messages
from sekisho.simulator.wires.messages.rules import (
    BEDROCK_VERSIONS,
    VERSIONS,
    check_bedrock_fields,
    check_bedrock_sources,
    check_bedrock_tools,
    check_bedrock_version,
    check_counted_fields,
    check_fields,
    check_messages,
)
from sekisho.simulator.wires.messages.write import stream_message, write_message

_LISTED = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001")

# What stands for `max_tokens` where none is asked for.
_UNLIMITED = 1_000_000


class ClaudeDirectory(Directory):
    """`GET /v1/models` of Anthropic."""

    def list_models(self) -> dict[str, Any]:
        """A few models; any other name is served, too."""
        made = {"type": "model", "created_at": "2026-01-01T00:00:00Z"}
        entries = [{**made, "id": name, "display_name": name} for name in _LISTED]
        return {"data": entries, "has_more": False, "first_id": _LISTED[0], "last_id": _LISTED[-1]}

    def write_error(self, error: Refusal) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Anthropic's shape."""
        return write_anthropic_error(error)


class MessagesWire(Wire):
    """`POST /v1/messages`, of Anthropic or (`bedrock`) of the Bedrock runtime."""

    def __init__(self, *, bedrock: bool) -> None:
        self._bedrock = bedrock
        self._prefix = "msg_bdrk_" if bedrock else "msg_"

    def read(self, request: Request, model: str) -> Prompt:
        """A prompt that the API and the model allow."""
        return _read_native(request, model, bedrock=self._bedrock)

    def write(self, said: Said) -> dict[str, Any]:
        """A whole answer."""
        return write_message(said, self._prefix)

    def stream(self, said: Said) -> Iterator[StreamEvent]:
        """The events of a streamed answer, with the `ping` that Anthropic sends after the first."""
        for event in stream_message(said, self._prefix):
            yield event
            if event.kind == "message_start":
                yield StreamEvent("ping", {"type": "ping"})

    def envelope(self) -> Envelope:
        """Events with their names."""
        return ServerSentEvents(named=True)

    def break_off(self, said: Said, error: Refusal, after: int) -> StreamEvent:
        """Anthropic's `error` event."""
        return StreamEvent("error", word_error(error))

    def write_error(self, error: Refusal) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Anthropic's shape."""
        return write_anthropic_error(error)


class MessagesCounter(Counter):
    """`POST /v1/messages/count_tokens`."""

    def read(self, request: Request, model: str) -> Prompt:
        """What is to be counted; without `max_tokens`."""
        return _read_native(request, model, bedrock=False, counted=True)

    def write_count(self, tokens: int) -> dict[str, Any]:
        """The answer."""
        return {"input_tokens": tokens}

    def write_error(self, error: Refusal) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Anthropic's shape."""
        return write_anthropic_error(error)


class InvokeWire(Wire):
    """InvokeModel and its stream, for Claude; `operation` is its name in the service model."""

    def __init__(self, operation: str) -> None:
        self._operation = operation

    def read(self, request: Request, model: str) -> Prompt:
        """A prompt that the service model and the model allow."""
        load_service_model().check_request(self._operation, model, {"body": request.body}, request.headers)
        prompt = read_invoke(model, request.body)
        prompt.metadata = _read_metadata(request.headers.get("x-amzn-bedrock-request-metadata"))
        return prompt

    def write(self, said: Said) -> dict[str, Any]:
        """A whole answer."""
        return write_message(said, "msg_bdrk_")

    def headers(self, said: Said) -> dict[str, str]:
        """What was used, and how long it took."""
        usage = said.usage
        counts = {
            "input-token-count": usage.input,
            "output-token-count": usage.output,
            "cache-read-input-token-count": usage.cache_read,
            "cache-write-input-token-count": usage.cache_write,
            "invocation-latency": said.latency_ms,
        }
        return {f"x-amzn-bedrock-{name}": str(value) for name, value in counts.items()}

    def stream(self, said: Said) -> Iterator[StreamEvent]:
        """The events of a streamed answer; the last one carries the metrics of the invocation."""
        metrics = {
            "inputTokenCount": said.usage.input,
            "outputTokenCount": said.usage.output,
            "invocationLatency": said.latency_ms,
            "firstByteLatency": said.latency_ms,
            "cacheReadInputTokenCount": said.usage.cache_read,
            "cacheWriteInputTokenCount": said.usage.cache_write,
        }
        for event in stream_message(said, "msg_bdrk_"):
            if event.kind == "message_stop" and isinstance(event.payload, dict):
                event.payload["amazon-bedrock-invocationMetrics"] = metrics
            yield event

    def envelope(self) -> Envelope:
        """One `chunk` an event."""
        return ChunkStream()

    def write_error(self, error: Refusal) -> tuple[int, dict[str, str], dict[str, Any]]:
        """AWS's shape."""
        return write_aws_error(error)


def read_invoke(model: str, raw: bytes) -> Prompt:
    """A prompt from the body of InvokeModel. Raises Refusal."""
    if claude_version(model) is None:
        raise invalid("The simulator speaks InvokeModel with Claude and embedding models only; use Converse.")
    fields = _decode(raw)
    version = fields.get("anthropic_version")
    if version not in BEDROCK_VERSIONS:
        raise invalid(f"anthropic_version: Input should be one of {BEDROCK_VERSIONS}")
    check_bedrock_version(version, model)
    check_bedrock_fields(fields, in_path=True)
    prompt = read_messages(model, fields)
    check_bedrock_tools(fields)
    check_bedrock_sources(prompt)
    check_messages(prompt, version)
    prompt.tool_prefix = "toolu_bdrk_01"
    return prompt


def _read_native(request: Request, model: str, *, bedrock: bool, counted: bool = False) -> Prompt:
    version = request.headers.get("anthropic-version")
    if version is None:
        raise invalid("anthropic-version: header is required")
    if version not in VERSIONS:
        raise invalid(f'anthropic-version: "{version}" is not a valid version. Known versions: {", ".join(VERSIONS)}')
    fields = _decode(request.body)
    if not model:
        raise invalid("model: Field required")
    if claude_version(model) is None:
        raise Refusal("ResourceNotFoundException", f"model: {model}")
    if bedrock:
        check_bedrock_version(version, model)
        check_bedrock_fields(fields, in_path=False)
    elif counted:
        check_counted_fields(fields)
        fields["max_tokens"] = _UNLIMITED
    else:
        check_fields(fields)
    prompt = read_messages(model, fields)
    if bedrock:
        check_bedrock_sources(prompt)
    check_messages(prompt, version)
    prompt.tool_prefix = "toolu_bdrk_01" if bedrock else "toolu_01"
    return prompt


def _decode(raw: bytes) -> dict[str, Any]:
    try:
        fields: dict[str, Any] = msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise invalid(f"Malformed input request: {error}, please reformat your input and try again.") from None
    return fields


def _read_metadata(header: str | None) -> dict[str, str]:
    try:
        return msgspec.json.decode(header, type=dict[str, str]) if header else {}
    except msgspec.DecodeError as error:
        raise invalid(f"The X-Amzn-Bedrock-Request-Metadata header is not a JSON object of strings: {error}") from None
