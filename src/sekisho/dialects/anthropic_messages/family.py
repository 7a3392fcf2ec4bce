"""What the two sides of Anthropic's Messages API share: its name, its versions and its beta flags.

Source: the API reference of Anthropic ("Versions", "Beta headers") and its Python SDK, version 2.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from sekisho.core.model import ModelFacts

FAMILY: Final = "anthropic_messages"
OLD_VERSION: Final = "2023-06-01"
NEW_VERSION: Final = "2026-10-21"
"""Answers are the same in both. The new one refuses temperature, top_p and top_k."""

SAMPLING_FIELDS: Final = ("temperature", "top_p", "top_k")
BETA_HEADER: Final = "anthropic-beta"
VERSION_HEADER: Final = "anthropic-version"


def choose_version(asked: str | None, facts: ModelFacts) -> str:
    """The version to speak with a model: the client's if the model takes it, else the newest that it takes."""
    versions = facts.anthropic_versions or (OLD_VERSION,)
    return asked if asked in versions else versions[-1]


def read_betas(headers: Mapping[str, str]) -> list[str]:
    """The beta flags of a call, each once, in their order."""
    words = (word.strip() for word in headers.get(BETA_HEADER, "").split(","))
    return list(dict.fromkeys(word for word in words if word))


def allow_betas(asked: Iterable[str], facts: ModelFacts) -> list[str]:
    """Those of the flags that the upstream takes for this model: it answers 400 to others."""
    return [beta for beta in asked if facts.betas is None or beta in facts.betas]
