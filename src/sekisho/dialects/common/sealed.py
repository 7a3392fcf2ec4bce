"""What one format has no place for, sealed into a text that the client carries and sends back unread.

A seal is `sekisho1.` and base64url of a JSON object whose `kind` tells what it holds. It protects nothing: whoever has
it may read it, and a model's own signatures inside are what a forged one fails on.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

import msgspec
from msgspec import Struct

from sekisho.core.chat import ClientCall

SEAL: Final = "sekisho1."
"""How every seal begins."""
_MARK: Final = SEAL.encode()
_SEALED_SIGNATURE: Final = re.compile(rb'"signature"\s*:\s*"' + re.escape(SEAL.encode()))


def has_sealed_signature(call: ClientCall) -> bool:
    """Whether there is reasoning in a call's body that is signed with a seal of ours, which no upstream takes."""
    return call.mentions(_MARK) and _SEALED_SIGNATURE.search(call.body) is not None


class SealedThinking(Struct, frozen=True, tag_field="kind", tag="thinking", omit_defaults=True):
    """Reasoning the model showed, as in `core.chat.Thinking`."""

    text: str
    signature: str | None = None


class SealedRedacted(Struct, frozen=True, tag_field="kind", tag="redacted"):
    """Reasoning the model hid, as in `core.chat.RedactedThinking`."""

    data: str


class SealedSummary(Struct, frozen=True, tag_field="kind", tag="summary"):
    """A conversation's summary that stands for what went before."""

    text: str


class SealedReasoning(Struct, frozen=True, tag_field="kind", tag="openai_reasoning"):
    """The encrypted content of a reasoning item of OpenAI's, which only OpenAI can read."""

    id: str
    encrypted_content: str


Sealed = SealedThinking | SealedRedacted | SealedSummary | SealedReasoning

_encode = msgspec.json.Encoder().encode
_decoder: Final[msgspec.json.Decoder[Sealed]] = msgspec.json.Decoder(Sealed)


def seal(content: Sealed) -> str:
    """The text that holds `content`."""
    return SEAL + urlsafe_b64encode(_encode(content)).decode()


def unseal(text: str) -> Sealed | None:
    """What the text holds; None when it is no seal, or a damaged one."""
    if not text.startswith(SEAL):
        return None
    try:
        return _decoder.decode(urlsafe_b64decode(text[len(SEAL) :]))
    except (ValueError, UnicodeError, msgspec.MsgspecError, RecursionError):
        return None
