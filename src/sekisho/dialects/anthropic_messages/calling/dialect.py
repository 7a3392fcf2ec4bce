"""The client's side of the Messages API."""

from typing import Final

import msgspec

from sekisho.core.chat import ChatRequest, ClientCall
from sekisho.core.events import ChatAnswer
from sekisho.core.model import ModelFacts
from sekisho.core.wire import StreamReader, WireAnswer, WireRequest, WriteOptions
from sekisho.dialects.anthropic_messages.calling.answer import read_answer, read_count
from sekisho.dialects.anthropic_messages.calling.passing import Passage, start_passage
from sekisho.dialects.anthropic_messages.calling.request import Draft, draft_request
from sekisho.dialects.anthropic_messages.calling.stream import MessageStreamReader
from sekisho.dialects.anthropic_messages.family import BETA_HEADER, FAMILY, VERSION_HEADER
from sekisho.dialects.common.members import write_members

# fmt: off
_COUNTED_FIELDS: Final = frozenset({
    "model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "output_format",
    "cache_control", "context_management", "mcp_servers",
})
# fmt: on
"""What may stand in a question for the number of tokens; the API refuses the rest of a request."""
_OWN_TIERS: Final = ("auto", "standard_only")
_USUAL_TIERS: Final = (None, "default", "standard")

_encode = msgspec.json.Encoder().encode


class AnthropicUpstream:
    """Writes requests for Anthropic, and for servers that speak as it does, and reads their answers."""

    family = FAMILY

    def write_request(self, chat: ChatRequest, facts: ModelFacts, options: WriteOptions) -> WireRequest:
        """A conversation for a model. Raises Unsupported for what must not be dropped."""
        draft = draft_request(chat, facts, options)
        body = {"model": options.model, **draft.fields}
        dropped = draft.dropped
        if draft.service_tier in _OWN_TIERS:
            body["service_tier"] = draft.service_tier
        elif draft.service_tier not in _USUAL_TIERS:
            dropped = (*dropped, "service_tier")
        if options.stream:
            body["stream"] = True
        return _envelop(_encode(body), draft, dropped)

    def pass_request(self, call: ClientCall, facts: ModelFacts, options: WriteOptions) -> WireRequest | None:
        """The client's own body, edited where it must be; None when it has to be translated."""
        passage = start_passage(call, facts, options)
        if passage is None:
            return None
        passage.change("model", options.model)
        if options.stream:
            passage.change("stream", True)
        else:
            passage.members.pop("stream", None)
        return _pass(passage)

    def read_answer(self, answer: WireAnswer, request: WireRequest) -> ChatAnswer:
        """A whole answer. Raises WireFault."""
        return read_answer(answer.body, request)

    def stream_reader(self, request: WireRequest) -> StreamReader:
        """A reader for the events of a message."""
        return MessageStreamReader(request)

    def write_count_request(self, call: ClientCall, facts: ModelFacts, options: WriteOptions) -> WireRequest:
        """The question for the number of input tokens. Raises Unsupported."""
        if call.family == FAMILY and (passage := start_passage(call, facts, options)) is not None:
            passage.change("model", options.model)
            for name in [name for name in passage.members if name not in _COUNTED_FIELDS]:
                del passage.members[name]
            return _pass(passage)
        draft = draft_request(call.chat, facts, options)
        body = {name: value for name, value in draft.fields.items() if name in _COUNTED_FIELDS}
        return _envelop(_encode({"model": options.model, **body}), draft, draft.dropped)

    def read_count(self, answer: WireAnswer) -> int:
        """The number of input tokens. Raises WireFault."""
        return read_count(answer.body)


def _envelop(body: bytes, draft: Draft, dropped: tuple[str, ...]) -> WireRequest:
    return WireRequest(
        body=body,
        headers=_write_headers(draft.version, draft.betas),
        tool_names=draft.tool_names,
        json_tool=draft.json_tool,
        dropped=dropped,
    )


def _pass(passage: Passage) -> WireRequest:
    return WireRequest(
        body=write_members(passage.members),
        headers=_write_headers(passage.version, passage.betas),
        dropped=passage.notes.fields,
        native=True,
    )


def _write_headers(version: str, betas: list[str]) -> dict[str, str]:
    headers = {VERSION_HEADER: version}
    if betas:
        headers[BETA_HEADER] = ",".join(betas)
    return headers
