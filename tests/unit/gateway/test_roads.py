"""By which roads a call may go."""

from collections.abc import Mapping
from random import Random
from typing import Any, cast

import pytest
from msgspec import structs
from tests.support.routing import DEARER, SONNET, make_deployment, make_snapshot, make_target

from sekisho.config.snapshot import Deployment
from sekisho.core.caller import BudgetWindow, Caller, Scope
from sekisho.core.chat import ChatRequest, ClientCall
from sekisho.core.clock import ManualClock
from sekisho.core.errors import AccessDenied, Unsupported, UpstreamMisconfigured, UpstreamThrottled
from sekisho.core.model import ModelFacts
from sekisho.core.target import Target
from sekisho.gateway.meter import Meter
from sekisho.gateway.outbound import UpstreamAccess
from sekisho.gateway.queueing import Queue
from sekisho.gateway.roads import World, find_network, lay_roads
from sekisho.gateway.traffic import Traffic
from sekisho.gateway.ways import Candidate, Road, Roads
from sekisho.http.client import UpstreamClient
from sekisho.ledger.estimate import Estimator
from sekisho.policy.routing.headroom import Quota

ADMIN = Caller(role="proxy_admin")
PAYING = Caller(role="internal_user", scopes=(Scope(kind="key", id="k", budgets=(BudgetWindow(limit=5),)),))


def make_call(**more: Any) -> ClientCall:
    def read() -> ChatRequest:
        return ChatRequest(system=[], messages=[])

    return ClientCall(**{"model": "sonnet", "body": b"{}", "family": "f", "path": "/", "read": read, **more})


class Place:
    """A gateway's roads, with nothing at their ends."""

    def __init__(
        self, *deployments: Deployment, targets: Mapping[str, Mapping[str, Any] | None] | None = None, **settings: Any
    ) -> None:
        self.clock = ManualClock()
        self.traffic = Traffic(self.clock)
        self.access = UpstreamAccess(cast(UpstreamClient, None), {}, self.traffic, Queue(self.traffic), Random(1))
        self.world = make_world(*deployments, targets=targets, **settings)

    def find(self, call: ClientCall | None = None, caller: Caller = ADMIN, operation: Any = "chat") -> Roads:
        meter = Meter(Estimator())
        meter.owner, meter.request_bytes = caller.owner, 40_000
        call = call or make_call()
        network = find_network(self.world, caller, "sonnet", call, operation, self.access)
        return lay_roads(network, "sonnet", call, operation, self.world.snapshot, self.access, meter)

    def rest(self, name: str) -> None:
        error = UpstreamThrottled("rate limit", verdict="elsewhere", cooldown=5.0)
        self.traffic.rests.failed(f"bucket-{name}", name, error, self.clock.monotonic())


def make_world(
    *deployments: Deployment, targets: Mapping[str, Mapping[str, Any] | None] | None = None, **settings: Any
) -> World:
    """A world of these deployments; what their targets have beside the usual is by id, None where there is none."""
    given = targets or {}
    made: dict[str, Target] = {}
    for deployment in deployments:
        more = given.get(deployment.id, {})
        if more is not None:
            made[deployment.id] = make_target(deployment.id, model_name=deployment.model_name, **more)
    return World(make_snapshot(*deployments, **settings), made)


def names(road: Road) -> list[str]:
    return [candidate.deployment.id for candidate in road]


def first(road: Road) -> Candidate:
    return next(iter(road))


def test_the_group_asked_for_and_its_fallbacks_have_roads() -> None:
    place = Place(
        make_deployment("a"), make_deployment("b"), make_deployment("c", "haiku"), fallbacks={"sonnet": ("haiku",)}
    )
    roads = place.find()
    assert sorted(names(roads.asked)) == ["a", "b"]
    assert {group: names(road) for group, road in roads.others.items()} == {"haiku": ["c"]}
    caller = Caller(role="internal_user", scopes=(Scope(kind="key", id="k", models=("sonnet",)),))
    assert place.find(caller=caller).others == {}
    assert place.find(make_call(fallbacks=[])).others == {}
    assert list(place.find().others) == ["haiku"]


def test_without_failover_one_deployment_is_tried() -> None:
    place = Place(make_deployment("a"), make_deployment("b"), failover=False)
    assert len(names(place.find().asked)) == 1
    place.rest("a")
    assert names(place.find().asked) == ["b"]
    place.rest("b")
    assert len(names(place.find().asked)) == 1


def test_the_load_is_what_the_call_weighs_and_may_produce() -> None:
    facts = ModelFacts(max_output_tokens=8_000)
    place = Place(make_deployment("a"), targets={"a": {"facts": facts}})
    load = first(place.find(make_call(session_id="s")).asked).load
    assert load is not None
    assert (load.input, load.ceiling) == (10_000, 8_000)
    assert load.session is not None
    several = first(place.find(make_call(max_output_tokens=500, answers=3)).asked).load
    assert several is not None
    assert (several.ceiling, several.session) == (1_500, None)
    assert first(place.find(operation="count_tokens").asked).load is None


