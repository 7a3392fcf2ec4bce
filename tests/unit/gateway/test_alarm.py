"""Blocks that may take only so long."""

import asyncio

import pytest

from sekisho.gateway.alarm import Alarm, Limit

LONG = 3600.0


async def wait(alarm: Alarm, seconds: float) -> str:
    try:
        with Limit(alarm, seconds):
            await asyncio.Event().wait()
    except TimeoutError:
        return "too late"
    return "in time"


async def test_each_block_has_its_own_time_whichever_began_first() -> None:
    alarm = Alarm()
    long = asyncio.create_task(wait(alarm, LONG))
    await asyncio.sleep(0)
    assert await asyncio.gather(*(wait(alarm, seconds) for seconds in (0.02, 0.001, 0.01, 0.0))) == ["too late"] * 4
    assert not long.done()
    long.cancel()
    with pytest.raises(asyncio.CancelledError):
        await long
    assert not alarm.limits


async def test_what_ends_in_time_is_left_alone() -> None:
    alarm = Alarm()
    with Limit(alarm, 0.005):
        pass
    with Limit(alarm, LONG) as limit:
        assert LONG - 60 < limit.left < LONG + 0.001  # the loop's clock has large numbers, which round
    assert await wait(alarm, 0.01) == "too late"
    with pytest.raises(ValueError, match="its own"), Limit(alarm, LONG):
        raise ValueError("its own")
    assert not alarm.limits


async def test_of_blocks_within_each_other_the_one_whose_time_is_up_says_so() -> None:
    alarm = Alarm()
    with Limit(alarm, LONG):
        assert await wait(alarm, 0.001) == "too late"
    with pytest.raises(TimeoutError), Limit(alarm, 0.001):
        await wait(alarm, LONG)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_who_is_cancelled_otherwise_is_not_too_late() -> None:
    task = asyncio.create_task(wait(Alarm(), 0.0))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
