"""Reads of a Chat Completions request what concerns the gateway. The conversation is read only when it is needed."""

from functools import partial
from typing import Final

from sekisho.core.chat import ClientCall
from sekisho.core.wire import Inbound
from sekisho.dialects.common.fields import read_flag, read_text
from sekisho.dialects.common.members import MemberReader
from sekisho.dialects.common.openai_envelope import (
    EnvelopeFields,
    read_answers,
    read_conversation,
    read_include_usage,
    read_opening,
)
from sekisho.dialects.common.wishes import read_wishes
from sekisho.dialects.openai_chat.request import read_chat, read_output_limit

FAMILY = "openai_chat"


class _Envelope(EnvelopeFields):
    max_tokens: object = None
    max_completion_tokens: object = None
    n: object = None


_envelope: Final = MemberReader(_Envelope)


def read_call(inbound: Inbound) -> ClientCall:
    """Reads the envelope of a request. Raises InvalidRequest naming the field.

    A model in the path wins over the body's, as in LiteLLM.
    """
    body, members, known = read_conversation(inbound.body, "messages")
    envelope = _envelope.read(members, body)
    model, stream, user = envelope.model, envelope.stream, envelope.user
    call = ClientCall(
        model=inbound.model or (None if model is None else read_text(model, "model") or None),
        body=body,
        members=members,
        beginning=known,
        family=FAMILY,
        path=inbound.endpoint.path,
        read=partial(read_chat, members, known),
        opening=read_opening(members.get("messages"), known=known),
        max_output_tokens=read_output_limit(envelope.max_tokens, envelope.max_completion_tokens),
        answers=1 if envelope.n is None else read_answers(envelope.n),
        stream=False if stream is None else read_flag(stream, "stream"),
        include_usage=envelope.stream_options is not None and read_include_usage(envelope),
        end_user=None if user is None else read_text(user, "user") or None,
    )
    for name, value in read_wishes(members, body, model).items():
        setattr(call, name, value)
    return call
