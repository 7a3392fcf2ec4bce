"""Reads of a Messages request what concerns the gateway. The conversation is read only when it is needed."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Final

import msgspec
from msgspec import Raw, Struct

from sekisho.core.chat import ClientCall, Opening
from sekisho.core.wire import Inbound
from sekisho.dialects.anthropic_messages.family import BETA_HEADER, FAMILY, VERSION_HEADER
from sekisho.dialects.anthropic_messages.serving.request import read_chat
from sekisho.dialects.common.fields import decode_body, read_flag, read_integer, read_names, read_text
from sekisho.dialects.common.wishes import WishFields, read_optional, read_wishes

# The older form of the user id that Claude Code makes up; the newer one is a JSON object in a string.
_USER_WITH_SESSION: Final = re.compile(r"(?P<user>.+?)_session_(?P<session>[0-9a-fA-F-]{8,64})")
# Claude Code's first block of the system prompt, which is different in every request.
_BILLING_PREFIX: Final = "x-anthropic-billing-header:"


class _Turn(Struct):
    role: object = None
    content: Raw = Raw(b"null")


class Envelope(WishFields):
    """The top of a body; `anthropic_version` and `anthropic_beta` stand there in Bedrock's form only."""

    model: object = None
    messages: list[_Turn] | None = None
    system: Raw = Raw(b"null")
    max_tokens: object = None
    stream: object = None
    anthropic_version: object = None
    anthropic_beta: object = None


class _UserId(Struct):
    session_id: str | None = None
    account_uuid: str | None = None
    device_id: str | None = None


class _Block(Struct):
    text: str = ""


_decode_envelope = msgspec.json.Decoder(Envelope).decode
_decode_content = msgspec.json.Decoder(str | list[_Block] | None).decode
_decode_user_id = msgspec.json.Decoder(_UserId).decode


def read_call(inbound: Inbound) -> ClientCall:
    """Reads the envelope of a request to Anthropic's endpoints. Raises InvalidRequest naming the field."""
    envelope = read_envelope(inbound.body)
    told = {name: inbound.header(name) for name in (VERSION_HEADER, BETA_HEADER)}
    headers = {name: value for name, value in told.items() if value}
    call = build_call(inbound, envelope, headers)
    call.model = read_optional(envelope.model, "model", read_text) or None
    call.stream = inbound.endpoint.operation == "chat" and bool(read_optional(envelope.stream, "stream", read_flag))
    return call


def read_envelope(body: bytes) -> Envelope:
    """The top of a body. Raises InvalidRequest when it is not a JSON object."""
    try:
        return _decode_envelope(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        fields = decode_body(body)
    # It is JSON, so what did not fit are the messages: reading the conversation will tell which.
    fields.pop("messages", None)
    fields.pop("system", None)
    return msgspec.convert(fields, Envelope)


def build_call(inbound: Inbound, envelope: Envelope, headers: Mapping[str, str]) -> ClientCall:
    """A call without model and stream, which are told in different places. Raises InvalidRequest naming the field."""
    envelope.fallbacks = _name_fallbacks(envelope.fallbacks)
    wishes = read_wishes(envelope)
    end_user, session = _read_user(wishes["metadata"])
    wishes["session_id"] = wishes["session_id"] or session
    return ClientCall(
        model=None,
        body=inbound.body,
        family=FAMILY,
        path=inbound.endpoint.path,
        read=partial(read_chat, inbound.body, headers),
        headers=dict(headers),
        opening=_read_opening(envelope),
        max_output_tokens=read_optional(envelope.max_tokens, "max_tokens", _read_limit),
        include_usage=True,
        end_user=end_user,
        **wishes,
    )


def read_beta_list(value: object) -> list[str]:
    """The flags in a body of Bedrock's form. Raises InvalidRequest."""
    return read_optional(value, "anthropic_beta", read_names) or []


def _name_fallbacks(value: object) -> object:
    """Anthropic's own `fallbacks` as LiteLLM's: the models alone.

    Anthropic's servers must not go to another model by themselves, which the caller's key might not allow: the gateway
    does it, after its own rules. `default` asks for what Anthropic would choose, so it names none.
    """
    if value == "default":
        return None
    if not isinstance(value, list):
        return value
    return [{"model": item.get("model")} if isinstance(item, dict) else item for item in value]


def _read_limit(value: object, path: str) -> int:
    return read_integer(value, path, minimum=0)


def _read_user(metadata: dict[str, object]) -> tuple[str | None, str | None]:
    """The end user and the session that `metadata.user_id` tells of. Claude Code puts both into it."""
    user_id = read_optional(metadata.get("user_id"), "metadata.user_id", read_text)
    if not user_id:
        return None, None
    if user_id.startswith("{"):
        try:
            told = _decode_user_id(user_id)
        except (msgspec.MsgspecError, RecursionError):
            return user_id, None
        return told.account_uuid or told.device_id or None, told.session_id or None
    if (match := _USER_WITH_SESSION.fullmatch(user_id)) is not None:
        return match["user"], match["session"]
    return user_id, None


def _read_opening(envelope: Envelope) -> Opening:
    """The texts of the system prompt and of the first user message."""
    system = [_read_texts(envelope.system)]
    for turn in envelope.messages or ():
        if turn.role == "system":
            system.append(_read_texts(turn.content))
        elif turn.role == "user":
            return Opening(_join(system), _read_texts(turn.content))
    return Opening(_join(system))


def _read_texts(content: Raw) -> str:
    """The text in some content; empty when it is not as it should be, which is for `read_chat` to say."""
    try:
        decoded = _decode_content(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    if isinstance(decoded, str):
        return decoded
    return _join([block.text for block in decoded or () if not block.text.startswith(_BILLING_PREFIX)])


def _join(texts: list[str]) -> str:
    return "\n".join(filter(None, texts))
