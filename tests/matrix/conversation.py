"""What is said to a model and what comes of it, in no API's words: the language of the features and the verdicts."""

from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Tool:
    """A tool that the model may ask for; it takes one string called `path`."""

    name: str

    @property
    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {"path": {"type": "string"}},
            "required": ["path"],
            "additionalProperties": False,
        }


@dataclass(frozen=True)
class Call:
    """A tool call, as the client received it."""

    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Said:
    """The user's turn.

    image, document: a PNG and a PDF, in base64.
    cached: whether the prompt shall be cached up to here.
    """

    text: str
    image: str | None = None
    document: str | None = None
    cached: bool = False

    @property
    def plain(self) -> bool:
        """Whether it is nothing but text."""
        return self.image is None and self.document is None and not self.cached


@dataclass(frozen=True)
class Answered:
    """The model's turn, as an agent of the client's API sends it back: messages or items of that API."""

    native: list[dict[str, Any]]


@dataclass(frozen=True)
class Returned:
    """What the tools said: pairs of a call's id and a text."""

    results: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Conversation:
    """A request, but for the model and whether it is streamed."""

    turns: tuple[Said | Answered | Returned, ...]
    system: str | None = None
    system_cached: bool = False
    tools: tuple[Tool, ...] = ()
    must_call: bool = False
    thinks: bool = False
    stop: tuple[str, ...] = ()
    schema: dict[str, Any] | None = None
    max_tokens: int = 4096

    def go_on(self, outcome: "Outcome", *results: str) -> "Conversation":
        """The next request of a tool loop: what the model said, and the tools' results in the order of its calls."""
        returned = Returned(tuple((call.id, text) for call, text in zip(outcome.calls, results, strict=True)))
        return replace(self, turns=(*self.turns, Answered(outcome.native), returned), must_call=False)


@dataclass
class Outcome:
    """An answer as the client's API tells it.

    finish: `stop`, `tool_calls`, `length` or `content_filter`; None where the answer did not say.
    error: the message of the API's own error, in a body or in the stream.
    whole: whether everything that ends an answer of this API was there.
    native: the model's turn for `Answered`.
    dropped: the client's fields that the gateway says were left out.
    """

    status: int
    text: str = ""
    thinking: str = ""
    calls: list[Call] = field(default_factory=list)
    finish: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    error: str | None = None
    whole: bool = False
    native: list[dict[str, Any]] = field(default_factory=list)
    dropped: str = ""


@dataclass(frozen=True)
class Sent:
    """A request of a client's API."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class Malformed(AssertionError):
    """An answer is not what its API says it must be."""


def expect(condition: object, what: str) -> None:
    """Raises Malformed unless the condition holds."""
    if not condition:
        raise Malformed(what)
