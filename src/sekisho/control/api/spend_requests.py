"""The bodies of requests about spend."""

from typing import Annotated, Any

from pydantic import Field

from sekisho.control.api.requests import Body, Name


class Calculate(Body):
    """A call whose cost is asked for: what its answer or its `usage` tells, or the messages it will be made of.

    completion_response: an answer in OpenAI's or Anthropic's form; its `model` counts when there is no `model`.
    usage: its usage alone.
    """

    model: Name | None = None
    messages: Annotated[list[Any], Field(max_length=10_000)] | None = None
    completion_response: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None
