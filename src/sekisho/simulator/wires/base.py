"""What a wire is: how one API's requests are read and its answers written. The rest of a call's life is shared."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from sekisho.core.usage import Usage
from sekisho.simulator.errors import Refusal
from sekisho.simulator.http import Request
from sekisho.simulator.prompt import Answer, Prompt

TEXT_PIECE = 12
"""Characters of text in one event of a stream."""
INPUT_PIECE = 20
"""Characters of a tool's input in one event of a stream."""


def names(text: str) -> frozenset[str]:
    """The words of a text, for long lists of fields."""
    return frozenset(text.split())


class Said(Struct, frozen=True, kw_only=True):
    """An answer with all that is told beside it. `id` is the call's, without dashes; `created` in whole seconds."""

    id: str
    created: int
    prompt: Prompt
    answer: Answer
    usage: Usage
    latency_ms: int


class StreamEvent(Struct, frozen=True):
    """One event of a stream: its name, its payload, and the bytes of the model's output that are out once it is sent.

    The payload is a document, or for what is no JSON (`[DONE]`) a text.
    """

    kind: str
    payload: dict[str, Any] | str
    produced: int = 0


class Embedded(Struct, frozen=True, kw_only=True):
    """Vectors as a document, and the tokens of the texts. `headers` are the API's own, names in lower case."""

    document: dict[str, Any]
    tokens: int
    headers: dict[str, str] = {}


class Envelope(ABC):
    """How the events of one stream travel; made anew for each stream."""

    content_type: str

    def headers(self) -> dict[str, str]:
        """Headers beside the content type."""
        return {}

    @abstractmethod
    def wrap(self, event: StreamEvent) -> bytes:
        """The bytes of an event, or of so much of it as goes out now."""

    @abstractmethod
    def fail(self, error: Refusal, event: StreamEvent) -> bytes:
        """The bytes of a failure: the envelope's own kind of message, or `event`, the wire's."""

    @abstractmethod
    def garble(self, event: StreamEvent) -> bytes:
        """What stands where `event` would: bytes that no reader of this envelope can make sense of."""

    def flush(self) -> bytes:
        """What has been held back so far."""
        return b""


class Speaker(ABC):
    """What all kinds of work have in common: that it can be refused."""

    @abstractmethod
    def write_error(self, error: Refusal) -> tuple[int, dict[str, str], dict[str, Any]]:
        """A refusal in the API's own shape: status, headers beside the content type, document."""


class Wire(Speaker):
    """An API for conversations."""

    @abstractmethod
    def read(self, request: Request, model: str) -> Prompt:
        """What is asked, checked against all rules of the API. Raises Refusal."""

    @abstractmethod
    def write(self, said: Said) -> dict[str, Any]:
        """A whole answer."""

    @abstractmethod
    def stream(self, said: Said) -> Iterator[StreamEvent]:
        """The events of a streamed answer, in their order."""

    @abstractmethod
    def envelope(self) -> Envelope:
        """A new envelope for the events of a stream."""

    def break_off(self, said: Said, error: Refusal, after: int) -> StreamEvent:
        """The event that tells of a failure after so many events; unused where the envelope has its own exceptions."""
        return StreamEvent("error", {"message": error.message})

    def headers(self, said: Said) -> dict[str, str]:
        """The API's own headers on a whole answer."""
        return {}


class Counter(Speaker):
    """An API that counts the tokens of a request."""

    @abstractmethod
    def read(self, request: Request, model: str) -> Prompt:
        """What is to be counted. Raises Refusal."""

    @abstractmethod
    def write_count(self, tokens: int) -> dict[str, Any]:
        """The answer."""


class Embedder(Speaker):
    """An API for embeddings."""

    @abstractmethod
    def embed(self, request: Request, model: str) -> Embedded:
        """The vectors of the texts. Raises Refusal."""


class Directory(Speaker):
    """An API that lists models."""

    @abstractmethod
    def list_models(self) -> dict[str, Any]:
        """The models."""
