"""Asking Bedrock's CountTokens how many tokens a request would have."""

import msgspec
from msgspec import Raw, Struct

from sekisho.core.chat import ClientCall
from sekisho.core.model import ModelFacts
from sekisho.core.wire import WireAnswer, WireFault, WireRequest, WriteOptions
from sekisho.dialects.bedrock_converse.calling.request import write_request
from sekisho.dialects.common.counts import Count

_COUNTED = ("messages", "system", "toolConfig", "additionalModelRequestFields")
"""The fields of a request that CountTokens takes; the others add nothing to its tokens."""


class _Answer(Struct, rename="camel"):
    input_tokens: Count


_decode = msgspec.json.Decoder(_Answer).decode
_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.Encoder().encode


def write_count_request(call: ClientCall, facts: ModelFacts, options: WriteOptions) -> WireRequest:
    """The question for the tokens of a call, written as the call itself would be. Raises Unsupported."""
    wire = write_request(call.chat, facts, options)
    members = _decode_members(wire.body)
    counted = {name: members[name] for name in _COUNTED if name in members}
    return WireRequest(body=_encode({"input": {"converse": counted}}), dropped=wire.dropped)


def read_count(answer: WireAnswer) -> int:
    """The number of input tokens. Raises WireFault."""
    try:
        return _decode(answer.body).input_tokens
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireFault("corrupt", f"the answer is not one of CountTokens: {error}") from error
