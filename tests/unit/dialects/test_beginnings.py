"""Bodies that begin as one before are read to the same members as those that nothing is known of."""

from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Raw

from sekisho.core.errors import InvalidRequest
from sekisho.dialects.common.beginnings import Beginnings
from sekisho.dialects.common.members import read_members
from sekisho.dialects.common.opening import read_first_turns

FILE = 'x = [1, 2]  # \\ "quoted"\n' * 900


def turn(number: int, text: str = FILE) -> list[object]:
    call = {"id": f"call_{number}", "type": "function", "function": {"name": "read", "arguments": "{}"}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": f"call_{number}", "content": text},
    ]


START: list[object] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": FILE}]
TWO = [*START, *turn(1), *turn(2)]


def write(messages: object, blanks: bool = False, **others: object) -> bytes:
    body = msgspec.json.encode({"model": "m", "messages": messages, **others})
    return msgspec.json.format(body, indent=1) if blanks else body


def plain(members: dict[str, Raw]) -> dict[str, bytes]:
    return {name: bytes(raw) for name, raw in members.items()}


def check(known: Beginnings, body: bytes) -> bool:
    """Whether something was known of the body, after its members were compared with those read afresh."""
    members, beginning = known.read(body, "messages")
    assert list(plain(members).items()) == list(plain(read_members(body)).items())
    if beginning is None:
        return False
    assert body.startswith(memoryview(beginning.body)[: beginning.end])
    kept = msgspec.json.decode(beginning.body[beginning.start : beginning.end] + b"]")
    assert kept == msgspec.json.decode(members["messages"])[: len(kept)]
    assert kept[-1]["role"] in ("user", "tool")
    return True


@pytest.mark.parametrize("blanks", [False, True])
def test_a_conversation_that_is_gone_on_with_is_known(blanks: bool) -> None:
    known = Beginnings()
    first = write(TWO, blanks, tools=[])
    _, before = known.read(first, "messages")
    assert before is not None
    longer = write([*TWO, *turn(3), *turn(4)], blanks, tools=[], user="u")
    members, after = known.read(longer, "messages")
    assert after is not None
    assert plain(members) == plain(read_members(longer))
    assert after.end > before.end
    assert after.body == longer


def test_other_words_in_the_last_turn_leave_what_is_before_it_known() -> None:
    known = Beginnings()
    _, before = known.read(write([*START, *turn(1), *turn(2, "one")]), "messages")
    _, after = known.read(write([*START, *turn(1), *turn(2, "two")]), "messages")
    assert before is after is not None


def test_marks_that_move_along_leave_what_is_before_them_known() -> None:
    known, ends = Beginnings(), []
    for count in (3, 4, 5):
        messages = [{"role": "user", "content": FILE}, *(each for n in range(count) for each in turn(n))]
        for at in (-1, -3):
            mark = {"cache_control": {"type": "ephemeral"}}
            messages[at] = {"role": "user", "content": [{"type": "text", "text": "File", **mark}]}
        members, beginning = known.read(write(messages), "messages")
        assert plain(members) == plain(read_members(write(messages)))
        assert beginning is not None
        ends.append(len(msgspec.json.decode(beginning.body[beginning.start : beginning.end] + b"]")))
    assert ends == [3, 5, 7]
    assert len(known._known) == 1  # that of the first call has been gone on with


def test_conversations_with_the_same_system_prompt_are_told_apart() -> None:
    known = Beginnings()
    bodies = [write([*START, {"role": "user", "content": name}, *turn(1), *turn(2)]) for name in "abc"]
    ends = {id(known.read(body, "messages")[1]) for body in bodies}
    assert len(ends) == 3
    assert {id(known.read(body, "messages")[1]) for body in bodies} == ends


def test_short_bodies_and_those_without_an_answered_turn_are_not_remembered() -> None:
    known = Beginnings()
    for body in (write([{"role": "user", "content": "Hi"}]), write(START), write("text" * 9000), write([1] * 9000)):
        assert not check(known, body)
        assert not check(known, body)


def test_the_memory_is_bounded_and_what_was_not_used_goes_first() -> None:
    bodies = [write([*START, {"role": "user", "content": str(number)}, *turn(1), *turn(2)]) for number in range(4)]
    known = Beginnings(most_bytes=len(bodies[0]) * 3)
    kept = [known.read(body, "messages")[1] for body in bodies[:3]]
    assert known.read(bodies[0], "messages")[1] is kept[0]
    known.read(bodies[3], "messages")
    assert known.read(bodies[0], "messages")[1] is kept[0]
    assert known.read(bodies[1], "messages")[1] is not kept[1]


def test_a_word_is_found_wherever_it_stands() -> None:
    known = Beginnings()
    _, beginning = known.read(write([*START, *turn(1, FILE + "needle"), *turn(2)]), "messages")
    assert beginning is not None
    assert beginning.mentions(b"needle")
    assert not beginning.mentions(b"haystack")
    longer = write([*START, *turn(1, FILE + "needle"), *turn(2), *turn(3, FILE + "haystack"), *turn(4)])
    _, beginning = known.read(longer, "messages")
    assert beginning is not None
    assert beginning.mentions(b"needle")
    assert beginning.mentions(b"haystack")


@pytest.mark.parametrize("word", [b"needle", b"haystack", b'"user":"u"', b'}],"tools"', b'"}],"tools"', b"nowhere"])
def test_a_word_is_found_wherever_it_stands_behind_a_beginning(word: bytes) -> None:
    known = Beginnings()
    for said in ("needle", "needle", "haystack"):
        body = write([*TWO, *turn(3, said)], tools=[], user="u")
        _, beginning = known.read(body, "messages")
        assert beginning is not None
        assert (beginning.mentions(word) or beginning.goes_on_with(word, body)) == (word in body)