def test_sessions_of_different_callers_and_groups_are_different_sessions() -> None:
    place = Place(make_deployment("a"), make_deployment("b", "haiku"), fallbacks={"sonnet": ("haiku",)})
    call = make_call(session_id="s")
    sessions = set()
    for caller in (ADMIN, Caller(role="internal_user", key_hash="k1"), Caller(role="internal_user", key_hash="k2")):
        roads = place.find(call, caller)
        for road in roads.all:
            load = first(road).load
            assert load is not None
            sessions.add(load.session)
    assert len(sessions) == 6


def test_a_session_comes_back_to_where_it_was_answered() -> None:
    place = Place(*(make_deployment(name) for name in "abcdef"))
    call = make_call(session_id="s")
    elsewhere = list(place.find(call).asked)[-1]
    assert elsewhere.load is not None
    place.traffic.begin(elsewhere.target, elsewhere.load).answered()
    assert first(place.find(call).asked).deployment.id == elsewhere.deployment.id


def test_the_configured_strategy_chooses() -> None:
    deployments = [make_deployment("a"), make_deployment("b"), make_deployment("c")]
    place = Place(
        *deployments, targets={"a": {"price": DEARER}, "c": {"price": None}}, routing_strategy="cost-based-routing"
    )
    assert names(place.find().asked) == ["b", "a", "c"]


def test_tags_choose_among_deployments() -> None:
    place = Place(
        make_deployment("a", tags=("team-a",)),
        make_deployment("b", tags=("team-b",)),
        make_deployment("c", tags=("default",)),
        enable_tag_filtering=True,
    )
    assert names(place.find(make_call(tags=["team-a", "any"])).asked) == ["a"]
    assert names(place.find(caller=Caller(role="internal_user", tags=("team-b",))).asked) == ["b"]
    assert names(place.find(make_call(tags=["unknown"])).asked) == ["c"]
    assert names(place.find().asked) == ["c"]


def test_deployments_without_a_price_are_left_out_where_a_price_is_needed() -> None:
    place = Place(make_deployment("a"), make_deployment("b"), targets={"a": {"price": None}})
    assert sorted(names(place.find().asked)) == ["a", "b"]
    assert names(place.find(caller=PAYING).asked) == ["b"]
    unpriced = Place(make_deployment("a"), targets={"a": {"price": None}})
    with pytest.raises(AccessDenied, match="no price"):
        unpriced.find(caller=PAYING)


def test_a_price_that_is_found_out_later_counts_soon() -> None:
    place = Place(make_deployment("a"), targets={"a": {"price": None}})
    with pytest.raises(AccessDenied):
        place.find(caller=PAYING)
    place.world = World(place.world.snapshot, {"a": make_target("a", price=SONNET)})
    place.clock.advance(11)
    assert names(place.find(caller=PAYING).asked) == ["a"]


def test_what_cannot_be_called_or_does_something_else_is_left_out() -> None:
    embeds = {"dialects": {"embeddings": ("titan_embeddings",)}}
    place = Place(*(make_deployment(name) for name in "abc"), targets={"a": None, "b": embeds})
    assert names(place.find().asked) == ["c"]
    assert names(place.find(operation="embeddings").asked) == ["b"]
    only = Place(make_deployment("b"), targets={"b": embeds})
    with pytest.raises(Unsupported, match="answer conversations"):
        only.find()
    none = Place(make_deployment("a"), targets={"a": None})
    with pytest.raises(UpstreamMisconfigured, match="as configured"):
        none.find()


def test_a_fallback_serves_when_nothing_of_the_group_can_be_called() -> None:
    place = Place(
        make_deployment("a"), make_deployment("b", "haiku"), targets={"a": None}, fallbacks={"sonnet": ("haiku",)}
    )
    roads = place.find()
    assert names(roads.asked) == []
    assert names(roads.others["haiku"]) == ["b"]


def test_a_changed_configuration_counts_at_once() -> None:
    place = Place(make_deployment("a", tpm=100_000))
    target = place.world.targets["a"]
    place.find()
    assert place.traffic.state(target).quota == Quota(tokens=100_000)
    place.world = make_world(make_deployment("a", tpm=200_000, rpm=7), make_deployment("b"))
    assert sorted(names(place.find().asked)) == ["a", "b"]
    assert place.traffic.state(target).quota == Quota(tokens=200_000, requests=7)
    place.traffic.tell_quota("bucket-a", Quota(tokens=5))
    place.traffic.tell_quota("bucket-b", Quota(tokens=6))
    assert place.traffic.state(target).quota == Quota(tokens=200_000, requests=7)  # the administrator knows better
    assert place.traffic.state(place.world.targets["b"]).quota == Quota(tokens=6)


def test_a_world_made_from_another_has_roads_of_its_own() -> None:
    place = Place(make_deployment("a"), make_deployment("b"))
    assert sorted(names(place.find().asked)) == ["a", "b"]
    snapshot = place.world.snapshot
    pinned = structs.replace(snapshot, groups={"sonnet": snapshot.deployments[:1]})
    place.world = structs.replace(place.world, snapshot=pinned)
    assert names(place.find().asked) == ["a"]


def test_one_of_each_kind_of_target_stands_for_all() -> None:
    place = Place(*(make_deployment(name) for name in "abcde"), targets={"c": {"price": DEARER}})
    assert len(place.find().asked.targets) == 2
