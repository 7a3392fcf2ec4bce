"""The server's side of InvokeModel and InvokeModelWithResponseStream."""

from typing import Final

import msgspec

from sekisho.core.chat import ChatRequest, ClientCall
from sekisho.core.errors import InvalidRequest, SekishoError, Unsupported
from sekisho.core.events import ChatAnswer, UsageReport
from sekisho.core.usage import Usage
from sekisho.core.wire import AnswerHead, Endpoint, HeaderPairs, Inbound, Piece, StreamWriter
from sekisho.dialects.anthropic_messages.family import BETA_HEADER, FAMILY, VERSION_HEADER, read_betas
from sekisho.dialects.anthropic_messages.serving.answer import write_answer
from sekisho.dialects.anthropic_messages.serving.envelope import build_call, read_beta_list, read_envelope
from sekisho.dialects.anthropic_messages.serving.request import read_chat
from sekisho.dialects.anthropic_messages.serving.stream import MessageWriter
from sekisho.dialects.bedrock_invoke.envelope import (
    GUARDRAIL_HEADER,
    METADATA_HEADER,
    REQUEST_HEADERS,
    TIER_HEADER,
    encode_chunk,
    from_bedrock_version,
)
from sekisho.dialects.common.bedrock_errors import bedrock_error, bedrock_exception
from sekisho.dialects.common.beginnings import beginnings
from sekisho.dialects.common.fields import read_name
from sekisho.dialects.common.members import read_members, write_members
from sekisho.dialects.common.wishes import read_optional

_PREFIXES: Final = ("", "/bedrock")  # LiteLLM's clients have the second
_METRICS: Final = "amazon-bedrock-invocationMetrics"
_COUNT_HEADERS: Final = (
    ("x-amzn-bedrock-input-token-count", "input"),
    ("x-amzn-bedrock-output-token-count", "output"),
    ("x-amzn-bedrock-cache-read-input-token-count", "cache_read"),
    ("x-amzn-bedrock-cache-write-input-token-count", "cache_write"),
)

_decode_pairs = msgspec.json.Decoder(dict[str, str]).decode


class InvokeClient:
    """Reads calls of InvokeModel with a body of Anthropic's format, and writes their answers."""

    family = FAMILY
    endpoints = tuple(
        endpoint
        for prefix in _PREFIXES
        for endpoint in (
            Endpoint(path=f"{prefix}/model/{{model}}/invoke", call_type="invoke_model", stream=False),
            Endpoint(
                path=f"{prefix}/model/{{model}}/invoke-with-response-stream",
                call_type="invoke_model_with_response_stream",
                stream=True,
            ),
        )
    )
    stream_type = b"application/vnd.amazon.eventstream"

    def read_call(self, inbound: Inbound) -> ClientCall:
        """The envelope of a request. Raises InvalidRequest naming the field, also for bodies of other vendors."""
        return _read_call(inbound)

    def write_answer(self, answer: ChatAnswer, head: AnswerHead, call: ClientCall, cost: int | None) -> bytes:
        """A `message` object; the cost has no place in it."""
        return write_answer(answer, head)

    def stream_writer(self, head: AnswerHead, call: ClientCall) -> StreamWriter:
        """A writer of the events of a message in event-stream frames."""
        return ChunkWriter(head)

    def write_count(self, tokens: int) -> bytes:
        """The number of input tokens, as CountTokens tells it."""
        return msgspec.json.encode({"inputTokens": tokens})

    def write_error(self, error: SekishoError) -> bytes:
        """The JSON body of an error response, in Bedrock's shape."""
        return bedrock_error(error)[1]

    def answer_headers(self, call_id: str, usage: Usage | None) -> HeaderPairs:
        """The request's id, the type of what the answer holds, and the token counts where they are known."""
        headers = [
            (b"x-amzn-requestid", call_id.encode()),
            (b"x-amzn-bedrock-content-type", b"application/json"),
        ]
        if usage is not None:
            headers += [(name.encode(), b"%d" % getattr(usage, kind)) for name, kind in _COUNT_HEADERS]
        return headers


class ChunkWriter(MessageWriter):
    """Writes the events of a message as chunks. The last one carries the counts, as `invocationMetrics`."""

    _metrics: dict[str, int] | None = None

    def end(self, usage: Usage, cost: int | None) -> bytes:
        """The end of a complete stream."""
        self._metrics = _build_metrics(usage)
        return super().end(usage, cost)

    def relay(self, piece: Piece) -> bytes:
        """An event of an upstream of this format. The last one gets the counts if the upstream's envelope has none."""
        for event in piece.events:
            if isinstance(event, UsageReport) and _METRICS.encode() not in piece.data:
                data = write_members({**read_members(piece.data), _METRICS: _build_metrics(event.usage)})
                piece = Piece(piece.name, data, piece.events)
        return super().relay(piece)

    def fail(self, error: SekishoError) -> bytes:
        """The exception that ends a broken stream."""
        return bedrock_exception(error)

    def _event(self, name: str, fields: dict[str, object]) -> bytes:
        if name == "message_stop" and self._metrics is not None:
            fields = {**fields, _METRICS: self._metrics}
        return super()._event(name, fields)

    def _envelop(self, name: str, data: bytes) -> bytes:
        return encode_chunk(data)


def _build_metrics(usage: Usage) -> dict[str, int]:
    return {
        "inputTokenCount": usage.input,
        "outputTokenCount": usage.output,
        "cacheReadInputTokenCount": usage.cache_read,
        "cacheWriteInputTokenCount": usage.cache_write,
    }


def _read_call(inbound: Inbound) -> ClientCall:
    members, known = beginnings.read(inbound.body, "messages")
    envelope = read_envelope(members, inbound.body)
    version = read_optional(envelope.anthropic_version, "anthropic_version", read_name)
    if version is None:
        raise InvalidRequest(
            "`anthropic_version` is missing: only bodies of Anthropic's Messages format are served by InvokeModel. "
            "Use Converse for other models.",
            param="anthropic_version",
        )
    headers = {VERSION_HEADER: from_bedrock_version(version)}
    betas = read_beta_list(envelope.anthropic_beta)
    if said := inbound.header(BETA_HEADER):
        betas += read_betas({BETA_HEADER: said})
    if betas:
        headers[BETA_HEADER] = ",".join(dict.fromkeys(betas))
    headers |= {name: value for name in REQUEST_HEADERS if (value := inbound.header(name))}
    call = build_call(inbound, members, envelope, headers, known)
    call.model = inbound.model
    call.stream = bool(inbound.endpoint.stream)
    call.metadata = _read_pairs(headers.get(METADATA_HEADER)) | call.metadata
    call.read = lambda: _read_chat(call)
    return call


def _read_chat(call: ClientCall) -> ChatRequest:
    """The conversation. Raises Unsupported for a guardrail, which no other way of calling a model would apply."""
    if GUARDRAIL_HEADER in call.headers:
        raise Unsupported(
            "A guardrail of Bedrock can only be applied by Bedrock's InvokeModel, which this model's deployment does "
            f"not offer for this request. Leave out `{GUARDRAIL_HEADER}`.",
            param=GUARDRAIL_HEADER,
        )
    chat = read_chat(call.members, call.headers)
    chat.service_tier = chat.service_tier or call.headers.get(TIER_HEADER)
    return chat


def _read_pairs(header: str | None) -> dict[str, object]:
    """What the client wants logged with the call; nothing when it cannot be read, since nothing hangs on it."""
    try:
        return dict(_decode_pairs(header)) if header else {}
    except (msgspec.MsgspecError, RecursionError):
        return {}