def test_the_first_turns_are_those_of_the_whole_conversation() -> None:
    known = Beginnings()
    members, beginning = known.read(write(TWO), "messages")
    assert beginning is not None
    turns = [turn.content for turn in read_first_turns(members["messages"], beginning)]
    assert turns == [turn.content for turn in read_first_turns(members["messages"])][: len(turns)]
    assert turns == ["Be brief.", FILE]


TAILS = (
    b",", b",]", b"]", b"}", b"", b" ", b"null", b"1", b'"x"', b"[", b"{", b',{"role":"assistant"}', b"]}", b"]}]",
    b',"messages":[]', b',"messages":[1]}', b',"model":"other"', b',"tools":[{"a":"\\u0000\xc3\xa9"}]', b"\\", b'"',
    b',{"role":"tool","content":"\\"]}"}', b' , {"role": "user"} ] , "n" : 123456789012345678901234567890 }', b"\xff",
)  # fmt: skip


def ends(body: bytes) -> Iterator[int]:
    """Places between turns, and a few others."""
    at = -1
    while (at := body.find(b'{"role"', at + 1)) >= 0:
        yield from (at - 1, at)
    yield from (len(body) - 1, len(body) - 2, len(body) // 2)


@given(
    cut=st.sampled_from(sorted({*ends(write(TWO, tools=[])), *ends(write(TWO))})),
    tail=st.lists(st.sampled_from(TAILS), max_size=4).map(b"".join),
    model=st.booleans(),
)
@example(cut=0, tail=b"", model=False)
def test_what_follows_a_known_beginning_is_read_as_ever(cut: int, tail: bytes, model: bool) -> None:
    known = Beginnings()
    assert check(known, write(TWO, tools=[]))
    body = write(TWO, tools=[])[:cut] + tail
    if model:  # the members before the conversation count, too
        body = body.replace(b'"m"', b'"n"', 1)
    try:
        read_members(body)
    except InvalidRequest:
        with pytest.raises(InvalidRequest):
            known.read(body, "messages")
        return
    check(known, body)
    check(known, body)


MIDDLES = (*TAILS, b'],"x":[1', b'],"messages":[1', b'],"tools":["]', b',{"role":"user"}', b',{"role":"tool"', b" ,1")


@given(st.lists(st.lists(st.sampled_from(MIDDLES), max_size=3).map(b"".join), min_size=1, max_size=3), st.booleans())
def test_what_stands_before_a_known_tail_is_read_as_ever(middles: list[bytes], longer: bool) -> None:
    known, end = Beginnings(), b'],"tools":["]}"],"user":"u"}'
    begun = write(TWO, tools=["]}"], user="u").removesuffix(end)
    for middle in (b"", b"", b',{"role":"assistant"},{"role":"user"}' if longer else b"", *middles):
        body = begun + middle + end
        try:
            read_members(body)
        except InvalidRequest:
            with pytest.raises(InvalidRequest):
                known.read(body, "messages")
        else:
            check(known, body)


CHANGES = (
    b"", b'],"a":1', b'],"system":[{"text":"1"}]', b'],"system":[{"text":"2"}]', b',{"role":"user"}],"tools":[1]',
    b'],"messages":[1]', b'],"a":{"b":[', b'],"a":"', b"]", b"],", b'] , "tools" : []',
)  # fmt: skip


@given(st.lists(st.sampled_from(CHANGES), min_size=1, max_size=6), st.booleans())
def test_a_tail_of_which_only_a_part_stays_is_read_as_ever(changes: list[bytes], model: bool) -> None:
    known, end = Beginnings(), b',"tools":[{"name":",\\"n\\":1}"},"%b"],"n":{"n":[1]}}' % (b"t" * 2000)
    begun = write(TWO).removesuffix(b"]}")
    for change in (b'],"system":[{"text":"0"}]', b'],"system":[{"text":"3"}]', *changes):
        body = begun + change + end
        if model:
            body = body.replace(b'"n":{', b'"n":{"m":1,', 1) if change == changes[-1] else body
        try:
            read_members(body)
        except InvalidRequest:
            with pytest.raises(InvalidRequest):
                known.read(body, "messages")
        else:
            check(known, body)


def test_members_that_stay_the_same_behind_one_that_changes_are_the_very_same() -> None:
    known = Beginnings()
    tools = [{"name": "read", "description": "t" * 2000}]
    read = [known.read(write(TWO, system=[{"text": str(n)}], tools=tools, n=1), "messages")[0] for n in range(5)]
    assert read[3]["tools"] is read[4]["tools"]
    assert [bytes(members["system"]) for members in read] == [b'[{"text":"%d"}]' % n for n in range(5)]


@pytest.mark.parametrize(
    "body",
    [
        b'{"messages":1,"model":"m","messages":%b}',
        b'{"messages":[],"messages":%b}',
        b'{"a":{"messages":%b},"messages":%b}',
        b'{"a":%b,"messages":%b}',
        b'{"messages":%b,"messages":%b,"b":1}',
        b'{"messages":%b,"messages":[]}',
        b'{"\\u006dessages":%b}',
        b'{"messages" : %b , "x":1}',
        b' {"x":"[","messages":%b}\n',
    ],
)
def test_members_told_twice_or_in_odd_ways_are_read_as_ever(body: bytes) -> None:
    known = Beginnings()
    for messages in (TWO, [*TWO, *turn(3)], [*TWO, *turn(3), *turn(4)], TWO):
        check(known, body.replace(b"%b", msgspec.json.encode(messages)))
