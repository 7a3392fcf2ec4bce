from sekisho.core.chat import ChatRequest, Image, Message, Text, ToolResult
from sekisho.core.usage import Usage
from sekisho.ledger.estimate import Estimator, weigh_request


def test_an_unknown_model_is_held_for_a_modest_answer_within_its_ceiling() -> None:
    estimator = Estimator()
    assert estimator.estimate("m", 4000, 64_000) == Usage(input=1000, output=257)
    assert estimator.estimate("m", 4000, 10) == Usage(input=1000, output=10)


def test_estimates_follow_what_the_model_really_uses() -> None:
    estimator = Estimator()
    for _ in range(60):
        estimator.learn("m", 6000, Usage(input=1000, cache_read=1000, output=40))
    estimate = estimator.estimate("m", 6000, 64_000)
    assert 1990 <= estimate.input <= 2010
    assert 40 <= estimate.output <= 42


def test_a_lying_upstream_cannot_make_estimates_absurd() -> None:
    estimator = Estimator()
    estimator.learn("m", 1000, Usage(input=10**12, output=0))
    assert estimator.input_tokens("m", 1000) <= 1000


def test_small_requests_do_not_decide_how_long_ones_are_counted() -> None:
    estimator = Estimator()
    for _ in range(50):
        estimator.learn("m", 200, Usage(input=10, output=5))
    assert estimator.input_tokens("m", 40_000) == 10_000


def test_an_answer_is_counted_by_its_bytes_rounded_up() -> None:
    estimator = Estimator()
    assert [estimator.output_tokens(size) for size in (0, 1, 4, 5)] == [0, 1, 1, 2]


def test_pictures_weigh_what_models_make_of_them() -> None:
    picture = Image(media_type="image/png", data="A" * 1_000_000)
    result = ToolResult(call_id="c", parts=[picture])
    chat = ChatRequest(system=[], messages=[Message(role="user", parts=[Text(text="look"), picture, result])])
    assert weigh_request(chat, 2_000_400) == 400 + 2 * 6000
