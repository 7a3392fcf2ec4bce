"""Reads of a Chat Completions request what concerns the gateway. The conversation is read only when it is needed."""

from functools import partial

from sekisho.core.chat import ClientCall
from sekisho.core.wire import Inbound
from sekisho.dialects.common.fields import read_flag, read_text
from sekisho.dialects.common.openai_envelope import (
    EnvelopeFields,
    Turn,
    read_answers,
    read_envelope,
    read_include_usage,
    read_opening,
)
from sekisho.dialects.common.wishes import read_optional, read_wishes
from sekisho.dialects.openai_chat.request import read_chat, read_output_limit

FAMILY = "openai_chat"


class _Envelope(EnvelopeFields):
    messages: list[Turn] | None = None
    max_tokens: object = None
    max_completion_tokens: object = None
    n: object = None


def read_call(inbound: Inbound) -> ClientCall:
    """Reads the envelope of a request. Raises InvalidRequest naming the field.

    A model in the path wins over the body's, as in LiteLLM.
    """
    envelope, body = read_envelope(inbound.body, _Envelope, loose="messages")
    return ClientCall(
        model=inbound.model or read_optional(envelope.model, "model", read_text) or None,
        body=body,
        family=FAMILY,
        path=inbound.endpoint.path,
        read=partial(read_chat, body),
        opening=read_opening(envelope.messages or []),
        max_output_tokens=read_output_limit(envelope.max_tokens, envelope.max_completion_tokens),
        answers=read_answers(envelope.n),
        stream=read_optional(envelope.stream, "stream", read_flag) or False,
        include_usage=read_include_usage(envelope),
        end_user=read_optional(envelope.user, "user", read_text) or None,
        **read_wishes(envelope),
    )
