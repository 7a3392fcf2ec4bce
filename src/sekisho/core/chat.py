"""The neutral form of a request: what every dialect can read into and write out of.

Used only between different dialects. It keeps binary content as base64 text and JSON documents as raw bytes, so that
nothing is decoded that need not be. What a client sent and the neutral form has no field for stays in `extras` under
the client's own name, so that the upstream's writer can refuse or drop it by its stated rule.

On the hot path a part is told by `type(part) is Text`: where it is another one, `isinstance` of a Struct costs six
times as much.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Literal, final

from msgspec import Raw, Struct

from sekisho.core.beginnings import Beginning


class CacheMark(Struct, frozen=True):
    """A request to cache the prompt up to here."""

    ttl: Literal["5m", "1h"] = "5m"


class Citation(Struct, frozen=True, kw_only=True):
    """What a stretch of an answer's text rests on.

    kind: how the place is told: by characters, pages or content blocks of a document, or as a page of the web.
    document: the number of the document among all documents of the conversation, from 0. `start` and `end` are in the
    unit of `kind`: characters and blocks from 0, pages from 1; the end is excluded.
    """

    kind: Literal["char", "page", "block", "web"]
    cited_text: str | None = None
    title: str | None = None
    document: int | None = None
    start: int | None = None
    end: int | None = None
    url: str | None = None


@final
class Text(Struct, kw_only=True):
    """Plain text. Citations stand in answers, and in assistant turns that are sent back."""

    text: str
    cache: CacheMark | None = None
    citations: list[Citation] = []


@final
class Image(Struct, kw_only=True):
    """A picture, inline (`data`, base64) or still to be fetched (`url`)."""

    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    cache: CacheMark | None = None


@final
class Document(Struct, kw_only=True):
    """A file for the model to read, inline (`data`, base64, plain text too) or still to be fetched (`url`).

    `cited` is whether the model shall cite it.
    """

    name: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    context: str | None = None
    cited: bool = False
    cache: CacheMark | None = None


@final
class Thinking(Struct, kw_only=True):
    """Reasoning the model showed. The signature must travel back verbatim."""

    text: str
    signature: str | None = None


@final
class RedactedThinking(Struct, kw_only=True):
    """Reasoning the model hid: opaque base64, to be sent back verbatim."""

    data: str


@final
class ToolCall(Struct, kw_only=True):
    """The model asks for a tool. `arguments` is the JSON text of an object."""

    id: str
    name: str
    arguments: str
    cache: CacheMark | None = None


@final
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


class KnownTurns(list[Message]):
    """A conversation's turns up to one of the user's that the model has answered: nothing but texts and tool calls.

    Many calls share them, and so they are never changed, nor is any of their parts: who wants to change one puts
    another in its place.
    system: the texts of the system prompt that stood between them. made: as in `KnownTools`.
    """

    __slots__ = ("made", "system")

    def __init__(self, turns: Iterable[Message], system: Iterable[Text], made: dict[Hashable, Any]) -> None:
        super().__init__(turns)
        self.system = tuple(system)
        self.made = made


class Tool(Struct, frozen=True, kw_only=True):
    """A tool the model may ask for; `schema` is the JSON schema of its arguments."""

    name: str
    description: str | None = None
    schema: Raw
    strict: bool | None = None
    cache: CacheMark | None = None


class KnownTools(list[Tool]):
    """Tools that many requests share, and so never changed.

    made: what is made of them for one target or another, under a name of its maker's and all else that it depends on.
    """

    __slots__ = ("made",)

    def __init__(self, tools: Iterable[Tool]) -> None:
        super().__init__(tools)
        self.made: dict[Hashable, Any] = {}


class ToolChoice(Struct, frozen=True):
    """Whether tools may, must or must not be used; `name` only with kind `tool`."""

    kind: Literal["auto", "any", "none", "tool"]
    name: str | None = None


class Reasoning(Struct, frozen=True):
    """How much the model should think. Each field is what the client said, None where it said nothing.

    A mode of None lets the other fields ask for reasoning, as they do in OpenAI's formats. `default` is an effort of
    Anthropic's or Converse's without a word about thinking: it bounds the whole answer and does not start thinking.
    """

    mode: Literal["enabled", "adaptive", "disabled", "default"] | None = None
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    budget_tokens: int | None = None


class ResponseFormat(Struct, frozen=True):
    """JSON wanted as the answer; without `schema`, any object."""

    name: str = "response"
    description: str | None = None
    schema: Raw | None = None
    strict: bool | None = None


class ChatRequest(Struct, kw_only=True):
    """Everything that decides what the model answers.

    `known` are the turns that `messages` begins with, if earlier calls had them, too.
    `made` is, as in `KnownTools`, what is made of all fields but the conversation and the tools, where other calls may
    have the very same: who changes one sets it to None.
    `omitted` names fields of the client's that its dialect could not put into the neutral form and that may be left out
    without harm (tools that another vendor's servers run, hints); the client is told of them.
    """

    system: list[Text]
    messages: list[Message]
    tools: Sequence[Tool] = []
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
    omitted: list[str] = []
    known: KnownTurns | None = None
    made: dict[Hashable, Any] | None = None

    @property
    def new_messages(self) -> list[Message]:
        """The turns behind the known ones, in which there may be anything: pictures, files, marks, reasoning."""
        return self.messages if self.known is None else self.messages[len(self.known) :]


class EmbeddingRequest(Struct, kw_only=True):
    """Texts to be turned into vectors. `input_type` is Cohere's word for what they are for (`search_query`…)."""

    inputs: list[str]
    dimensions: int | None = None
    input_type: str | None = None
    extras: dict[str, object] = {}


class Opening(Struct, frozen=True):
    """How a conversation begins: the texts of its system prompt and of its first user message.

    They stay the same over the turns of a task, and the system prompt's first words tell the agent.
    """

    system: str = ""
    first_user: str = ""


class ClientCall(Struct, kw_only=True):
    """One call as its client sent it: its body, what of it concerns the gateway, and how to read the rest.

    family: the wire format, so that an upstream of the same format can be given the same bytes.
    members: the body's top members by name, each as its own bytes; they are never changed in place.
    beginning: what earlier calls have told of the body's beginning, if anything.
    path: the endpoint's path as its dialect names it (`Endpoint.path`).
    read: reads the body's neutral form, once it is needed. Raises InvalidRequest, or Unsupported, naming the field.
    headers: those of the client's headers that belong to its dialect (`anthropic-beta`…), names in lower case.
    include_usage: whether a stream must end with a usage event.
    session_id, end_user, tags, opening: for attribution, as the next four, which the gateway finds out.
    agent, agent_version: what makes the call, such as `claude-code`.
    agent_id: which of the session's agents calls, where it has several; parent_id: the agent or session that began it.
    continues: the id of the earlier answer that the call goes on from, which only the gateway can know.
    stores: whether the client wants the answer kept, to go on from it; unset by the gateway where nothing is kept.
    answers: how many answers are asked for at once, each of `max_output_tokens`.
    fallbacks, num_retries, timeout and drop_params are wishes of this one request that override the configuration.
    priority: 0 for interactive calls; while calls wait for room, those with higher numbers wait longer.
    """

    model: str | None
    body: bytes
    family: str
    path: str
    read: Callable[[], "ChatRequest | EmbeddingRequest"]
    members: dict[str, Raw] = {}
    beginning: Beginning | None = None
    headers: dict[str, str] = {}
    opening: Opening = Opening()
    max_output_tokens: int | None = None
    answers: int = 1
    stream: bool = False
    include_usage: bool = False
    session_id: str | None = None
    end_user: str | None = None
    tags: list[str] = []
    agent: str | None = None
    agent_version: str | None = None
    agent_id: str | None = None
    parent_id: str | None = None
    metadata: dict[str, object] = {}
    continues: str | None = None
    stores: bool = False
    fallbacks: list[str] | None = None
    num_retries: int | None = None
    timeout: float | None = None
    drop_params: bool | None = None
    priority: int | None = None
    known: ChatRequest | EmbeddingRequest | None = None

    def mentions(self, word: bytes) -> bool:
        """Whether a word stands anywhere in the body.

        It is searched from the end: in texts of 30 KB and more CPython's search from the beginning takes an algorithm
        that is two to three times as slow.
        """
        known = self.beginning
        if known is None:
            return self.body.rfind(word) >= 0
        return known.mentions(word) or known.goes_on_with(word, self.body)

    @property
    def chat(self) -> ChatRequest:
        """The conversation, read when it is first asked for. Raises InvalidRequest naming the field."""
        request = self.request
        assert isinstance(request, ChatRequest)
        return request

    @property
    def embedding(self) -> EmbeddingRequest:
        """The texts to be embedded, read when they are first asked for. Raises InvalidRequest naming the field."""
        request = self.request
        assert isinstance(request, EmbeddingRequest)
        return request

    @property
    def request(self) -> ChatRequest | EmbeddingRequest:
        """The neutral form, read when it is first asked for. Raises InvalidRequest naming the field."""
        if self.known is None:
            self.known = self.read()
        return self.known


FinishReason = Literal["stop", "tool_calls", "length", "content_filter"]
