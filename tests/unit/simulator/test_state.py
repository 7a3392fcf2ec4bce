import pytest

from sekisho.core.clock import ManualClock
from sekisho.core.usage import Usage
from sekisho.simulator.errors import AwsError
from sekisho.simulator.settings import Fault, FaultRule, Limit, Match, SimulatorSettings
from sekisho.simulator.state import World, read_fault_header

CLAUDE = ("1", "us-east-1", "us.anthropic.claude-sonnet-4-5")
LLAMA = ("1", "us-east-1", "meta.llama3")
USED = Usage(input=10, output=20, cache_read=1000, cache_write_5m=5)


def world_of(*limits: Limit) -> World:
    return World(SimulatorSettings(limits=limits), ManualClock())


@pytest.mark.parametrize(("quarter", "counted"), [(CLAUDE, 10 + 5 + 5 * 20), (LLAMA, 10 + 5 + 20)])
def test_a_settled_call_counts_what_it_used(quarter: tuple[str, str, str], counted: int) -> None:
    world = world_of(Limit(tpm=10_000))
    reserved = world.reserve(quarter, 1015, 500)
    assert reserved == 1515
    world.settle(quarter, reserved, USED)
    with pytest.raises(AwsError, match="Too many tokens"):
        world.reserve(quarter, 0, 10_001 - counted)
    assert world.reserve(quarter, 0, 10_000 - counted) == 10_000 - counted


def test_the_first_limit_that_covers_counts() -> None:
    world = world_of(Limit(match=Match(model=LLAMA[2])), Limit(rpm=0))
    world.reserve(LLAMA, 1, 1)
    with pytest.raises(AwsError, match="Too many requests"):
        world.reserve(CLAUDE, 1, 1)


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
        with pytest.raises(AwsError, match="header cannot be read"):
            read_fault_header(bad)
