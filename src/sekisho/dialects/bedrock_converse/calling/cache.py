"""Cache points: separate blocks that stand after what they cache."""

from collections.abc import Iterable

from sekisho.core.chat import CacheMark
from sekisho.core.model import ModelFacts
from sekisho.dialects.bedrock_converse.forms import Json
from sekisho.dialects.common.marks import FIELD, MOST_MARKS, Place
from sekisho.dialects.common.omissions import Omissions


def write_cache_point(mark: CacheMark | None, place: Place, facts: ModelFacts, notes: Omissions) -> list[Json]:
    """The block that follows a marked one: none, or one."""
    if mark is None:
        return []
    if place not in facts.cache:
        notes.drop(FIELD)
        return []
    point: Json = {"type": "default"}
    if mark.ttl == "1h" and facts.cache_ttl_1h:
        point["ttl"] = "1h"
    return [{"cachePoint": point}]


def limit_cache_points(contents: Iterable[list[Json]], notes: Omissions, left: int = MOST_MARKS) -> int:
    """Take out all cache points but `left`, from lists of blocks of which those that matter most come first.

    Returns how many there might be still.
    """
    for blocks in contents:
        for at in range(len(blocks) - 1, -1, -1):
            if "cachePoint" not in blocks[at]:
                continue
            if left == 0:
                del blocks[at]
                notes.drop(FIELD)
            else:
                left -= 1
    return left
