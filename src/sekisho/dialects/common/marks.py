"""Marks for prompt caching, as the two formats that have them need them."""

from typing import Final, Literal

from sekisho.core.chat import CacheMark, Part, RedactedThinking, Thinking, ToolResult

Place = Literal["system", "tools", "messages"]
"""Where a mark may stand, if the model can cache there."""

FIELD: Final = "cache_control"
"""The client's name for a mark, as it is told of those left out."""
MOST_MARKS: Final = 4
"""Claude refuses a request with more."""


def find_mark(part: Part) -> CacheMark | None:
    """The cache mark of a part; one inside a tool's result counts for the whole, since none may stand in it."""
    if type(part) is ToolResult:
        return find_result_mark(part)
    if type(part) is Thinking or type(part) is RedactedThinking:
        return None
    return part.cache


def find_result_mark(result: ToolResult) -> CacheMark | None:
    """The cache mark of a tool's result, or of the last that is marked in it."""
    mark = result.cache
    if mark is None:
        for inner in result.parts:
            mark = inner.cache or mark
    return mark
