"""The neutral form of a conversation turn: what every dialect can read into and write out of.

Used only between different dialects. It keeps binary content as base64 text and JSON documents as raw bytes, so that
nothing is decoded that need not be. What a client sent and the neutral form has no field for stays in `extras` under
the client's own name, so that the upstream's writer can refuse or drop it by its stated rule.
"""

from typing import Literal

from msgspec import Raw, Struct


class CacheMark(Struct, frozen=True):
    """A request to cache the prompt up to here."""

    ttl: Literal["5m", "1h"] = "5m"


class Text(Struct, kw_only=True):
    """Plain text."""

    text: str
    cache: CacheMark | None = None


class Image(Struct, kw_only=True):
    """A picture, inline (`data`, base64) or still to be fetched (`url`)."""

    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    cache: CacheMark | None = None


class Document(Struct, kw_only=True):
    """A file for the model to read, inline as base64 `data`."""

    name: str
    media_type: str
    data: str
    cache: CacheMark | None = None


class Thinking(Struct, kw_only=True):
    """Reasoning the model showed. The signature must travel back verbatim."""

    text: str
    signature: str | None = None


class RedactedThinking(Struct, kw_only=True):
    """Reasoning the model hid: opaque base64, to be sent back verbatim."""

    data: str


class ToolCall(Struct, kw_only=True):
    """The model asks for a tool. `arguments` is the JSON text of an object."""

    id: str
    name: str
    arguments: str
    cache: CacheMark | None = None


class ToolResult(Struct, kw_only=True):
    """What a tool answered."""

    call_id: str
    parts: list[Text | Image | Document]
    is_error: bool = False
    cache: CacheMark | None = None


Part = Text | Image | Document | Thinking | RedactedThinking | ToolCall | ToolResult


class Message(Struct, kw_only=True):
    """One turn. Tool results stand in user turns."""

    role: Literal["user", "assistant"]
    parts: list[Part]


class Tool(Struct, kw_only=True):
    """A tool the model may ask for; `schema` is the JSON schema of its arguments."""

    name: str
    description: str | None = None
    schema: Raw
    strict: bool | None = None
    cache: CacheMark | None = None


class ToolChoice(Struct, frozen=True):
    """Whether tools may, must or must not be used; `name` only with kind `tool`."""

    kind: Literal["auto", "any", "none", "tool"]
    name: str | None = None


class Reasoning(Struct, frozen=True):
    """How much the model should think. Each field is what the client said, None where it said nothing."""

    mode: Literal["enabled", "adaptive", "disabled"] | None = None
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    budget_tokens: int | None = None


class ResponseFormat(Struct, frozen=True):
    """JSON wanted as the answer; without `schema`, any object."""

    name: str = "response"
    description: str | None = None
    schema: Raw | None = None
    strict: bool | None = None


class ChatRequest(Struct, kw_only=True):
    """Everything that decides what the model answers."""

    system: list[Text]
    messages: list[Message]
    tools: list[Tool] = []
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: list[str] = []
    reasoning: Reasoning | None = None
    response_format: ResponseFormat | None = None
    service_tier: str | None = None
    extras: dict[str, object] = {}


class ClientCall(Struct, kw_only=True):
    """One call as its client sent it: the conversation, and what concerns only the gateway.

    `include_usage` is whether a stream must end with a usage event; `session_id`, `end_user` and `tags` are for
    attribution; the last four are wishes of this one request that override the configuration.
    """

    model: str | None
    chat: ChatRequest
    stream: bool = False
    include_usage: bool = False
    session_id: str | None = None
    end_user: str | None = None
    tags: list[str] = []
    metadata: dict[str, object] = {}
    fallbacks: list[str] | None = None
    num_retries: int | None = None
    timeout: float | None = None
    drop_params: bool | None = None


FinishReason = Literal["stop", "tool_calls", "length", "content_filter"]
