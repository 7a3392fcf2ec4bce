"""What the scripted model is asked and what it answers, whichever wire carried it.

The form is Converse's own JSON; the other wires bring their requests into it.
"""

import base64
import hmac
import re
from typing import Any, Literal

import msgspec
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

    `system`, `messages` and `tools` are lists of Converse blocks, cache points among them. `has_tools` is whether tools
    were declared at all, `free_tools` the names of those that take text instead of JSON, `parallel` whether several may
    be called in one turn. `schema` is the JSON schema an answer must follow. `extra` are the fields meant for the model
    alone, `raw` the request's body as it came. `metadata` is for the call log. `tool_prefix` begins the ids of tool
    calls. `cached_by_itself` is whether prefixes are cached without being marked.
    """

    model: str
    system: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] = []
    has_tools: bool = False
    free_tools: frozenset[str] = frozenset()
    parallel: bool = True
    choice: Literal["auto", "any", "tool", "none"] = "auto"
    choice_name: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: list[str] = []
    thinking: ThinkingWish = ThinkingWish()
    schema: dict[str, Any] | None = None
    extra: dict[str, Any] = {}
    raw: dict[str, Any] = {}
    metadata: dict[str, str] = {}
    tool_prefix: str = "tooluse_"
    cached_by_itself: bool = False

    @property
    def specs(self) -> list[dict[str, Any]]:
        """The tools themselves: name, description, inputSchema."""
        return [tool["toolSpec"] for tool in self.tools if tool.get("toolSpec")]


class Source(Struct, frozen=True):
    """What a text rests on: the document's place among those of the prompt, its title, and the words cited."""

    document: int
    title: str
    words: str


class TextBlock(Struct):
    """Text of an answer."""

    text: str
    sources: tuple[Source, ...] = ()


class ThinkingBlock(Struct):
    """Reasoning of an answer, signed where the model signs."""

    text: str
    signature: str | None


class RedactedBlock(Struct):
    """Reasoning of an answer that nobody may read: base64."""

    data: str


class ToolBlock(Struct):
    """A tool call of an answer. `raw` is the JSON text of its input, maybe cut short."""

    id: str
    name: str
    raw: str


Block = TextBlock | ThinkingBlock | RedactedBlock | ToolBlock


class Answer(Struct, kw_only=True):
    """One call's answer; `stop_reason` is a word of Converse.

    `extra` are fields that nobody knows, to be sent in a whole answer's document or in the first event of a stream.
    `chop` is the most bytes to send in one piece, so that characters are cut.
    """

    blocks: list[Block]
    stop_reason: str
    stop_sequence: str | None = None
    extra: dict[str, Any] = {}
    chop: int | None = None


def sign_thinking(text: str) -> str:
    """The signature of some reasoning, which only a simulator can make."""
    return base64.b64encode(hmac.digest(_SIGNATURE_KEY, text.encode(), "sha256")).decode()


def seal_thinking(text: str) -> str:
    """Some reasoning in a form that hides it, which only a simulator can make and `open_thinking` reads again."""
    raw = f"{sign_thinking(text)} {text}".encode()
    return base64.b64encode(raw).decode()


def open_thinking(sealed: str) -> str | None:
    """The reasoning in a seal; None when no simulator made it."""
    try:
        signature, _, text = base64.b64decode(sealed, validate=True).decode().partition(" ")
    except ValueError:  # base64's and Unicode's errors are ValueErrors
        return None
    return text if hmac.compare_digest(signature.encode(), sign_thinking(text).encode()) else None


def claude_version(model: str) -> tuple[int, int] | None:
    """The version in a Claude model's id: (4, 5) for `anthropic.claude-sonnet-4-5-20250929-v1:0`; None for others."""
    match = _CLAUDE.search(model)
    return (int(match[1]), int(match[2] or 0)) if match else None


def read_thinking(fields: dict[str, Any]) -> ThinkingWish:
    """The wish to think, from the fields each vendor has for it."""
    thinking, nova = fields.get("thinking"), fields.get("reasoningConfig")
    mode = thinking.get("type") if isinstance(thinking, dict) else None
    if isinstance(thinking, dict) and mode in ("enabled", "adaptive", "between_tools"):
        shown = thinking.get("display") != "omitted"
        return ThinkingWish("enabled" if mode == "enabled" else "adaptive", thinking.get("budget_tokens"), shown)
    if isinstance(nova, dict) and nova.get("type") == "enabled":
        return ThinkingWish("adaptive")
    if fields.get("reasoning_effort") not in (None, "none"):
        return ThinkingWish("adaptive")
    return ThinkingWish()


def pieces_of(text: str, size: int) -> list[str]:
    """A text cut into pieces of `size` characters, as it is streamed."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def parse_cut_json(raw: str) -> Any:
    """The input of a tool call; an empty object when the call was cut short by the token limit."""
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return {}
