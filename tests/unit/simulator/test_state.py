import pytest

from sekisho.core.clock import ManualClock
from sekisho.core.usage import Usage
from sekisho.simulator.errors import Refusal
from sekisho.simulator.settings import Fault, FaultRule, Limit, Match, SimulatorSettings
from sekisho.simulator.state import CallRecord, World, read_fault_header

CLAUDE = "us.anthropic.claude-sonnet-4-5"
LLAMA = "meta.llama3"
USED = Usage(input=10, output=20, cache_read=1000, cache_write_5m=5)


def call_of(model: str, service: str = "bedrock") -> CallRecord:
    return CallRecord(
        request_id="1", at=0, operation="Converse", service=service, model=model, account="1", region="us-east-1"
    )


def world_of(*limits: Limit) -> World:
    return World(SimulatorSettings(limits=limits), ManualClock())


@pytest.mark.parametrize(("model", "counted"), [(CLAUDE, 10 + 5 + 5 * 20), (LLAMA, 10 + 5 + 20)])
def test_a_settled_call_counts_what_it_used(model: str, counted: int) -> None:
    world = world_of(Limit(tpm=10_000))
    call = call_of(model)
    reserved = world.reserve(call, 1015, 500)
    assert reserved == 1515
    world.settle(call, reserved, USED)
    with pytest.raises(Refusal, match="Too many tokens"):
        world.reserve(call, 0, 10_001 - counted)
    assert world.reserve(call, 0, 10_000 - counted) == 10_000 - counted


def test_the_first_limit_that_covers_counts() -> None:
    world = world_of(Limit(match=Match(model=LLAMA)), Limit(rpm=0))
    world.reserve(call_of(LLAMA), 1, 1)
    with pytest.raises(Refusal, match="Too many requests"):
        world.reserve(call_of(CLAUDE), 1, 1)


def test_services_have_quotas_of_their_own() -> None:
    world = world_of(Limit(match=Match(operation="Messages"), rpm=0), Limit(rpm=1))
    world.reserve(call_of(LLAMA), 1, 1)
    world.reserve(call_of(LLAMA, "sagemaker"), 1, 1)
    with pytest.raises(Refusal, match="Too many requests"):
        world.reserve(call_of(LLAMA), 1, 1)


def test_only_the_last_bodies_are_kept_and_no_secrets() -> None:
    world = world_of()
    world.record_request(world.open_call("Converse"), {"x": "1"}, b"unseen")
    world.recording = True
    for number in range(101):
        world.record_request(world.open_call("Converse"), {"x-api-key": "sk", "x": "1"}, b"%d\xff" % number)
    assert [call.body for call in world.calls][:3] == [None, None, "1\ufffd"]
    assert world.calls[1].headers is None
    assert world.calls[-1].headers == {"x": "1"}


def test_faults_are_used_up_in_their_order() -> None:
    throttle, deny = Fault(kind="throttle"), Fault(kind="access_denied")
    rules = (FaultRule(fault=throttle, times=2), FaultRule(fault=deny, match=Match(operation="Converse"), times=1))
    world = World(SimulatorSettings(faults=rules), ManualClock())
    taken = [world.take_fault(None, world.open_call("Converse")) for _ in range(4)]
    assert taken == [throttle, throttle, deny, None]


def test_a_fault_header_is_read() -> None:
    assert read_fault_header("cut; after=3") == Fault(kind="cut", after=3)
    assert read_fault_header("slow;first_ms=1.5; event_ms=2;") == Fault(kind="slow", first_ms=1.5, event_ms=2)
    for bad in ("", "cut; after=x", "cut; later=3"):
        with pytest.raises(Refusal, match="header cannot be read"):
            read_fault_header(bad)
