"""The client's side of InvokeModel, for Claude."""

import base64
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from sekisho.core.chat import ChatRequest, ClientCall, Document, Image, Part, ToolResult
from sekisho.core.errors import Unsupported
from sekisho.core.events import ChatAnswer
from sekisho.core.model import ModelFacts
from sekisho.core.wire import Piece, StreamReader, WireAnswer, WireFault, WireRequest, WriteOptions
from sekisho.dialects.anthropic_messages.calling.answer import read_answer
from sekisho.dialects.anthropic_messages.calling.passing import start_passage
from sekisho.dialects.anthropic_messages.calling.request import DEFAULT_MAX_TOKENS, draft_request
from sekisho.dialects.anthropic_messages.calling.stream import EventReader
from sekisho.dialects.anthropic_messages.family import FAMILY
from sekisho.dialects.bedrock_invoke.envelope import (
    METADATA_HEADER,
    REQUEST_HEADERS,
    TIER_HEADER,
    to_bedrock_version,
)
from sekisho.dialects.bedrock_invoke.stripping import names_sources, strip_for_bedrock
from sekisho.dialects.common.bedrock_errors import read_exception
from sekisho.dialects.common.bedrock_metadata import write_metadata
from sekisho.dialects.common.counts import Count
from sekisho.dialects.common.digests import digest_passed
from sekisho.dialects.common.eventstream import Frame, FrameDecoder
from sekisho.dialects.common.members import write_members
from sekisho.dialects.common.pieces import read_pieces
from sekisho.dialects.common.tiers import BEDROCK_TIERS, USUAL_TIERS


class _Chunk(Struct):
    bytes: bytes


class _Count(Struct, rename="camel"):
    input_tokens: Count


_encode = msgspec.json.Encoder().encode
_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_decode_count = msgspec.json.Decoder(_Count).decode
_decode_pairs = msgspec.json.Decoder(dict[str, str]).decode


class InvokeUpstream:
    """Writes requests for Claude by InvokeModel, and reads its answers."""

    family = FAMILY

    def write_request(self, chat: ChatRequest, facts: ModelFacts, options: WriteOptions) -> WireRequest:
        """A conversation for a model. Raises Unsupported for what must not be dropped."""
        _refuse_addresses(chat)
        draft = draft_request(chat, facts, options)
        body: dict[str, object] = {"anthropic_version": to_bedrock_version(draft.version)}
        if draft.betas:
            body["anthropic_beta"] = draft.betas
        dropped = draft.dropped
        if draft.service_tier not in (*BEDROCK_TIERS, *USUAL_TIERS):
            dropped = (*dropped, "service_tier")
        return WireRequest(
            body=_encode(body | draft.fields),
            headers=_write_headers({}, draft.service_tier, options),
            tool_names=draft.tool_names,
            json_tool=draft.json_tool,
            dropped=dropped,
        )

    def pass_request(self, call: ClientCall, facts: ModelFacts, options: WriteOptions) -> WireRequest | None:
        """The client's own body in Bedrock's envelope; None when something in it has to be translated or fetched."""
        passage = start_passage(call, facts, options)
        if passage is None or names_sources(passage):
            return None
        tier = strip_for_bedrock(passage, facts)
        passage.change("anthropic_version", to_bedrock_version(passage.version))
        if passage.betas:
            passage.change("anthropic_beta", passage.betas)
        if tier not in (*BEDROCK_TIERS, *USUAL_TIERS):
            passage.notes.drop("service_tier")
        body = write_members(passage.members)
        return WireRequest(
            body=body,
            digest=digest_passed(call, passage.members, body),
            headers=_write_headers(call.headers, tier, options),
            dropped=passage.notes.fields,
            native=True,
        )

    def read_answer(self, answer: WireAnswer, request: WireRequest) -> ChatAnswer:
        """A whole answer. Raises WireFault."""
        return read_answer(answer.body, request)

    def stream_reader(self, request: WireRequest) -> StreamReader:
        """A reader for the events of a message in event-stream frames."""
        return InvokeStreamReader(request)

    def write_count_request(self, call: ClientCall, facts: ModelFacts, options: WriteOptions) -> WireRequest:
        """The question for CountTokens, which takes a whole body of InvokeModel. Raises Unsupported."""
        wire = self.pass_request(call, facts, options) if call.family == FAMILY else None
        if wire is None:
            wire = self.write_request(call.chat, facts, options)
        members = msgspec.json.decode(wire.body, type=dict[str, msgspec.Raw])
        # A question has no output limit, but a body without one is refused.
        body = _encode({"max_tokens": DEFAULT_MAX_TOKENS, **members})
        question = {"input": {"invokeModel": {"body": base64.b64encode(body).decode()}}}
        return msgspec.structs.replace(wire, body=_encode(question), headers={}, digest=None)

    def read_count(self, answer: WireAnswer) -> int:
        """The number of input tokens. Raises WireFault."""
        try:
            return _decode_count(answer.body).input_tokens
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise WireFault("corrupt", f"the answer has no number of tokens: {error}") from error


class InvokeStreamReader:
    """Reads a streamed answer from event-stream frames, from bytes cut anywhere.

    Its pieces are Anthropic's events without their frames, so that they fit into any envelope of the format.
    """

    def __init__(self, request: WireRequest) -> None:
        self._frames = FrameDecoder()
        self._reader = EventReader(request)

    @property
    def complete(self) -> bool:
        """Whether message_stop was seen, after a reason to stop."""
        return self._reader.complete

    def feed(self, data: bytes) -> Sequence[Piece]:
        """The stream's events that `data` completes.

        Raises:
            WireFault: The upstream said it failed (its exception's name is the code), or this is no stream of
                InvokeModel with Claude (`corrupt`).
        """
        return read_pieces(self._frames.feed(data), self._read_frame)

    def _read_frame(self, frame: Frame) -> Piece:
        headers, payload = frame
        kind = headers.get(":event-type")
        if kind is None or headers.get(":message-type") != "event":
            raise read_exception(headers, payload)
        return self._read_chunk(payload) if kind == "chunk" else Piece(kind, payload)

    def _read_chunk(self, payload: bytes) -> Piece:
        try:
            event = _decode_chunk(payload).bytes
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise WireFault("corrupt", f"a chunk cannot be read: {error}") from error
        return self._reader.read(None, event)


def _write_headers(told: Mapping[str, str], tier: str | None, options: WriteOptions) -> dict[str, str]:
    """The client's own headers for Bedrock, the tier that its body named, and what Bedrock shall log of the call."""
    headers = {name: told[name] for name in REQUEST_HEADERS if name in told}
    if tier in BEDROCK_TIERS and tier is not None:
        headers.setdefault(TIER_HEADER, tier)
    pairs = write_metadata({**options.metadata, **_read_pairs(headers.get(METADATA_HEADER))})
    if pairs:
        headers[METADATA_HEADER] = _encode(pairs).decode()
    return headers


def _read_pairs(header: str | None) -> dict[str, str]:
    try:
        return _decode_pairs(header) if header else {}
    except (msgspec.MsgspecError, RecursionError):
        return {}


def _refuse_addresses(chat: ChatRequest) -> None:
    """Raises Unsupported for pictures and files whose content was not fetched."""
    parts: list[Part] = [part for message in chat.messages for part in message.parts]
    parts += [shown for part in parts if isinstance(part, ToolResult) for shown in part.parts]
    if any(isinstance(part, Image | Document) and part.data is None and part.url is not None for part in parts):
        raise Unsupported("Bedrock does not fetch pictures or files: send them inline, as base64.", param="messages")
