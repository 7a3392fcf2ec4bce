"""The envelope of a Converse or CountTokens request: what concerns the gateway, without reading the conversation."""

from collections.abc import Mapping
from functools import partial
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from sekisho.core.beginnings import Beginning
from sekisho.core.chat import ClientCall, Opening
from sekisho.core.errors import InvalidRequest
from sekisho.core.wire import Inbound
from sekisho.dialects.bedrock_converse.serving.chat import read_chat, read_counted_chat
from sekisho.dialects.common.beginnings import beginnings
from sekisho.dialects.common.fields import read_integer
from sekisho.dialects.common.members import write_members
from sekisho.dialects.common.opening import read_first_turns, read_texts
from sekisho.dialects.common.wishes import read_wishes

_SESSION_KEYS = ("session_id", "sessionId", "conversation_id", "conversationId", "task_id", "taskId", "trace_id")
_END_USER_KEYS = ("user_id", "userId", "end_user", "user")
_TAG_KEY = "tags"

_T = TypeVar("_T")


class _Inference(Struct, rename="camel"):
    max_tokens: object = None


class _Envelope(Struct, rename="camel"):
    inference_config: _Inference | None = None
    request_metadata: dict[str, str] | None = None


class _Question(Struct):
    converse: dict[str, Raw] | None = None


class _Count(Struct):
    input: _Question | None = None


_decode_envelope = msgspec.json.Decoder(_Envelope)
_decode_count = msgspec.json.Decoder(_Count)
_SMALL = ("inferenceConfig", "requestMetadata")


def read_call(inbound: Inbound, family: str) -> ClientCall:
    """Read what concerns the gateway. Raises InvalidRequest naming the field."""
    body = inbound.body
    members, known = beginnings.read(body, "messages")
    call = ClientCall(
        model=inbound.model,
        body=body,
        members=members,
        beginning=known,
        family=family,
        path=inbound.endpoint.path,
        read=partial(read_chat, members),
        stream=bool(inbound.endpoint.stream),
        **read_wishes(members, body),
    )
    if inbound.endpoint.operation == "count_tokens":
        call.read = partial(read_counted_chat, members)
        question = _decode(_decode_count, body).input
        call.opening = _read_opening((question and question.converse) or {})
        return call
    if bytes(memoryview(members.get("messages", b"null"))[:1]) not in (b"[", b"n"):
        raise InvalidRequest("`messages` must be an array.", param="messages")
    call.opening = _read_opening(members, known)
    small = {name: members[name] for name in _SMALL if name in members}
    if not small:
        return call
    envelope = _decode(_decode_envelope, write_members(small))
    if envelope.inference_config is not None and envelope.inference_config.max_tokens is not None:
        limit = envelope.inference_config.max_tokens
        call.max_output_tokens = read_integer(limit, "inferenceConfig.maxTokens", minimum=1)
    _attribute(call, envelope.request_metadata or {})
    return call


def _attribute(call: ClientCall, pairs: Mapping[str, str]) -> None:
    """What the request's metadata say of whom and what the call is for. LiteLLM's own fields go before."""
    call.session_id = call.session_id or _first(pairs, _SESSION_KEYS)
    call.end_user = _first(pairs, _END_USER_KEYS)
    tags = [tag.strip() for tag in pairs.get(_TAG_KEY, "").split(",")]
    call.tags = list(dict.fromkeys([*call.tags, *filter(None, tags)]))
    call.metadata = dict(pairs) | call.metadata


def _first(pairs: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((pairs[name] for name in names if pairs.get(name)), None)


def _read_opening(conversation: Mapping[str, Raw], known: Beginning | None = None) -> Opening:
    """How the conversation begins. It is only for attribution, so that what cannot be read here tells nothing."""
    try:
        system = msgspec.json.decode(conversation.get("system", b"null"))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Opening()
    turns = read_first_turns(conversation.get("messages"), known)
    first = next((read_texts(turn.content) for turn in turns if turn.role == "user"), [])
    return Opening("\n".join(read_texts(system) if isinstance(system, list) else ()), "\n".join(first))


def _decode(decoder: "msgspec.json.Decoder[_T]", body: bytes) -> _T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        param = place.strip(".`") or "request_body"
        raise InvalidRequest(f"`{param}` is not what Converse takes: {reason}.", param=param) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"The request body cannot be read as JSON: {error}.", param="request_body") from error
