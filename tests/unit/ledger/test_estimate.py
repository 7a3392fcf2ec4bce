from functools import partial

import pytest

from sekisho.core.chat import ChatRequest, ClientCall, Image, Message, Text, ToolResult
from sekisho.core.usage import Usage
from sekisho.ledger import estimate
from sekisho.ledger.estimate import Estimator, weigh_call, weigh_request


def call(body: bytes, *messages: Message) -> ClientCall:
    read = partial(ChatRequest, system=[], messages=list(messages))
    return ClientCall(model="m", body=body, family="test", path="/test", read=read)


def test_an_unknown_model_is_guessed_low() -> None:
    estimator = Estimator()
    assert estimator.input_tokens("new", 400) == 100
    assert estimator.most_input(["new"], 400) == 125
    assert estimator.expect("alice", "new", 4_000).output == 257
    assert estimator.input_tokens("new", 0) == 1


def test_it_learns_what_calls_really_use() -> None:
    estimator = Estimator()
    for _ in range(60):
        estimator.learn("alice", "m", 30_000, Usage(input=10_000, output=1_000))
    assert 9_900 <= estimator.input_tokens("m", 30_000) <= 10_100
    assert 12_400 <= estimator.most_input(["m"], 30_000) <= 12_600
    assert 990 <= estimator.expect("alice", "m", 4_000).output <= 1_001


def test_a_key_has_habits_of_its_own() -> None:
    estimator = Estimator()
    for _ in range(60):
        estimator.learn("wordy", "m", 300, Usage(input=80, output=1_000))
        estimator.learn("terse", "m", 300, Usage(input=80, output=10))
    assert estimator.expect("wordy", "m", 4_000).output == 1_001
    assert estimator.expect("terse", "m", 4_000).output == 11
    assert 10 < estimator.expect("new", "m", 4_000).output < 1_000


def test_short_requests_say_nothing_about_long_ones() -> None:
    estimator = Estimator()
    estimator.learn("alice", "m", 200, Usage(input=10, output=5))
    assert estimator.input_tokens("m", 4_000) == 1_000


def test_pictures_count_by_what_models_make_of_them() -> None:
    picture = Image(media_type="image/png", data="A" * 2_000_000)
    chat = ChatRequest(
        system=[],
        messages=[
            Message(role="user", parts=[Text(text="What is this?"), picture]),
            Message(role="user", parts=[ToolResult(call_id="1", parts=[picture])]),
        ],
    )
    assert weigh_request(chat, 4_000_200) == 200 + 2 * 6000


def test_only_a_body_that_may_hold_pictures_is_read() -> None:
    picture = Image(media_type="image/png", data="A" * 50_000)
    message = Message(role="user", parts=[picture])
    assert weigh_call(call(b'{"type":"base64","data":"' + b"A" * 50_000 + b'"}', message)) < 6100
    words = b'{"content":"' + b"some words about base64 " * 4000 + b'"}'
    assert weigh_call(call(words, message)) == len(words)


def test_tools_weigh_what_their_service_adds() -> None:
    assert weigh_call(call(b'{"messages":[]}')) == 15
    assert weigh_call(call(b'{"tools":[]}')) > 1000


def test_text_that_is_not_latin_weighs_more() -> None:
    body = '{"content":"関所"}'.encode()
    assert weigh_call(call(body)) == len('{"content":""}') + 2 * 5


def test_it_remembers_no_more_than_it_should(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "_REMEMBERED", 2)
    estimator = Estimator()
    for name in ("a", "b", "a", "c"):
        estimator.learn(name, "m", 100, Usage(input=10, output=1_000))
    estimator.learn("other", "m", 100, Usage(input=10, output=0))
    for _ in range(60):
        estimator.learn("c", "m", 100, Usage(input=10, output=0))
    assert estimator.expect("a", "m", 4_000).output < 1_000


def test_a_lying_upstream_cannot_make_estimates_absurd() -> None:
    estimator = Estimator()
    estimator.learn("alice", "m", 1000, Usage(input=10**12, output=0))
    assert estimator.most_input(["m"], 1000) <= 1250


def test_an_answer_is_counted_by_its_bytes_rounded_up() -> None:
    estimator = Estimator()
    assert [estimator.output_tokens(size) for size in (0, 1, 4, 5)] == [0, 1, 1, 2]
