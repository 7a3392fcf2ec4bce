"""Reads of a Chat Completions request what concerns the gateway. The conversation is read only when it is needed."""

from functools import partial

import msgspec
from msgspec import Raw, Struct

from sekisho.core.chat import ClientCall, Opening
from sekisho.core.wire import Inbound
from sekisho.dialects.common.fields import read_flag, read_text
from sekisho.dialects.common.openai_envelope import EnvelopeFields, read_envelope, read_include_usage
from sekisho.dialects.common.wishes import read_optional, read_wishes
from sekisho.dialects.openai_chat.request import read_chat, read_output_limit

FAMILY = "openai_chat"


class _Turn(Struct):
    role: object = None
    content: Raw = Raw(b"null")


class _Envelope(EnvelopeFields):
    messages: list[_Turn] | None = None
    max_tokens: object = None
    max_completion_tokens: object = None


class _Part(Struct):
    text: str = ""


_decode_content = msgspec.json.Decoder(str | list[_Part] | None).decode


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
        opening=_read_opening(envelope.messages or []),
        max_output_tokens=read_output_limit(envelope.max_tokens, envelope.max_completion_tokens),
        stream=read_optional(envelope.stream, "stream", read_flag) or False,
        include_usage=read_include_usage(envelope),
        end_user=read_optional(envelope.user, "user", read_text) or None,
        **read_wishes(envelope),
    )


def _read_opening(turns: list[_Turn]) -> Opening:
    """The texts of all system messages before the first user message, and of that one."""
    system: list[str] = []
    for turn in turns:
        if turn.role in ("system", "developer"):
            system.append(_read_texts(turn.content))
        elif turn.role == "user":
            return Opening("\n".join(system), _read_texts(turn.content))
    return Opening("\n".join(system))


def _read_texts(content: Raw) -> str:
    """The text in the content of a message; empty when it is not as it should be, which is for `read_chat` to say."""
    try:
        decoded = _decode_content(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    if isinstance(decoded, str):
        return decoded
    return "\n".join(part.text for part in decoded or () if part.text)
