"""What the scripted model is asked and what it answers, whichever operation carried it.

The form is Converse's own JSON; a Claude Messages body is brought into it by `invoke`.
"""

import base64
import hmac
import re
from typing import Any, Literal

from msgspec import Struct

_SIGNATURE_KEY = b"sekisho simulator: thinking"
_CLAUDE = re.compile(r"claude-(?:[a-z]+-)?(\d+)(?:-(\d{1,2}))?(?=[-:@]|$)")


class ThinkingWish(Struct, frozen=True):
    """Whether the model should think; `budget` in tokens; `shown` is false when only a signature is wanted."""

    mode: Literal["off", "enabled", "adaptive"] = "off"
    budget: int | None = None
    shown: bool = True


class Prompt(Struct, kw_only=True):
    """One call's question.

    `system`, `messages` and `tools` are lists of Converse blocks, cache points among them. `surface` is the API that
    carried it, since some rules are Converse's alone. `has_tools` is whether tools were declared at all. `schema` is
    the JSON schema an answer must follow. `extra` are the fields meant for the model alone.
    """

    model: str
    surface: Literal["converse", "messages"]
    system: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    has_tools: bool
    choice: Literal["auto", "any", "tool", "none"] = "auto"
    choice_name: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: list[str] = []
    thinking: ThinkingWish = ThinkingWish()
    schema: dict[str, Any] | None = None
    extra: dict[str, Any] = {}

    @property
    def specs(self) -> list[dict[str, Any]]:
        """The tools themselves: name, description, inputSchema."""
        return [tool["toolSpec"] for tool in self.tools if tool.get("toolSpec")]


class TextBlock(Struct):
    """Text of an answer."""

    text: str


class ThinkingBlock(Struct):
    """Reasoning of an answer, signed where the model signs."""

    text: str
    signature: str | None


class ToolBlock(Struct):
    """A tool call of an answer. `raw` is the JSON text of its input, maybe cut short."""

    id: str
    name: str
    raw: str


Block = TextBlock | ThinkingBlock | ToolBlock


class Answer(Struct, kw_only=True):
    """One call's answer; `stop_reason` is a word of Converse."""

    blocks: list[Block]
    stop_reason: str
    stop_sequence: str | None = None


class StreamEvent(Struct, frozen=True):
    """One event of a streamed answer: its type, its payload, and the bytes of output that are out once it is sent."""

    kind: str
    payload: bytes
    produced: int


def sign_thinking(text: str) -> str:
    """The signature of some reasoning, which only a simulator can make."""
    return base64.b64encode(hmac.digest(_SIGNATURE_KEY, text.encode(), "sha256")).decode()


def claude_version(model: str) -> tuple[int, int] | None:
    """The version in a Claude model's id: (4, 5) for `anthropic.claude-sonnet-4-5-20250929-v1:0`; None for others."""
    match = _CLAUDE.search(model)
    return (int(match[1]), int(match[2] or 0)) if match else None


def read_thinking(fields: dict[str, Any]) -> ThinkingWish:
    """The wish to think, from the fields each vendor has for it."""
    thinking, nova = fields.get("thinking"), fields.get("reasoningConfig")
    if isinstance(thinking, dict) and thinking.get("type") in ("enabled", "adaptive"):
        return ThinkingWish(thinking["type"], thinking.get("budget_tokens"), thinking.get("display") != "omitted")
    if isinstance(nova, dict) and nova.get("type") == "enabled":
        return ThinkingWish("adaptive")
    if fields.get("reasoning_effort") not in (None, "none"):
        return ThinkingWish("adaptive")
    return ThinkingWish()


def pieces_of(text: str, size: int) -> list[str]:
    """A text cut into pieces of `size` characters, as it is streamed."""
    return [text[at : at + size] for at in range(0, len(text), size)]
