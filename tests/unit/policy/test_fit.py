"""Which models can carry a conversation that was meant for another, and which would break it."""

from typing import Any

import pytest
from msgspec import Raw, structs

from sekisho.core.chat import (
    CacheMark,
    ChatRequest,
    Document,
    Image,
    Message,
    Part,
    Reasoning,
    RedactedThinking,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from sekisho.core.model import ModelFacts
from sekisho.core.money import Price, Rates
from sekisho.policy.routing.fit import Needs, find_obstacle, is_certainly_too_long, read_needs, weigh_files

CLAUDE = ModelFacts(
    family="claude",
    max_input_tokens=200_000,
    vision=True,
    documents=True,
    thinking="budget",
    cache=frozenset({"system", "tools", "messages"}),
)
PLAIN = ModelFacts(family="other", max_input_tokens=32_000, tools=False)
TOOL = Tool(name="read", schema=Raw(b"{}"))


def chat(*parts: Part, **fields: Any) -> ChatRequest:
    return ChatRequest(system=[Text(text="s")], messages=[Message(role="user", parts=list(parts))], **fields)


def image() -> Image:
    return Image(media_type="image/png", data="aaaa")


@pytest.mark.parametrize(
    ("request_", "needs"),
    [
        (chat(Text(text="hi")), Needs()),
        (chat(Text(text="hi"), tools=[TOOL]), Needs(tools=True)),
        (chat(ToolCall(id="1", name="read", arguments="{}")), Needs(tools=True)),
        (chat(image()), Needs(images=True)),
        (chat(ToolResult(call_id="1", parts=[image()])), Needs(tools=True, images=True)),
        (chat(Document(name="d", data="aaaa")), Needs(documents=True)),
        (chat(Thinking(text="hm", signature="s")), Needs(signed=True)),
        (chat(Thinking(text="hm")), Needs()),
        (chat(RedactedThinking(data="x")), Needs(signed=True)),
        (chat(Text(text="hi", cache=CacheMark())), Needs(cached=True)),
        (chat(reasoning=Reasoning(mode="enabled", budget_tokens=2000)), Needs(reasoning=True)),
        (chat(reasoning=Reasoning(effort="high")), Needs(reasoning=True)),
        (chat(reasoning=Reasoning(effort="none")), Needs()),
        (chat(reasoning=Reasoning(mode="disabled")), Needs()),
        (chat(reasoning=Reasoning(mode="default", effort="high")), Needs()),
    ],
)
def test_what_a_conversation_needs(request_: ChatRequest, needs: Needs) -> None:
    assert read_needs(request_) == needs


@pytest.mark.parametrize(
    ("needs", "obstacle"),
    [
        (Needs(), None),
        (Needs(tools=True), "tools"),
        (Needs(images=True), "images"),
        (Needs(documents=True), "documents"),
        (Needs(reasoning=True), "thinking"),
        (Needs(signed=True), "signed thinking"),
        (Needs(cached=True), "prompt caching"),
        (None, "format"),
    ],
)
def test_a_model_without_the_ability_would_break_it(needs: Needs | None, obstacle: str | None) -> None:
    assert find_obstacle(needs, 5_000, PLAIN, None, CLAUDE) == obstacle
    assert find_obstacle(needs, 5_000, CLAUDE, None, CLAUDE) is None


def test_the_size_of_the_prompt_counts() -> None:
    assert find_obstacle(Needs(), 32_001, PLAIN, None, CLAUDE) == "context size"
    assert find_obstacle(Needs(), 10**9, structs.replace(PLAIN, max_input_tokens=None), None, CLAUDE) is None


def test_caching_is_no_obstacle_where_it_is_done_anyway_or_would_not_be_done() -> None:
    rates = Rates(input=1000, output=5000, cache_read=100, cache_write_5m=1000, cache_write_1h=1000)
    needs = Needs(cached=True)
    assert find_obstacle(needs, 5_000, PLAIN, Price("v", rates), CLAUDE) is None
    assert find_obstacle(needs, 5_000, PLAIN, Price("v", structs.replace(rates, cache_read=1000)), CLAUDE) is not None
    assert find_obstacle(needs, CLAUDE.cache_min_tokens - 1, PLAIN, None, CLAUDE) is None
    assert find_obstacle(needs, 5_000, PLAIN, None, structs.replace(CLAUDE, cache=frozenset())) is None


def test_a_wish_for_thinking_that_the_model_itself_does_not_grant_is_no_obstacle() -> None:
    assert find_obstacle(Needs(reasoning=True), 10, PLAIN, None, structs.replace(CLAUDE, thinking="none")) is None


def test_only_a_clear_excess_is_certain() -> None:
    assert not is_certainly_too_long(210_000, CLAUDE)
    assert is_certainly_too_long(310_000, CLAUDE)
    assert not is_certainly_too_long(10**9, ModelFacts())


def test_files_weigh_what_their_base64_does() -> None:
    nested = ToolResult(call_id="1", parts=[image(), Text(text="long text")])
    assert weigh_files(chat(nested, Document(name="d", data="bb"), Image(url="https://x"), Text(text="t"))) == 6
