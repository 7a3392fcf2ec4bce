from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.bedrock import CLAUDE, user

from sekisho.core.clock import ManualClock
from sekisho.core.usage import Usage
from sekisho.simulator.accounting import PromptCache, count_output, count_prompt, truncate
from sekisho.simulator.prompt import Answer, Prompt, TextBlock, ThinkingBlock, ToolBlock
from sekisho.simulator.wires.converse.read import read_converse

QUARTER = ("1", "us-east-1", CLAUDE)
TEXT = "x" * 4000


def point(ttl: str = "5m") -> dict[str, Any]:
    return {"cachePoint": {"type": "default", "ttl": ttl}}


def prompt_of(*content: str | dict[str, Any]) -> Prompt:
    return read_converse(CLAUDE, {"messages": [user(*content)]})


def test_a_cached_prefix_lives_as_long_as_it_is_read() -> None:
    clock = ManualClock()
    cache = PromptCache(clock, 1000)
    prompt = prompt_of(TEXT, point())
    assert cache.account(QUARTER, prompt).cache_write_5m == 1000
    for _ in range(3):
        clock.advance(299)
        assert cache.account(QUARTER, prompt).cache_read == 1000
    clock.advance(301)
    assert cache.account(QUARTER, prompt).cache_write_5m == 1000


def test_an_hour_is_an_hour() -> None:
    clock = ManualClock()
    cache = PromptCache(clock, 1000)
    assert cache.account(QUARTER, prompt_of(TEXT, point("1h"))).cache_write_1h == 1000
    clock.advance(3599)
    usage = cache.account(QUARTER, prompt_of(TEXT, point("1h"), "tail", point()))
    assert (usage.cache_read, usage.cache_write_5m, usage.cache_write_1h) == (1000, 1, 0)


def test_a_short_prefix_is_not_cached() -> None:
    cache = PromptCache(ManualClock(), 1001)
    for _ in range(2):
        usage = cache.account(QUARTER, prompt_of(TEXT, point()))
        assert (usage.input, usage.cache_read, usage.cache_write) == (1000, 0, 0)


def test_accounts_and_regions_do_not_share() -> None:
    cache = PromptCache(ManualClock(), 1000)
    cache.account(QUARTER, prompt_of(TEXT, point()))
    for other in (("2", "us-east-1", CLAUDE), ("1", "us-west-2", CLAUDE)):
        assert cache.account(other, prompt_of(TEXT, point())).cache_read == 0


def test_without_marks_every_long_prefix_is_cached_and_only_reading_is_told() -> None:
    cache = PromptCache(ManualClock(), 1000)
    first, longer = prompt_of(TEXT), prompt_of(TEXT, "tail")
    for prompt in (first, longer):
        prompt.cached_by_itself = True
    assert cache.account(QUARTER, first) == Usage(input=1000)
    assert cache.account(QUARTER, longer) == Usage(input=1, cache_read=1000)
    assert cache.account(QUARTER, longer) == Usage(cache_read=1001)


@given(st.lists(st.tuples(st.text(min_size=1, max_size=50), st.booleans()), min_size=1, max_size=8))
def test_no_token_is_lost_or_counted_twice(parts: list[tuple[str, bool]]) -> None:
    content: list[str | dict[str, Any]] = []
    for text, marked in parts:
        content += [text, point()] if marked else [text]
    prompt = prompt_of(*content)
    cache = PromptCache(ManualClock(), 3)
    first, second = (cache.account(QUARTER, prompt) for _ in range(2))
    assert first.prompt == second.prompt == count_prompt(prompt)
    assert first.cache_read == second.cache_write == 0
    assert second.cache_read == first.cache_write


@given(st.text(max_size=80), st.text(max_size=80), st.integers(1, 60))
def test_an_answer_is_never_longer_than_allowed(thinking: str, text: str, limit: int) -> None:
    answer = Answer(
        blocks=[ThinkingBlock(thinking, "s"), TextBlock(text), ToolBlock("t", "bash", '{"command":"ls"}')],
        stop_reason="tool_use",
    )
    cut = truncate(answer, limit)
    assert count_output(cut).output <= limit
    if count_output(answer).output <= limit:
        assert cut == answer
    else:
        assert cut.stop_reason == "max_tokens"
