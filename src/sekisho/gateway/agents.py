"""Which agent makes a call, and of what version.

The first words of the system prompt are the best sign: user agents mislead (Cline 3 names only the library it is built
on, Qwen Code calls itself `claude-cli` on Anthropic's API). They still tell the version.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

_INTRODUCTIONS: Final = (
    ("you are claude code", "claude-code"),
    ("you are a claude agent, built on anthropic's claude agent sdk", "claude-code"),
    ("you are cline", "cline"),
    ("you are codex", "codex"),
    ("you are opencode", "opencode"),
    ("you are kilo", "kilo"),
    ("you are qwen code", "qwen-code"),
    ("you are roo", "roo-code"),
    ("you are an agent in the continue cli", "continue"),
    ("act as an expert software developer", "aider"),
    ("act as an expert architect engineer", "aider"),
    ("act as an expert code analyst", "aider"),
)
"""How system prompts begin, in lower case."""
_IN_CODEX: Final = "running in the codex cli"
"""Stands in the first sentence of Codex's prompts, which begins differently for each family of models."""
_FIRST_WORDS: Final = 200
LONGEST_SIGN: Final = 500
"""Characters of a header that are to be looked at."""

_PRODUCTS: Final = {
    "claude-cli": "claude-code",
    "cline": "cline",
    "codex": "codex",
    "codex-tui": "codex",
    "opencode": "opencode",
    "kilo-code": "kilo",
    "kilo": "kilo",
    "qwencode": "qwen-code",
    "roocode": "roo-code",
    "continue": "continue",
    "aider": "aider",
}
"""Products in user agents, in lower case, and whose they are."""
_BORROWED: Final = frozenset({("qwen-code", "claude-code"), ("kilo", "opencode")})
"""Agents that may go by another's name in the user agent; the version beside it is their own."""
_PRODUCT: Final = re.compile(r"(?:^|app/)([a-z][a-z-]*)[a-z_]*[/#](\d[\w.+-]{0,60})", re.IGNORECASE)
_TITLES: Final = {"kilo code": "kilo", "cline": "cline", "opencode": "opencode", "roo code": "roo-code"}


class Signs(NamedTuple):
    """What a request's headers show of its agent.

    claude_code: whether there is a header that only Claude Code sends.
    """

    user_agent: str = ""
    originator: str = ""
    title: str = ""
    claude_code: bool = False


def recognise_agent(signs: Signs, system: str) -> tuple[str | None, str | None]:
    """The agent's name and version, each where they can be told by these signs and the system prompt.

    An agent looks the same in all its calls, so that this is found out once.
    """
    return _recognise(signs, system[:_FIRST_WORDS])


@lru_cache(maxsize=2048)
def _recognise(signs: Signs, first_words: str) -> tuple[str | None, str | None]:
    user_agent, originator, title, claude_code = signs
    named, version = _read_user_agent(user_agent)
    agent = _read_introduction(first_words) or ("claude-code" if claude_code else _read_headers(originator, title))
    agent = agent or named
    if agent == named or (agent, named) in _BORROWED:
        return agent, version
    return agent, None


def _read_introduction(first_words: str) -> str | None:
    words = first_words.lstrip().lower()
    for beginning, agent in _INTRODUCTIONS:
        if words.startswith(beginning):
            return agent
    return "codex" if _IN_CODEX in words else None


def _read_headers(originator: str, title: str) -> str | None:
    """By headers that only one agent sends."""
    if originator.startswith("codex"):
        return "codex"
    return _TITLES.get(title.lower())


def _read_user_agent(text: str) -> tuple[str | None, str | None]:
    for match in _PRODUCT.finditer(text):
        if (agent := _PRODUCTS.get(match[1].lower())) is not None:
            return agent, match[2]
    return None, None
