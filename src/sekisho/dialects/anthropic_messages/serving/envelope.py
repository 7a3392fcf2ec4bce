"""Reads of a Messages request what concerns the gateway. The conversation is read only when it is needed."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Final

import msgspec
from msgspec import Raw, Struct

from sekisho.core.beginnings import Beginning
from sekisho.core.chat import ClientCall, Opening
from sekisho.core.wire import Inbound
from sekisho.dialects.anthropic_messages.family import BETA_HEADER, FAMILY, VERSION_HEADER
from sekisho.dialects.anthropic_messages.serving.request import read_chat
from sekisho.dialects.common.beginnings import beginnings
from sekisho.dialects.common.fields import read_flag, read_integer, read_names, read_text
from sekisho.dialects.common.members import MemberReader
from sekisho.dialects.common.opening import read_first_turns, read_texts
from sekisho.dialects.common.wishes import Wishes, check_wishes, find_wishes, read_optional

# The older form of the user id that Claude Code makes up; the newer one is a JSON object in a string.
_USER_WITH_SESSION: Final = re.compile(r"(?P<user>.+?)_session_(?P<session>[0-9a-fA-F-]{8,64})")
# Claude Code's first block of the system prompt, which is different in every request.
_BILLING_PREFIX: Final = "x-anthropic-billing-header:"


class Envelope(Struct):
    """The small members of a body; `anthropic_version` and `anthropic_beta` stand there in Bedrock's form only."""

    model: object = None
    max_tokens: object = None
    stream: object = None
    anthropic_version: object = None
    anthropic_beta: object = None


class _UserId(Struct):
    session_id: str | None = None
    account_uuid: str | None = None
    device_id: str | None = None


_envelope: Final = MemberReader(Envelope)
_decode_user_id = msgspec.json.Decoder(_UserId).decode


def read_call(inbound: Inbound) -> ClientCall:
    """Reads the envelope of a request to Anthropic's endpoints. Raises InvalidRequest naming the field."""
    members, known = beginnings.read(inbound.body, "messages")
    envelope = read_envelope(members, inbound.body)
    told = {name: inbound.header(name) for name in (VERSION_HEADER, BETA_HEADER)}
    headers = {name: value for name, value in told.items() if value}
    call = build_call(inbound, members, envelope, headers, known)
    call.model = read_optional(envelope.model, "model", read_text) or None
    call.stream = inbound.endpoint.operation == "chat" and bool(read_optional(envelope.stream, "stream", read_flag))
    return call


def read_envelope(members: Mapping[str, Raw], body: bytes) -> Envelope:
    """The small members of a body. Raises InvalidRequest for one that is not JSON."""
    return _envelope.read(members, body)


def build_call(
    inbound: Inbound,
    members: dict[str, Raw],
    envelope: Envelope,
    headers: Mapping[str, str],
    known: Beginning | None = None,
) -> ClientCall:
    """A call without model and stream, which are told in different places. Raises InvalidRequest naming the field."""
    wishes = _read_wishes(members, inbound.body, envelope.model)
    end_user, session = _read_user(wishes.get("metadata") or {})
    wishes["session_id"] = wishes.get("session_id") or session
    return ClientCall(
        model=None,
        body=inbound.body,
        members=members,
        beginning=known,
        family=FAMILY,
        path=inbound.endpoint.path,
        read=partial(read_chat, members, headers),
        headers=dict(headers),
        opening=_read_opening(members, known),
        max_output_tokens=read_optional(envelope.max_tokens, "max_tokens", _read_limit),
        include_usage=True,
        end_user=end_user,
        **wishes,
    )


def _read_wishes(members: Mapping[str, Raw], body: bytes, model: object) -> Wishes:
    fields = find_wishes(members, body)
    if fields is None:
        return {}
    fields.fallbacks = _name_fallbacks(fields.fallbacks)
    return check_wishes(fields, model)


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


def _read_opening(members: Mapping[str, Raw], known: Beginning | None) -> Opening:
    """The texts of the system prompt and of the first user message."""
    system = _read_texts(_decode(members["system"])) if "system" in members else []
    for turn in read_first_turns(members.get("messages"), known):
        if turn.role == "system":
            system += _read_texts(turn.content)
        elif turn.role == "user":
            return Opening("\n".join(system), "\n".join(_read_texts(turn.content)))
    return Opening("\n".join(system))


def _read_texts(content: object) -> list[str]:
    return [text for text in read_texts(content) if not text.startswith(_BILLING_PREFIX)]


def _decode(raw: Raw) -> object:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None  # reading the conversation will tell what is wrong with it
