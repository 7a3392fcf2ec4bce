"""What is expected of every cell: that it passes, unless a rule below says that it is refused, and why.

The table in the documentation is written from these rules, and the matrix test holds the product to them.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from tests.matrix.clients import CLIENTS
from tests.matrix.features import FEATURES
from tests.matrix.upstreams import UPSTREAMS

EVERY_CLIENT = tuple(CLIENTS)


@dataclass(frozen=True)
class Absent:
    """A feature that a client's API does not have."""

    client: str
    features: Collection[str]
    reason: str


@dataclass(frozen=True)
class Rule:
    """Cells with something to be said about them.

    kind: `refused` with a 4xx whose message has `words`, or `noted`: it passes, but there is something to know.
    """

    kind: Literal["refused", "noted"]
    feature: str
    upstreams: Collection[str]
    reason: str
    clients: Collection[str] = EVERY_CLIENT
    words: str = ""


ABSENT = (
    Absent(
        "openai_completions",
        (
            *("tools", "parallel_tools", "images", "documents", "thinking", "cache_marks", "json_schema"),
            *("empty_result", "tool_names"),
        ),
        "The Completions API has nothing but text.",
    ),
    Absent("openai_responses", ("stop_lists",), "The Responses API has no stop sequences."),
    Absent("openai_responses", ("cache_marks",), "The Responses API has no cache marks."),
)

_CLAUDE = ("bedrock_converse", "bedrock_invoke", "bedrock_messages", "anthropic")
_OPENAI = ("bedrock_openai", "openai")
_SERVERS = ("compatible", "sagemaker")
_NAMES = (
    "With such names in it, the request is translated although the upstream speaks the same format: {}. Names are "
    "changed on the way and changed back."
)

RULES = (
    Rule(
        "refused",
        "documents",
        ("bedrock_openai",),
        "Bedrock lists no OpenAI model that reads files. OpenAI's own clients are passed on, and the model decides.",
        clients=("anthropic_messages", "bedrock_converse", "bedrock_invoke"),
        words="cannot read files",
    ),
    Rule(
        "refused",
        "stop_lists",
        ("openai_responses",),
        "OpenAI's Responses API has no stop sequences.",
        words="Responses API has no stop sequences",
    ),
    Rule(
        "refused",
        "stop_lists",
        _OPENAI,
        "OpenAI's APIs take at most four stop sequences, and its reasoning models none.",
        words="stop",
    ),
    Rule(
        "noted",
        "tool_names",
        _OPENAI,
        _NAMES.format("OpenAI takes names of at most 64 letters, digits, `_` and `-`"),
        clients=("openai_chat",),
    ),
    Rule(
        "noted",
        "tool_names",
        (*_OPENAI, "openai_responses"),
        _NAMES.format("OpenAI takes names of at most 64 letters, digits, `_` and `-`"),
        clients=("openai_responses",),
    ),
    Rule(
        "noted",
        "tool_names",
        ("bedrock_converse", "bedrock_nova"),
        _NAMES.format("Converse takes names of at most 64 letters, digits, `_` and `-`"),
        clients=("bedrock_converse",),
    ),
    Rule(
        "noted",
        "empty_result",
        ("bedrock_converse", "bedrock_nova"),
        "With such a result in it, the request is translated although the upstream speaks the same format: Converse "
        "takes no result without content, and a placeholder stands in for it.",
        clients=("bedrock_converse",),
    ),
    Rule(
        "noted",
        "tool_names",
        ("bedrock_invoke", "bedrock_messages", "anthropic"),
        _NAMES.format("Claude takes names of at most 128 letters, digits, `_` and `-`"),
        clients=("anthropic_messages", "bedrock_invoke"),
    ),
    Rule(
        "noted",
        "cache_marks",
        (*_OPENAI, "openai_responses", *_SERVERS),
        "The upstream caches by itself, without marks.",
    ),
    Rule(
        "noted",
        "cache_marks",
        (*_CLAUDE, "bedrock_nova"),
        "By `cache_control` on parts of the content, as agents send it through LiteLLM: OpenAI's own API has no marks. "
        "For clients that set none, Sekisho marks the prompt itself (`enable_anthropic_prompt_caching`).",
        clients=("openai_chat",),
    ),
    Rule(
        "noted",
        "thinking",
        _CLAUDE,
        "OpenAI's format has no place for signatures. Sekisho keeps signed reasoning in memory and puts it back in "
        "front of the tool calls it belongs to.",
        clients=("openai_chat",),
    ),
    Rule(
        "noted",
        "thinking",
        (*_OPENAI, "openai_responses"),
        "The model reasons, but OpenAI does not show it; a summary comes where a Responses client asks for one and is "
        "passed on.",
    ),
    Rule(
        "noted",
        "thinking",
        _SERVERS,
        "How such a model is asked to reason is not known: the wish is left out and named in "
        "`x-sekisho-dropped-params`. The tool loop works.",
        clients=("anthropic_messages", "openai_responses", "bedrock_converse", "bedrock_invoke"),
    ),
)

PASSED_ON = {
    "openai_chat": ("openai", "compatible", "bedrock_openai", "sagemaker"),
    "anthropic_messages": ("anthropic", "bedrock_messages", "bedrock_invoke"),
    "openai_responses": ("openai", "openai_responses", "bedrock_openai"),
    "bedrock_converse": ("bedrock_converse", "bedrock_nova"),
    "bedrock_invoke": ("anthropic", "bedrock_messages", "bedrock_invoke"),
    "openai_completions": ("compatible",),
}
"""The upstreams to which each client's bytes are passed on as they are."""


def is_absent(client: str, feature: str) -> bool:
    """Whether the client's API does not have the feature at all."""
    return any(absent.client == client and feature in absent.features for absent in ABSENT)


def find_rule(client: str, upstream: str, feature: str) -> Rule | None:
    """The rule for a cell, the first that fits; None when it simply passes."""
    for rule in RULES:
        if rule.feature == feature and upstream in rule.upstreams and client in rule.clients:
            return rule
    return None


def list_cells() -> list[tuple[str, str, str]]:
    """Every cell that exists: client, upstream, feature."""
    return [
        (client, upstream, feature)
        for client in CLIENTS
        for upstream in UPSTREAMS
        for feature in FEATURES
        if not is_absent(client, feature)
    ]
