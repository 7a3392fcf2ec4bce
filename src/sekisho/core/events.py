"""The neutral form of an answer: whole (`ChatAnswer`) or as a stream of events.

Order in a stream: any number of deltas, then one `Finish`, then one `UsageReport`. Tool calls are numbered from 0 in
the order they start; a `ToolCallStart` precedes its `ToolCallDelta`s. A `ThinkingDelta` run ends with at most one
`ThinkingSignature`. A `CitationDelta` belongs to the text before it.
"""

from typing import final

from msgspec import Struct

from sekisho.core.chat import Citation, FinishReason, RedactedThinking, Text, Thinking, ToolCall
from sekisho.core.usage import Usage


@final
class TextDelta(Struct, frozen=True):
    """More text."""

    text: str


@final
class CitationDelta(Struct, frozen=True):
    """What the text before it rests on."""

    citation: Citation


@final
class ThinkingDelta(Struct, frozen=True):
    """More shown reasoning."""

    text: str


@final
class ThinkingSignature(Struct, frozen=True):
    """The signature that closes the reasoning before it."""

    signature: str


@final
class RedactedThinkingBlock(Struct, frozen=True):
    """A whole block of hidden reasoning, base64."""

    data: str


@final
class ToolCallStart(Struct, frozen=True):
    """The model begins to ask for a tool."""

    index: int
    id: str
    name: str


@final
class ToolCallDelta(Struct, frozen=True):
    """More of the JSON text of a tool call's arguments."""

    index: int
    fragment: str


@final
class Finish(Struct, frozen=True):
    """The model has stopped. `native` is the upstream's own word for the reason."""

    reason: FinishReason
    native: str
    stop_sequence: str | None = None


@final
class UsageReport(Struct, frozen=True):
    """What the call used, as the upstream counted it."""

    usage: Usage


Event = (
    TextDelta
    | CitationDelta
    | ThinkingDelta
    | ThinkingSignature
    | RedactedThinkingBlock
    | ToolCallStart
    | ToolCallDelta
    | Finish
    | UsageReport
)


class ChatAnswer(Struct, kw_only=True):
    """A whole answer."""

    parts: list[Text | Thinking | RedactedThinking | ToolCall]
    finish: Finish
    usage: Usage


class EmbeddingAnswer(Struct, kw_only=True):
    """Vectors, in the order of the inputs."""

    vectors: list[list[float]]
    usage: Usage
