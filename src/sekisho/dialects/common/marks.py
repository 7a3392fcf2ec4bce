"""Marks for prompt caching, as the two formats that have them need them."""

from collections.abc import Iterable
from typing import Final, Literal

from sekisho.core.chat import CacheMark, Document, Image, Part, RedactedThinking, Text, Thinking, ToolResult

Place = Literal["system", "tools", "messages"]
"""Where a mark may stand, if the model can cache there."""

FIELD: Final = "cache_control"
"""The client's name for a mark, as it is told of those left out."""
MOST_MARKS: Final = 4
"""Claude refuses a request with more."""


def find_mark(part: Part) -> CacheMark | None:
    """The cache mark of a part; one inside a tool's result counts for the whole, since none may stand in it."""
    if isinstance(part, Thinking | RedactedThinking):
        return None
    if isinstance(part, ToolResult) and part.cache is None:
        return _last_mark(part.parts)
    return part.cache


def _last_mark(parts: Iterable[Text | Image | Document]) -> CacheMark | None:
    return next((part.cache for part in reversed(list(parts)) if part.cache is not None), None)
