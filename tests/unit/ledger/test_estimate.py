from sekisho.core.usage import Usage
from sekisho.ledger.estimate import Estimator


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
