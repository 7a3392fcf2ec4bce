"""What the gateway asks of a dialect and of an upstream. The rooms that implement these do not know each other.

A call goes from a client's dialect to an upstream's. Where both are of one *family* (one wire format, in whatever
envelope), the body is passed on as it is, except for what must be edited, and so is each event of the answer. Between
families it goes through the neutral form of `core.chat` and `core.events`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

from msgspec import Struct

from sekisho.core.chat import ChatRequest, ClientCall
from sekisho.core.errors import SekishoError
from sekisho.core.events import ChatAnswer, EmbeddingAnswer, Event
from sekisho.core.model import ModelFacts
from sekisho.core.usage import Usage

Operation = Literal["chat", "count_tokens", "embeddings"]
"""What is asked of a model: an answer, how many tokens a request would have, or vectors."""

HeaderPairs = Sequence[tuple[bytes, bytes]]


class Endpoint(Struct, frozen=True, kw_only=True):
    """A path that a client's dialect is spoken on, by POST.

    path: as it is routed, percent-decoded; `{model}` stands for a model's name, which may have slashes in it.
    call_type: the kind of call in usage rows, in LiteLLM's words where it has one.
    stream: whether the answer is a stream, where the path decides; None where the body does.
    """

    path: str
    call_type: str
    operation: Operation = "chat"
    stream: bool | None = None


class Inbound(Struct, frozen=True, kw_only=True):
    """A client's request as its dialect reads it. `model` is what `{model}` stood for; `header` takes lower case."""

    endpoint: Endpoint
    body: bytes
    header: Callable[[str], str | None]
    model: str | None = None


def _tell_nothing() -> int:
    return 0


class AnswerHead(Struct, frozen=True, kw_only=True):
    """What every answer names: the call, the model by the client's own name for it, and when (whole seconds).

    elapsed_ms: how long the call has taken by the time it is asked, for formats that tell it.
    """

    call_id: str
    model: str
    created: int
    elapsed_ms: Callable[[], int] = _tell_nothing


class Piece(Struct, frozen=True, gc=False):
    """One event of an upstream's stream: what it means, and as it came, for clients of the same family.

    name: the event's name in its envelope (SSE's `event:`, an event-stream's `:event-type`), if it has one.
    data: its payload, without the envelope.
    events: the neutral events that it completes; none for events that carry nothing neutral.
    """

    name: str | None
    data: bytes
    events: Sequence[Event] = ()


class StreamWriter(Protocol):
    """Writes one answer as a stream in a client's dialect; each method returns bytes to send, maybe none."""

    def write(self, event: Event) -> bytes:
        """The bytes for one event (a `UsageReport` yields none: `end` carries it)."""
        ...

    def end(self, usage: Usage, cost: int | None) -> bytes:
        """The bytes that end a complete stream; `cost` in nano-dollars, None when the model is unpriced."""
        ...

    def relay(self, piece: Piece) -> bytes:
        """An event of an upstream of the same family, in this dialect's envelope.

        Nothing is written beside relayed pieces but keep-alives and, should the stream break, `fail`.
        """
        ...

    def keep_alive(self) -> bytes:
        """Bytes that keep a silent connection alive and mean nothing to the client; none where there are no such."""
        ...

    def fail(self, error: SekishoError) -> bytes:
        """The bytes that end a broken stream: the dialect's own error event, never a clean end."""
        ...


class ClientDialect(Protocol):
    """A wire format from the server's side: what all its endpoints have in common."""

    @property
    def family(self) -> str:
        """The wire format's name, the same for every dialect and upstream that shares it."""
        ...

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """Where it is spoken."""
        ...

    def read_call(self, inbound: Inbound) -> ClientCall:
        """Reads what concerns the gateway of a request; the rest is read when it is needed. Raises InvalidRequest."""
        ...

    def write_error(self, error: SekishoError) -> bytes:
        """An error as the JSON body of an error response."""
        ...

    def answer_headers(self, call_id: str, usage: Usage | None) -> HeaderPairs:
        """The dialect's own headers on answers and errors, such as the request's id; `usage` where it is known."""
        ...


class ChatClient(ClientDialect, Protocol):
    """A wire format for conversations, from the server's side."""

    @property
    def stream_type(self) -> bytes:
        """The content type of its streams."""
        ...

    def write_answer(self, answer: ChatAnswer, head: AnswerHead, call: ClientCall, cost: int | None) -> bytes:
        """A whole answer as JSON; `cost` in nano-dollars, None when unpriced."""
        ...

    def stream_writer(self, head: AnswerHead, call: ClientCall) -> StreamWriter:
        """A writer for one streamed answer."""
        ...

    def write_count(self, tokens: int) -> bytes:
        """The answer to a question for the number of input tokens."""
        ...


