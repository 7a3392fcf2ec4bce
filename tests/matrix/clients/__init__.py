"""One module for each client's API, by hand after its public description: the judges of what Sekisho answers."""

from typing import Protocol

from tests.matrix.clients import (
    anthropic_messages,
    bedrock_converse,
    bedrock_invoke,
    openai_chat,
    openai_completions,
    openai_responses,
)
from tests.matrix.conversation import Conversation, Outcome, Sent


class Client(Protocol):
    """A client's API."""

    def build(self, conversation: Conversation, model: str, *, stream: bool) -> Sent:
        """The request that an agent of this API would send."""
        ...

    def read_answer(self, status: int, body: bytes) -> Outcome:
        """A whole answer, or an error. Raises Malformed."""
        ...

    def read_stream(self, body: bytes) -> Outcome:
        """A stream as far as it came. Raises Malformed."""
        ...


CLIENTS: dict[str, Client] = {
    "openai_chat": openai_chat,
    "anthropic_messages": anthropic_messages,
    "openai_responses": openai_responses,
    "bedrock_converse": bedrock_converse,
    "bedrock_invoke": bedrock_invoke,
    "openai_completions": openai_completions,
}
