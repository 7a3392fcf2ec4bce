"""What is measured: pairs of wire formats, and for each the same cases. All of it is data."""

from typing import Literal

from msgspec import Struct

from benchmarks.bodies import SLOT, Body, agent_body, chat_body
from benchmarks.wires import (
    ANTHROPIC,
    BEDROCK_CONVERSE,
    BEDROCK_INVOKE,
    BOTO3_CONVERSE,
    OPENAI_CHAT,
    OPENAI_COMPATIBLE,
    OPENAI_RESPONSES,
    ClientWire,
    UpstreamWire,
)

PAIRS: tuple[tuple[ClientWire, UpstreamWire], ...] = (
    (OPENAI_CHAT, BEDROCK_CONVERSE),
    (OPENAI_CHAT, OPENAI_COMPATIBLE),
    (ANTHROPIC, BEDROCK_INVOKE),
    (OPENAI_RESPONSES, BEDROCK_CONVERSE),
    (BOTO3_CONVERSE, BEDROCK_CONVERSE),
)
"""From which client format to which upstream format the gateway is measured."""

EVENT_SECONDS = 0.01
"""Between two events of a stream."""

_CHAT_BYTES, _AGENT_BYTES = 1_024, 102_400


class Case(Struct, frozen=True, kw_only=True):
    """One kind of load. `count` requests a round over `connections`, after `warmup` that do not count.

    `figure` is what it shows: CPU per request, CPU per streamed event, or the time that one connection waits.
    `seconds` bounds a round: after them no further request is begun.
    """

    label: str
    figure: Literal["request", "event", "latency"]
    body: Body
    connections: int
    count: int
    warmup: int
    events: int = 0
    seconds: float = 6.0

    def write(self, wire: ClientWire, model: str) -> tuple[bytes, bytes]:
        """The request's body, before and after the number that makes each one different."""
        before, after = wire.write(self.body, model, stream=self.events > 0).split(SLOT.encode())
        return before, after


class Plan(Struct, frozen=True, kw_only=True):
    """A whole run: `rounds` of every case, and `starts` of the gateway."""

    cases: tuple[Case, ...]
    rounds: int
    starts: int
    events: int


def make_plan(*, quick: bool) -> Plan:
    """The full run, or one with numbers so small that it only shows that everything works."""
    events, streams = (20, 32) if quick else (200, 64)
    chat, agent = chat_body(_CHAT_BYTES), agent_body(_AGENT_BYTES)
    few = 50 if quick else 1
    cases = (
        Case(label="1 KB chat", figure="request", body=chat, connections=16, count=4000 // few, warmup=800 // few),
        Case(label="100 KB agent", figure="request", body=agent, connections=16, count=1500 // few, warmup=300 // few),
        Case(
            label=f"streams, {streams} at a time, {events} events each",
            figure="event",
            body=chat,
            connections=streams,
            count=streams * 2,
            warmup=streams,
            events=events,
        ),
        Case(
            label="1 KB chat, one connection",
            figure="latency",
            body=chat,
            connections=1,
            count=1000 // few,
            warmup=200 // few,
        ),
    )
    return Plan(cases=cases, rounds=1 if quick else 5, starts=1 if quick else 3, events=events)