@runtime_checkable
class ContinuingClient(Protocol):
    """What a dialect adds whose calls can go on from an answer that the gateway kept. `kept` is what `keep` made."""

    def builds_on(self, call: ClientCall) -> Sequence[str]:
        """The ids of the kept answers that the call refers to. Raises InvalidRequest."""
        ...

    def resume(self, call: ClientCall, kept: Mapping[str, bytes]) -> None:
        """Puts what was kept, by the answer's id, in place of what refers to it.

        Raises InvalidRequest for what is missing. Must not be called where `builds_on` names nothing.
        """
        ...

    def keep(self, call: ClientCall, answer: bytes) -> tuple[str, bytes] | None:
        """An answer's id, and what is to be kept of it and of the call; None when it cannot be gone on from."""
        ...

    def show_kept(self, kept: bytes) -> bytes:
        """The answer that was kept, as JSON for the client who asks for it again."""
        ...


class KeepingWriter(StreamWriter, Protocol):
    """A stream's writer that also has the answer as a whole, so that it can be kept."""

    @property
    def whole(self) -> bytes | None:
        """The whole answer as JSON, once the stream has properly ended, also when it was relayed."""
        ...


class EmbeddingClient(ClientDialect, Protocol):
    """A wire format for embeddings, from the server's side."""

    def write_embeddings(self, answer: EmbeddingAnswer, head: AnswerHead, call: ClientCall) -> bytes:
        """The vectors as JSON."""
        ...


class WriteOptions(Struct, frozen=True, kw_only=True):
    """How a request is written for an upstream.

    model: the upstream's id of the model, for formats that name it in the body.
    stream: whether the answer is to be a stream, for formats that say so in the body.
    drop_params: drop what cannot be carried even where that may change the meaning, instead of refusing.
    metadata: string pairs the upstream should log with the call.
    ceiling: the most output tokens that may be asked for, of all answers of the call together, whatever the client
      said; None when its own limit, or the model's, stands.
    """

    model: str = ""
    stream: bool = False
    drop_params: bool = False
    metadata: Mapping[str, str] = {}
    ceiling: int | None = None


class WireRequest(Struct, frozen=True, kw_only=True):
    """A request as an upstream's dialect writes it.

    headers: the dialect's own headers beside content type and accept, names in lower case.
    tool_names: the client's name of every tool whose name had to be changed, by its changed name.
    json_tool: the name of the tool that stands in for a JSON answer format, when one does.
    dropped: names of the client's fields that were left out, for the response header.
    native: whether the client's own bytes were passed on, so that the answer's are to be, too.
    digest: the SHA-256 of the body in hexadecimal, where its writer has it at less cost than that of hashing it.
    """

    body: bytes
    headers: Mapping[str, str] = {}
    tool_names: dict[str, str] = {}
    json_tool: str | None = None
    dropped: tuple[str, ...] = ()
    native: bool = False
    digest: str | None = None


class WireAnswer(Struct, frozen=True):
    """An upstream's whole answer. Header names are lower case; of an answer to a conversation nobody reads them."""

    headers: Mapping[str, str]
    body: bytes


class WireFault(Exception):
    """An upstream's stream said it failed, or is not what its format demands (`code` is then `corrupt`).

    `before` are the stream's events that came in the same bytes before it.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.before: tuple[Piece, ...] = ()


class StreamReader(Protocol):
    """Reads one streamed answer of an upstream, from bytes cut anywhere."""

    def feed(self, data: bytes) -> Sequence[Piece]:
        """The stream's events that `data` completes. Raises WireFault."""
        ...

    @property
    def complete(self) -> bool:
        """Whether the stream has come to its proper end (finish and usage were seen)."""
        ...


class UpstreamDialect(Protocol):
    """A wire format for conversations, from the client's side."""

    @property
    def family(self) -> str:
        """The wire format's name, as in `ClientDialect.family`."""
        ...

    def write_request(self, chat: ChatRequest, facts: ModelFacts, options: WriteOptions) -> WireRequest:
        """Writes a conversation for a model. Raises Unsupported for what it must not drop."""
        ...

    def pass_request(self, call: ClientCall, facts: ModelFacts, options: WriteOptions) -> WireRequest | None:
        """Passes on the body of a call of the same family, edited only where the upstream demands it (`native` is set).

        None when something in it has to be translated for this upstream: then `write_request` is used.
        """
        ...

    def read_answer(self, answer: WireAnswer, request: WireRequest) -> ChatAnswer:
        """Reads a whole answer. Raises WireFault."""
        ...

    def stream_reader(self, request: WireRequest) -> StreamReader:
        """A reader for the streamed answer to `request`."""
        ...


class CountingDialect(Protocol):
    """An upstream's dialect that can also ask for the number of input tokens."""

    def write_count_request(self, call: ClientCall, facts: ModelFacts, options: WriteOptions) -> WireRequest:
        """Writes the question for a call of any family. Raises Unsupported."""
        ...

    def read_count(self, answer: WireAnswer) -> int:
        """Reads the number of input tokens. Raises WireFault."""
        ...


class EmbeddingDialect(Protocol):
    """A wire format for embeddings, from the client's side."""

    def write_requests(self, call: ClientCall, facts: ModelFacts, options: WriteOptions) -> Sequence[WireRequest]:
        """Writes the texts for a model, as many requests as it needs. Raises Unsupported."""
        ...

    def read_answers(self, answers: Sequence[WireAnswer]) -> EmbeddingAnswer:
        """Reads the answers to all of them, in their order. Raises WireFault."""
        ...
