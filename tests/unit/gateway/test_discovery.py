"""Upstreams are asked in the background, and what they tell is used."""

import asyncio
import logging

import pytest

from sekisho.config.snapshot import Snapshot
from sekisho.core.clock import ManualClock
from sekisho.core.target import Discovery, ServiceQuota
from sekisho.gateway.discovery import Discoverer
from sekisho.gateway.roads import World
from sekisho.gateway.traffic import Traffic

TOLD = Discovery(ServiceQuota(tokens_per_minute=1000, requests_per_minute=10))


class Told:
    """A target of which an upstream tells something, or that it crashes over."""

    deployment_id = "d1"
    bucket = "b1"

    def __init__(self, discovery: Discovery | None) -> None:
        self.discovery = discovery
        self.asked = asyncio.Event()
        self.times = 0

    async def discover(self) -> Discovery:
        self.times += 1
        self.asked.set()
        if self.discovery is None:
            raise KeyError("modelArn")
        return self.discovery


class Silent:
    """A target whose upstream cannot be asked."""

    deployment_id = "d2"
    bucket = "b2"


def world(*targets: object) -> World:
    return World(Snapshot(deployments=(), groups={}), {str(n): each for n, each in enumerate(targets)})  # type: ignore[misc]  # as much of a target as is needed


async def test_quotas_are_told_to_the_traffic() -> None:
    traffic = Traffic(ManualClock())
    await Discoverer(traffic).ask_all(world(Silent(), Told(TOLD)).targets.values())
    quota = traffic.lanes.headroom("b1").quota(0.0)
    assert (quota.tokens, quota.requests) == (1000, 10)
    assert traffic.lanes.headroom("b2").quota(0.0).tokens is None


async def test_what_is_not_told_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    discoverer = Discoverer(Traffic(ManualClock()))
    target = Told(Discovery(problems=("allow this", "allow that")))
    with caplog.at_level(logging.WARNING, "sekisho"):
        for _ in range(2):
            await discoverer.ask_all(world(target).targets.values())
    assert [record.getMessage() for record in caplog.records] == [
        "not told by the upstream deployment=d1 problem='allow this'",
        "not told by the upstream deployment=d1 problem='allow that'",
    ]


async def test_an_answer_that_nobody_foresaw_keeps_no_other_from_being_asked(caplog: pytest.LogCaptureFixture) -> None:
    traffic, last = Traffic(ManualClock()), Told(TOLD)
    await Discoverer(traffic).ask_all(world(Told(None), last).targets.values())
    assert last.times == 1
    assert "crashed in the background doing=discovery what=d1" in caplog.text


async def test_changed_targets_are_asked_anew() -> None:
    discoverer, first, second = Discoverer(Traffic(ManualClock())), Told(TOLD), Told(TOLD)
    worlds = [world(first)]
    discoverer.start(lambda: worlds[-1])
    await first.asked.wait()
    worlds.append(world(second))
    discoverer.doubt()
    await second.asked.wait()
    await discoverer.close()
    assert (first.times, second.times) == (1, 1)


async def test_a_deployment_whose_model_was_found_out_draws_on_that_models_quota() -> None:
    lanes = Traffic(ManualClock()).lanes
    before = lanes.lane("d1", "the-arn", 0.0)
    after = lanes.lane("d1", "the-model", 1.0)
    assert after is before  # what is known of its latency stays
    assert after.headroom is lanes.headroom("the-model")
    assert after.headroom is lanes.lane("d2", "the-model", 1.0).headroom
