"""Reads a Completions request: its envelope, and its prompt as a conversation for chat models."""

from collections.abc import Mapping
from functools import partial
from typing import Final

import msgspec
from msgspec import Raw

from sekisho.core.chat import ChatRequest, ClientCall
from sekisho.core.errors import InvalidRequest, Unsupported
from sekisho.core.wire import Inbound
from sekisho.dialects.common.fields import (
    read_flag,
    read_text,
    refuse_deep_nesting,
    wrong_type,
)
from sekisho.dialects.common.members import MemberReader, decode_members
from sekisho.dialects.common.openai_envelope import EnvelopeFields, read_answers, read_body, read_include_usage
from sekisho.dialects.common.openai_fields import (
    EXTRAS,
    Extras,
    read_count,
    read_positive,
    read_share,
    read_stop,
    read_temperature,
)
from sekisho.dialects.common.wishes import is_gateway_field, read_optional, read_wishes
from sekisho.dialects.openai_completions.infill import write_conversation

FAMILY = "openai_completions"
_DEFAULT_MAX_TOKENS: Final = 16
# fmt: off
_READ_FIELDS: Final = frozenset({
    "model", "prompt", "suffix", "echo", "max_tokens", "temperature", "top_p", "top_k", "stop", "stream",
    "stream_options", "user", "metadata", "best_of",
})
# fmt: on
# Fields without a neutral form: how to check them, and the value that asks for nothing.
_EXTRAS: Final[Extras] = {
    **EXTRAS,
    "logprobs": (read_count, None),
}


class _Envelope(EnvelopeFields):
    max_tokens: object = None
    n: object = None
    best_of: object = None


_envelope: Final = MemberReader(_Envelope)


def read_call(inbound: Inbound) -> ClientCall:
    """Reads the envelope of a request. Raises InvalidRequest naming the field."""
    body, members = read_body(inbound.body)
    envelope = _envelope.read(members, body)
    return ClientCall(
        model=inbound.model or read_optional(envelope.model, "model", read_text) or None,
        body=body,
        members=members,
        family=FAMILY,
        path=inbound.endpoint.path,
        read=partial(read_chat, members),
        max_output_tokens=_read_limit(envelope.max_tokens),
        answers=_count_answers(envelope, members.get("prompt")),
        stream=read_optional(envelope.stream, "stream", read_flag) or False,
        include_usage=read_include_usage(envelope),
        end_user=read_optional(envelope.user, "user", read_text) or None,
        **read_wishes(members, body, envelope.model),
    )


def read_chat(members: Mapping[str, Raw]) -> ChatRequest:
    """Reads a whole body as a conversation.

    Raises:
        InvalidRequest: A field is missing or of the wrong type.
        Unsupported: There are several prompts, or one in tokens, or the best of several answers is wanted: all this
            only upstreams that speak the same format can do.
    """
    fields = decode_members(members)
    suffix = read_optional(fields.get("suffix"), "suffix", read_text)
    best_of = read_optional(fields.get("best_of"), "best_of", read_count)
    read_optional(fields.get("echo"), "echo", read_flag)
    if best_of is not None and best_of > 1:
        raise Unsupported("`best_of`: the model gives one answer; leave it out.", param="best_of")
    system, messages = write_conversation(_read_prompt(fields.get("prompt")), suffix)
    return ChatRequest(
        system=system,
        messages=messages,
        max_output_tokens=_read_limit(fields.get("max_tokens")),
        temperature=read_optional(fields.get("temperature"), "temperature", read_temperature),
        top_p=read_optional(fields.get("top_p"), "top_p", read_share),
        top_k=read_optional(fields.get("top_k"), "top_k", read_count),
        stop=read_optional(fields.get("stop"), "stop", read_stop) or [],
        extras=_read_extras(fields),
    )


def _count_answers(envelope: _Envelope, prompt: Raw | None) -> int:
    """How many texts the upstream will write: for each prompt, all from which the best are chosen."""
    prompts = 1
    if prompt is not None and bytes(prompt).startswith(b"["):
        items = msgspec.json.decode(prompt, type=list[Raw])
        prompts = len(items) if items and bytes(items[0])[:1] in (b'"', b"[") else 1  # else one prompt in tokens
    return prompts * max(read_answers(envelope.n), read_answers(envelope.best_of))


def read_echo(members: Mapping[str, Raw]) -> str:
    """The prompt if the answer is to begin with it, else nothing; for bodies whose conversation was read before."""
    if bytes(members.get("echo", b"")) != b"true":
        return ""
    return _read_prompt(msgspec.json.decode(members["prompt"]))


def _read_prompt(value: object) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise wrong_type(value, "prompt", "a string")
    if not value:
        raise InvalidRequest("`prompt` is empty: send a text.", param="prompt")
    if any(not isinstance(item, str) for item in value):
        raise Unsupported("`prompt`: the model takes texts, not tokens.", param="prompt")
    if len(value) > 1:
        raise Unsupported("`prompt`: the model takes one text per request.", param="prompt")
    return read_text(value[0], "prompt[0]")


def _read_limit(value: object) -> int:
    """The most tokens to answer with: few by default, as OpenAI has it."""
    limit = read_optional(value, "max_tokens", read_positive)
    return _DEFAULT_MAX_TOKENS if limit is None else limit


def _read_extras(fields: dict[str, object]) -> dict[str, object]:
    extras: dict[str, object] = {}
    for name, value in fields.items():
        if value is None or name in _READ_FIELDS or is_gateway_field(name):
            continue
        check, neutral = _EXTRAS.get(name, (None, None))
        if check is None or check(value, name) != neutral:
            extras[name] = value
    refuse_deep_nesting(extras, "request_body")
    return extras
