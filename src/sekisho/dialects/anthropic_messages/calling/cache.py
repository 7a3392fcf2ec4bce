"""Marks for prompt caching: members of the blocks that they stand on."""

from collections.abc import Iterable

from sekisho.core.chat import CacheMark
from sekisho.core.model import ModelFacts
from sekisho.dialects.common.marks import FIELD, MOST_MARKS, Place
from sekisho.dialects.common.omissions import Omissions

Json = dict[str, object]
"""A JSON object that is being written."""


def mark_block(block: Json, mark: CacheMark | None, place: Place, facts: ModelFacts, notes: Omissions) -> Json:
    """The block, marked if it is to be and the model can cache there."""
    if mark is None:
        return block
    if place not in facts.cache:
        notes.drop(FIELD)
        return block
    told: Json = {"type": "ephemeral"}
    if mark.ttl == "1h" and facts.cache_ttl_1h:
        told["ttl"] = "1h"
    return {**block, FIELD: told}


def limit_marks(contents: Iterable[list[Json]], notes: Omissions) -> None:
    """Take away the marks over the limit, from lists of blocks of which those that matter most come first."""
    left = MOST_MARKS
    for blocks in contents:
        for block in reversed(blocks):
            if FIELD not in block:
                continue
            if left == 0:
                del block[FIELD]
                notes.drop(FIELD)
            else:
                left -= 1
