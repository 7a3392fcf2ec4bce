"""Whether a model can carry a conversation that was meant for another one, without breaking it."""

from collections.abc import Iterator

from msgspec import Struct

from sekisho.core.chat import ChatRequest, Document, Image, Part, RedactedThinking, Thinking, ToolCall, ToolResult
from sekisho.core.model import ModelFacts
from sekisho.core.money import Price

_CERTAINTY = 1.5
"""By how much an estimate must exceed a limit to be certain: source code with deep indentation has that many bytes
more to the token than is usual."""


class Needs(Struct, frozen=True, kw_only=True):
    """What a conversation asks of a model.

    reasoning: it asks the model to think. signed: it holds reasoning that only the vendor's own models can read.
    cached: it marks what is to be kept in the prompt cache.
    """

    tools: bool = False
    images: bool = False
    documents: bool = False
    reasoning: bool = False
    signed: bool = False
    cached: bool = False


def read_needs(chat: ChatRequest) -> Needs:
    """What a conversation asks for, all of its turns considered."""
    parts = list(_walk(chat))
    return Needs(
        tools=bool(chat.tools) or any(isinstance(part, ToolCall | ToolResult) for part in parts),
        images=any(isinstance(part, Image) for part in parts),
        documents=any(isinstance(part, Document) for part in parts),
        reasoning=_asks_for_reasoning(chat),
        signed=any(_is_signed(part) for part in parts),
        cached=any(getattr(part, "cache", None) is not None for part in (*chat.system, *chat.tools, *parts)),
    )


def find_obstacle(
    needs: Needs | None, tokens: int, facts: ModelFacts, price: Price | None, meant_for: ModelFacts
) -> str | None:
    """Why a model cannot carry a conversation; None when it can.

    Args:
        needs: what the conversation asks for; None when that cannot be read: then only a model of the family that it
          was meant for will understand it.
        tokens: how many tokens the prompt probably has.
        facts: what the model can do.
        price: its price, which tells whether it keeps prompts in a cache by itself.
        meant_for: what the model can do that the client has asked for.
    """
    if facts.max_input_tokens is not None and tokens > facts.max_input_tokens:
        return "context size"
    if needs is None:
        return None if facts.family == meant_for.family else "format"
    if needs.tools and not facts.tools:
        return "tools"
    if needs.images and not facts.vision:
        return "images"
    if needs.documents and not facts.documents:
        return "documents"
    if needs.reasoning and meant_for.thinking != "none" and facts.thinking == "none":
        return "thinking"
    if needs.signed and facts.family != meant_for.family:
        return "signed thinking"
    if needs.cached and tokens >= meant_for.cache_min_tokens and meant_for.cache and not _caches(facts, price):
        return "prompt caching"
    return None


def is_certainly_too_long(tokens: int, facts: ModelFacts) -> bool:
    """Whether a prompt that probably has so many tokens, files aside, exceeds what the model takes in any case."""
    return facts.max_input_tokens is not None and tokens > facts.max_input_tokens * _CERTAINTY


def weigh_files(chat: ChatRequest) -> int:
    """The bytes of all files in a conversation, as base64: they say nothing about the tokens in them."""
    return sum(len(part.data or "") for part in _walk(chat) if isinstance(part, Image | Document))


def _walk(chat: ChatRequest) -> Iterator[Part]:
    """All parts of all turns; those within the results of tools, too."""
    for turn in chat.messages:
        for part in turn.parts:
            yield part
            if isinstance(part, ToolResult):
                yield from part.parts


def _asks_for_reasoning(chat: ChatRequest) -> bool:
    wanted = chat.reasoning
    if wanted is None or wanted.mode in ("disabled", "default"):
        return False
    return wanted.mode is not None or wanted.budget_tokens is not None or wanted.effort not in (None, "none", "minimal")


def _is_signed(part: Part) -> bool:
    return isinstance(part, RedactedThinking) or (isinstance(part, Thinking) and part.signature is not None)


def _caches(facts: ModelFacts, price: Price | None) -> bool:
    """Whether the model keeps prompts in a cache, where it is told to or by itself."""
    return bool(facts.cache) or (price is not None and price.base.cache_read < price.base.input)
