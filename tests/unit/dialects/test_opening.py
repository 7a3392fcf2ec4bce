"""The opening of a conversation is the same whether its beginning or all of it is decoded."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from sekisho.dialects.common.opening import Turn, read_first_turns, read_texts

LONG = 20_000
"""Characters of a message that make a conversation long."""

_parts = st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text()}), max_size=3)
_turns = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "developer", "assistant", "tool"]), "content": st.text() | _parts}
    ),
    max_size=4,
)


def _opening(turns: list[Turn]) -> list[Turn]:
    """The turns up to the user's first; all when there is none."""
    users = [at for at, turn in enumerate(turns) if turn.role == "user"]
    return turns[: users[0] + 1] if users else turns


def _read(conversation: object, *, indent: int = -1) -> list[Turn]:
    encoded = msgspec.json.encode(conversation)
    return list(read_first_turns(Raw(encoded if indent < 0 else msgspec.json.format(encoded, indent=indent))))


@given(before=_turns, first=st.text(), after=_turns, indent=st.sampled_from([-1, 0, 2]), system=st.booleans())
def test_the_beginning_of_a_long_conversation_tells_as_much(
    before: list[object], first: str, after: list[object], indent: int, system: bool
) -> None:
    long = {"role": "system" if system else "assistant", "content": 'é "\n' * (LONG // 4)}
    whole = [*([long] if system else []), *before, {"role": "user", "content": first}, *after, long]
    told = _opening(_read(whole, indent=indent))
    assert told == _opening(msgspec.convert(whole, list[Turn]))
    assert told[-1] == Turn("user", first)


@pytest.mark.parametrize("size", [10, LONG, 5 * LONG])
def test_a_conversation_without_a_user_is_read_whole(size: int) -> None:
    whole = [{"role": "system", "content": "x" * size}, {"role": "assistant", "content": "y" * size}]
    assert _read(whole) == msgspec.convert(whole, list[Turn])


@pytest.mark.parametrize(
    "value", [None, 1, "user", [1], [{"role": "user"}, 1], {"role": "user"}, '{"role": "user"}' * LONG]
)
def test_what_is_no_conversation_has_no_turns(value: object) -> None:
    assert _read(value) == []


def test_a_number_that_python_does_not_read_hides_nothing() -> None:
    system = b'{"role":"system","content":"%b","number":%b}' % (b"x" * LONG, b"1" * 5000)
    turns = read_first_turns(Raw(b'[%b,{"role":"user","content":"first"}]' % system))
    assert list(turns)[-1] == Turn("user", "first")


def test_texts_of_any_content() -> None:
    assert read_texts("said") == ["said"]
    assert read_texts([{"type": "text", "text": "a"}, {"text": ""}, {"text": 1}, 2, {"image": {}}, {"text": "b"}]) == [
        "a",
        "b",
    ]
    assert read_texts("") == read_texts(None) == read_texts({"text": "a"}) == []
