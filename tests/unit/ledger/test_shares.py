"""Limits in time that several workers share: each uses only what it was granted."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.grants import MemoryGrants

from sekisho.core.caller import ModelLimits, Scope
from sekisho.core.clock import ManualClock
from sekisho.core.errors import AccessDenied, RateLimited, StoreUnavailable
from sekisho.core.escrow import RateGrant, RateWant
from sekisho.ledger import shares as shares_module
from sekisho.ledger.rates import RateLimits, Remaining


def team(**limits: int) -> list[Scope]:
    return [Scope(kind="team", id="t", alias="backend", **limits)]  # type: ignore[arg-type]  # limits are integers


class Setting:
    """Workers with one clock and one store."""

    def __init__(self, workers: int = 1) -> None:
        self.clock = ManualClock()
        self.grants = MemoryGrants(self.clock)
        self.workers = [RateLimits(self.clock, self.grants) for _ in range(workers)]
        self.admitted: list[tuple[float, int]] = []

    async def call(self, scopes: list[Scope], tokens: int = 10, *, who: int = 0, used: int | None = None) -> None:
        parts = await self.workers[who].take(scopes, "sonnet", tokens)
        self.admitted.append((self.clock.now(), tokens))
        self.workers[who].settle(parts, tokens if used is None else used)

    async def renew(self) -> None:
        for worker in self.workers:
            assert worker._renewal is not None
            await worker._renewal.renew(list(worker._shares.values()))


async def test_calls_that_ask_together_never_pass_the_limit() -> None:
    """Each finds that there is room, and waits for another limit; then there is room for one of them only."""
    setting = Setting()
    scopes = [*team(rpm_limit=3), Scope(kind="user", id="u", rpm_limit=100)]
    results = await asyncio.gather(*(setting.call(scopes) for _ in range(10)), return_exceptions=True)
    assert sum(result is None for result in results) == 3
    assert all(result is None or isinstance(result, RateLimited) for result in results)
    assert setting.grants.asked <= 5


async def test_what_came_for_a_waiting_call_is_nobody_elses() -> None:
    setting = Setting()
    scopes = team(rpm_limit=1)
    setting.grants.gate = asyncio.Event()
    first = asyncio.create_task(setting.call(scopes))
    for _ in range(5):
        await asyncio.sleep(0)
    assert setting.grants.asked == 1
    late = asyncio.create_task(setting.call(scopes))
    setting.grants.gate.set()
    await first
    with pytest.raises(RateLimited):
        await late


async def test_calls_that_come_one_after_the_other_do_not_take_from_each_other_what_they_wait_for() -> None:
    """Each asks while the answer for the one before is on its way, and for two limits at that."""
    setting = Setting()
    scopes = [*team(rpm_limit=1000, tpm_limit=100_000), Scope(kind="user", id="u", rpm_limit=1000)]
    exchange = setting.grants.exchange

    async def slow(wants: Sequence[RateWant]) -> list[RateGrant]:
        for _ in range(3):
            await asyncio.sleep(0)
        return await exchange(wants)

    setting.grants.exchange = slow  # type: ignore[method-assign]
    calls = []
    for _ in range(40):
        calls.append(asyncio.create_task(setting.call(scopes)))
        await asyncio.sleep(0)
    await asyncio.gather(*calls)
    assert setting.grants.asked <= 40


@pytest.mark.parametrize("turns", range(8))
async def test_a_call_that_is_given_up_while_it_waits_leaves_nothing_behind(turns: int) -> None:
    setting = Setting()
    scopes = [*team(rpm_limit=1), Scope(kind="user", id="u", tpm_limit=10)]
    call = asyncio.create_task(setting.call(scopes))
    for _ in range(turns):
        await asyncio.sleep(0)
    call.cancel()
    with suppress(asyncio.CancelledError):
        await call
    if setting.admitted:  # it was over before it could be given up
        return
    await setting.call(scopes)


async def test_workers_together_stay_within_the_limit() -> None:
    setting = Setting(workers=3)
    for number in range(60):
        with suppress(RateLimited):
            await setting.call(team(rpm_limit=20), who=number % 3)
    assert len(setting.admitted) == 20
    with pytest.raises(RateLimited, match=r"team 'backend'.*20 of 20 requests per minute") as refused:
        await setting.call(team(rpm_limit=20))
    assert refused.value.retry_after == 30.0


async def test_a_limit_in_use_is_renewed_in_the_background_and_given_back_when_it_is_not() -> None:
    setting = Setting()
    scopes = team(rpm_limit=1_000)
    for _ in range(20):
        for _ in range(10):
            await setting.call(scopes)
        setting.clock.advance(1)
        await setting.renew()
    asked = setting.grants.asked
    assert asked <= 30
    for _ in range(6):
        await setting.call(scopes)
    assert setting.grants.asked == asked
    setting.clock.advance(4)
    await setting.renew()
    assert setting.grants.used("team:t:rpm") == 206
    await setting.renew()
    assert setting.grants.asked == asked + 1  # nothing is left to say


async def test_while_a_limit_is_renewed_calls_go_on_with_what_is_left_of_it() -> None:
    setting = Setting()
    scopes = team(rpm_limit=1_000)
    for _ in range(2):
        for _ in range(10):
            await setting.call(scopes)
        setting.clock.advance(1)
        await setting.renew()
    asked, setting.grants.gate = setting.grants.asked, asyncio.Event()
    setting.clock.advance(1)
    renewing = asyncio.create_task(setting.renew())
    await asyncio.sleep(0)
    assert setting.grants.asked == asked + 1
    for _ in range(5):
        await asyncio.wait_for(setting.call(scopes), 1)
    setting.grants.gate.set()
    await renewing
    assert setting.grants.asked == asked + 1
    setting.clock.advance(4)
    await setting.renew()
    assert setting.grants.used("team:t:rpm") == 25


async def test_tokens_that_were_not_used_go_back_to_everyone() -> None:
    setting = Setting(workers=2)
    scopes = team(tpm_limit=1_000)
    await setting.call(scopes, 900, used=100)
    with pytest.raises(RateLimited):
        await setting.call(scopes, 500, who=1)
    await setting.call(scopes, 850)  # the same worker has them still
    setting.clock.advance(5)
    await setting.renew()
    assert setting.grants.used("team:t:tpm") == 950
    await setting.call(scopes, 50, who=1)


async def test_tokens_beyond_what_was_expected_count_too() -> None:
    setting = Setting(workers=2)
    scopes = team(tpm_limit=1_000)
    await setting.call(scopes, 100, used=950)
    await setting.renew()
    with pytest.raises(RateLimited, match="of 1000 tokens per minute"):
        await setting.call(scopes, 100, who=1)


async def test_a_call_too_big_for_the_limit_passes_when_nothing_else_does() -> None:
    setting = Setting(workers=2)
    scopes = team(tpm_limit=100)
    await setting.call(scopes, 500)
    with pytest.raises(RateLimited):
        await setting.call(scopes, 1, who=1)
    setting.clock.advance(64)
    await setting.call(scopes, 500, who=1)


async def test_a_limit_of_nothing_admits_nothing() -> None:
    for field in ("rpm_limit", "tpm_limit", "tpd_limit"):
        with pytest.raises(AccessDenied, match="may make no calls: its limit is 0 "):
            await Setting().call(team(**{field: 0}))


def told(setting: Setting, workers: int) -> None:
    for worker in setting.workers:
        worker.heard(workers)


async def count_admitted(setting: Setting, scopes: list[Scope], attempts: int, *, who: int, tokens: int = 10) -> int:
    before = len(setting.admitted)
    for _ in range(attempts):
        with suppress(StoreUnavailable):
            await setting.call(scopes, tokens, who=who)
    return len(setting.admitted) - before


async def test_with_the_database_away_a_worker_goes_on_at_its_pace_or_its_even_share() -> None:
    setting = Setting(workers=2)
    told(setting, 2)
    scopes = team(rpm_limit=100)
    for _ in range(70):
        await setting.call(scopes)
    setting.clock.advance(40)
    setting.grants.away = True
    assert await count_admitted(setting, scopes, 10, who=0) == 0  # it had seventy in this minute, and they still count
    assert await count_admitted(setting, scopes, 100, who=1) == 50  # it had none
    setting.clock.advance(24)
    assert await count_admitted(setting, scopes, 100, who=0) == 70
    assert await count_admitted(setting, scopes, 100, who=1) == 0
    setting.grants.away = False
    told(setting, 2)
    await setting.renew()
    assert 120 <= setting.grants.used("team:t:rpm") <= 130  # with what was to go back when the database went away
    with pytest.raises(RateLimited):
        await setting.call(scopes, who=1)


async def test_with_the_database_away_a_lone_worker_has_the_whole_limit_and_no_more() -> None:
    setting = Setting()
    setting.grants.away = True
    scopes = team(rpm_limit=20)
    for _ in range(20):
        await setting.call(scopes)
    with pytest.raises(RateLimited, match="20 of 20 requests per minute") as refused:
        await setting.call(scopes)
    assert refused.value.retry_after == pytest.approx(61, abs=1)


async def test_of_a_limit_per_day_only_a_part_is_for_an_outage() -> None:
    setting = Setting(workers=2)
    told(setting, 2)
    scopes = team(tpd_limit=16_000)
    await setting.call(scopes, 5_000)
    setting.grants.away = True
    setting.clock.advance(5)
    for who in range(2):
        assert await count_admitted(setting, scopes, 20, who=who, tokens=100) == 10


async def test_what_was_granted_by_nobody_counts_no_more_when_the_database_is_back() -> None:
    setting = Setting(workers=2)
    scopes = team(rpm_limit=10)
    setting.grants.away = True
    await setting.call(scopes)
    setting.grants.away = False
    told(setting, 2)
    for _ in range(9):
        await setting.call(scopes, who=1)
    with pytest.raises(RateLimited):
        await setting.call(scopes)


async def test_what_was_used_long_ago_in_an_outage_counts_no_more_after_it() -> None:
    setting = Setting()
    setting.grants.away = True
    for _ in range(10):
        await setting.call(team(rpm_limit=10, tpd_limit=1_000))
    setting.clock.advance(70)
    setting.grants.away = False
    await setting.renew()
    assert (setting.grants.used("team:t:rpm"), setting.grants.used("team:t:tpd", 86_400)) == (0, 100)


async def test_a_database_that_did_not_answer_is_not_asked_for_every_call() -> None:
    setting = Setting()
    setting.grants.away = True
    for number in range(20):
        await setting.call([Scope(kind="user", id=f"u{number}", rpm_limit=5)])
    assert setting.grants.asked == 1


async def test_a_call_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares_module, "ANSWER_SECONDS", 0.0)
    setting = Setting()
    setting.grants.gate = asyncio.Event()
    scopes = team(rpm_limit=5)
    await setting.call(scopes)
    setting.grants.gate.set()
    for _ in range(5):
        await asyncio.sleep(0)
    setting.clock.advance(1)
    await setting.renew()
    assert setting.grants.used("team:t:rpm") == 1  # what came too late was given back


async def test_the_headers_tell_what_everyone_has_left() -> None:
    setting = Setting(workers=2)
    scopes = [*team(rpm_limit=10), Scope(kind="user", id="u", model_limits={"sonnet": ModelLimits(rpm_limit=7)})]
    assert setting.workers[0].remaining(team(), "sonnet") == (None, None)
    for _ in range(3):
        await setting.call(scopes, who=1)
    await setting.call(scopes)
    left, tokens = setting.workers[0].remaining(scopes, "sonnet")
    assert left is not None
    assert tokens is None
    assert (left.limit, left.remaining) == (7, 3)
    assert 60 <= left.reset <= 61


async def test_a_limit_that_others_use_is_told_to_be_free_again_later() -> None:
    setting = Setting(workers=2)
    scopes = team(rpm_limit=3, tpm_limit=1_000)
    for _ in range(3):
        await setting.call(scopes, who=1)
    with pytest.raises(RateLimited):
        await setting.call(scopes)
    requests, _ = setting.workers[0].remaining(scopes, "sonnet")
    assert requests is not None
    assert requests.remaining == 0
    assert 55 <= requests.reset <= 61


async def test_what_is_held_is_told_to_be_free_again_a_minute_later() -> None:
    rates = RateLimits(ManualClock())
    scopes = team(tpm_limit=1_000)
    taken = await rates.take(scopes, "sonnet", 100)
    _, tokens = rates.remaining(scopes, "sonnet")
    assert tokens is not None
    assert (tokens.remaining, tokens.reset) == (900, 60)
    rates.settle(taken, 0)
    assert rates.remaining(scopes, "sonnet") == (None, Remaining(1_000, 1_000, 0))


async def test_limits_that_nobody_uses_are_forgotten() -> None:
    setting = Setting()
    await setting.call(team(rpm_limit=10, tpd_limit=1_000))
    setting.clock.advance(70)
    await setting.renew()
    setting.workers[0].forget_idle()
    assert list(setting.workers[0]._shares) == ["team:t:tpd"]


steps = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(1, 60),
        st.floats(0, 1.5),
        st.sampled_from([0.0, 0.0, 0.0, 0.5, 1.0, 5.0, 31.0]),
        st.booleans(),
    ),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_no_minute_ever_holds_more_than_the_limit(history: list[tuple[int, int, float, float, bool]]) -> None:
    """Tokens are those used, at the time of the call; none uses more than it was expected to."""
    limit = 200
    used: list[tuple[float, int]] = []

    async def run() -> None:
        setting = Setting(workers=3)
        for who, tokens, share, pause, renews in history:
            real = int(tokens * min(share, 1.0))
            try:
                await setting.call(team(tpm_limit=limit), tokens, who=who, used=real)
            except RateLimited:
                pass
            else:
                used.append((setting.clock.now(), real))
            setting.clock.advance(pause)
            if renews:
                await setting.renew()

    asyncio.run(run())
    for end, _ in used:
        assert sum(tokens for at, tokens in used if end - 60 < at <= end) <= limit
