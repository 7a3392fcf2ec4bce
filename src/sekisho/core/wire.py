"""What the gateway asks of a dialect and of an upstream. The rooms that implement these do not know each other."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from sekisho.core.chat import ChatRequest, ClientCall
from sekisho.core.clock import Clock
from sekisho.core.errors import SekishoError, UpstreamError
from sekisho.core.events import ChatAnswer, Event
from sekisho.core.model import ModelFacts
from sekisho.core.money import Price
from sekisho.core.usage import Usage


class AnswerHead(Struct, frozen=True, kw_only=True):
    """What every answer names: the call, the model by the client's own name for it, and when (whole seconds)."""

    call_id: str
    model: str
    created: int


class StreamWriter(Protocol):
    """Writes one answer as a stream in a client's dialect; each method returns bytes to send, maybe none."""

    def write(self, event: Event) -> bytes:
        """The bytes for one event (a `UsageReport` yields none: `end` carries it)."""
        ...

    def end(self, usage: Usage, cost: int | None) -> bytes:
        """The bytes that end a complete stream; `cost` in nano-dollars, None when the model is unpriced."""
        ...

    def fail(self, error: SekishoError) -> bytes:
        """The bytes that end a broken stream: the dialect's own error event, never a clean end."""
        ...


class ClientDialect(Protocol):
    """A wire format from the server's side."""

    def read_request(self, body: bytes) -> ClientCall:
        """Reads a request body. Raises InvalidRequest naming the field."""
        ...

    def write_answer(self, answer: ChatAnswer, head: AnswerHead, cost: int | None) -> bytes:
        """A whole answer as JSON; `cost` in nano-dollars, None when unpriced."""
        ...

    def stream_writer(self, head: AnswerHead, *, include_usage: bool) -> StreamWriter:
        """A writer for one streamed answer."""
        ...

    def write_error(self, error: SekishoError) -> bytes:
        """An error as the JSON body of an error response."""
        ...


class WriteOptions(Struct, frozen=True, kw_only=True):
    """How a request is written for an upstream.

    drop_params: drop what cannot be carried even where that may change the meaning, instead of refusing.
    metadata: string pairs the upstream should log with the call.
    """

    drop_params: bool = False
    metadata: Mapping[str, str] = {}


class WireRequest(Struct, frozen=True, kw_only=True):
    """A request as an upstream's dialect writes it.

    tool_names: the client's name of every tool whose name had to be changed, by its changed name.
    json_tool: the name of the tool that stands in for a JSON answer format, when one does.
    dropped: names of the client's fields that were left out, for the response header.
    """

    body: bytes
    tool_names: dict[str, str] = {}
    json_tool: str | None = None
    dropped: tuple[str, ...] = ()


class WireFault(Exception):
    """An upstream's stream said it failed, or is not what its format demands (`code` is then `corrupt`)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class StreamReader(Protocol):
    """Reads one streamed answer of an upstream, from bytes cut anywhere."""

    def feed(self, data: bytes) -> Sequence[Event]:
        """The events that `data` completes. Raises WireFault."""
        ...

    @property
    def complete(self) -> bool:
        """Whether the stream has come to its proper end (finish and usage were seen)."""
        ...


class UpstreamDialect(Protocol):
    """A wire format from the client's side."""

    def write_request(self, chat: ChatRequest, facts: ModelFacts, options: WriteOptions) -> WireRequest:
        """Writes a conversation for a model. Raises Unsupported for what it must not drop."""
        ...

    def read_answer(self, body: bytes, request: WireRequest) -> ChatAnswer:
        """Reads a whole answer. Raises WireFault."""
        ...

    def stream_reader(self, request: WireRequest) -> StreamReader:
        """A reader for the streamed answer to `request`."""
        ...


class SignedRequest(Struct, frozen=True):
    """Where to POST the body, and with which headers; nothing may be changed after signing."""

    url: str
    headers: dict[str, str]


class Target(Protocol):
    """One deployment as its provider sees it: where it is, what its model can do, and how to call it."""

    @property
    def deployment_id(self) -> str:
        """The deployment's id."""
        ...

    @property
    def model_name(self) -> str:
        """The name of the model group it serves."""
        ...

    @property
    def provider(self) -> str:
        """The name of the provider folder."""
        ...

    @property
    def upstream_model(self) -> str:
        """The upstream's own id of the model."""
        ...

    @property
    def dialect(self) -> str:
        """The name of the dialect folder it speaks."""
        ...

    @property
    def facts(self) -> ModelFacts:
        """Limits and abilities of the model."""
        ...

    @property
    def price(self) -> Price | None:
        """The price now; None when unpriced."""
        ...

    @property
    def account(self) -> str | None:
        """The upstream account it bills to, where known without asking."""
        ...

    @property
    def region(self) -> str | None:
        """The upstream region."""
        ...

    @property
    def bucket(self) -> str:
        """The quota it draws on: deployments with the same bucket are throttled together."""
        ...

    @property
    def simulated(self) -> bool:
        """Whether it is served by the local counterpart instead of the real upstream."""
        ...

    async def sign(self, body: bytes, *, stream: bool) -> SignedRequest:
        """Address and sign a request. Raises UpstreamError when no credentials can be had."""
        ...

    def classify_response(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """What an error response means. Header names are lower case."""
        ...

    def classify_fault(self, fault: WireFault) -> UpstreamError:
        """What a fault inside a stream means."""
        ...


class Counterpart(Struct, frozen=True, kw_only=True):
    """A local stand-in for an upstream, and the key pair it accepts."""

    url: str
    access_key_id: str
    secret_access_key: str


class ProviderEnvironment(Struct, frozen=True, kw_only=True):
    """What a provider is given beside a deployment.

    `counterpart` is set only when it is to be used: by targets that depend on credentials which were not found.
    """

    clock: Clock
    counterpart: Counterpart | None = None
