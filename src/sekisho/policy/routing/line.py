"""The order in which waiting calls are served: weighted fair queueing across teams.

One line stands before one upstream quota. In it each team gets its share of what becomes free, by weight and by the
tokens that its calls reserve, however many calls it has waiting (start-time fair queueing: every team has a virtual
start time, which goes up by tokens divided by weight with each call that is served; the lowest goes next). Among a
team's own calls the lower priority number goes first, then the one that came first. A team whose interactive calls are
all served has its batch calls take part, with a small part of its weight, so that the interactive calls of others come
before them, and yet they are served.

Calls that wait in other processes take their places here, too, without being served here (`Ticket.foreign`).
"""

from bisect import insort
from collections.abc import Iterable, Iterator, Mapping
from heapq import heapify, heappop, heappush
from typing import Final

from msgspec import Struct

BATCH_PART: Final = 0.1
"""What the weight of a team counts for its batch calls, beside the interactive calls of others."""

FlowName = tuple[str, bool]
"""Whose calls, and whether they are batch."""


class Ticket(Struct, eq=False, kw_only=True):
    """One call that waits.

    team: whose share it is. weight: of that team. priority: 0 for interactive calls; batch calls have higher numbers,
    and the lower of them go first. arrived: seconds since the epoch. tokens: what it reserves. likely: what of that it
    will probably keep. foreign: whether it waits in another process.
    """

    team: str
    tokens: int
    arrived: float
    likely: int = 0
    weight: float = 1.0
    priority: int = 0
    foreign: bool = False

    @property
    def flow(self) -> FlowName:
        """The flow that it belongs to."""
        return self.team, self.priority > 0

    @property
    def price(self) -> float:
        """By how much its flow's virtual time goes up when it is served."""
        return self.tokens / (self.weight * BATCH_PART if self.priority > 0 else self.weight)


def _place(ticket: Ticket) -> tuple[int, float]:
    return ticket.priority, ticket.arrived


class _Flow:
    """Calls of one kind of one team, in their order; `finish` is the virtual time at which its last call was done.

    foreign: how many of the calls wait elsewhere. likely: the tokens that all of them will keep.
    """

    __slots__ = ("finish", "foreign", "likely", "tickets")

    def __init__(self) -> None:
        self.finish = 0.0
        self.foreign = 0
        self.likely = 0
        self.tickets: list[Ticket] = []


class Line:
    """The calls that wait for one quota. `began` is when the line came to be, in seconds since the epoch."""

    def __init__(self, began: float = 0.0) -> None:
        self.began = began
        self._flows: dict[FlowName, _Flow] = {}
        self._virtual = 0.0
        self._count = 0
        self._heard: dict[str, Mapping[FlowName, float]] = {}
        self.served: dict[FlowName, float] = {}
        """The virtual time of what was served here since the line came to be, for other processes."""

    def __len__(self) -> int:
        return self._count

    def add(self, ticket: Ticket) -> None:
        """It waits from now on."""
        flow = self._flow(ticket.flow)
        if not flow.tickets:
            flow.finish = max(flow.finish, self._virtual)
        insort(flow.tickets, ticket, key=_place)
        flow.likely += ticket.likely
        flow.foreign += ticket.foreign
        self._count += 1

    def remove(self, ticket: Ticket) -> None:
        """It waits no longer; nothing happens when it did not."""
        flow = self._flows.get(ticket.flow)
        if flow is None or ticket not in flow.tickets:
            return
        flow.tickets.remove(ticket)
        flow.likely -= ticket.likely
        flow.foreign -= ticket.foreign
        self._count -= 1
        if not flow.tickets and flow.finish <= self._virtual:
            del self._flows[ticket.flow]

    def serve(self, ticket: Ticket) -> None:
        """It has its turn: its team is charged for it."""
        self._charge(ticket.flow, ticket.price)
        self.served[ticket.flow] = self.served.get(ticket.flow, 0.0) + ticket.price
        self.remove(ticket)

    def refund(self, ticket: Ticket) -> None:
        """The turn that it had came to nothing."""
        if (flow := self._flows.get(ticket.flow)) is not None:
            flow.finish -= ticket.price
            self.served[ticket.flow] = self.served.get(ticket.flow, 0.0) - ticket.price

    @property
    def virtual(self) -> float:
        """The virtual time: that at which the next call begins."""
        return self._virtual

    def hear(self, line: str, virtual: float, served: Mapping[FlowName, float]) -> None:
        """Learn from the line of another process before the same quota: its virtual time, and what it has served.

        Every line counts what all have served since they came to be, so that they agree on who is next.
        """
        before = self._heard.get(line, {})
        for name, price in served.items():
            if (more := price - before.get(name, 0.0)) > 0:
                self._charge(name, more)
            elif more < 0:
                self._flow(name).finish += more
        self._heard[line] = served
        self._virtual = max(self._virtual, virtual)
        for flow in self._flows.values():
            flow.finish = max(flow.finish, virtual)

    def replace_foreign(self, tickets: Iterable[Ticket]) -> None:
        """Let these be the calls that wait in other processes."""
        for ticket in [each for flow in self._flows.values() for each in flow.tickets if each.foreign]:
            self.remove(ticket)
        for ticket in tickets:
            self.add(ticket)

    def in_order(self) -> Iterator[Ticket]:
        """The tickets in the order in which they would be served if each had its turn now.

        The line must not change meanwhile.
        """
        heap = [(self._start(name, flow), flow.tickets[0].arrived, name, 0) for name, flow in self._first_flows()]
        heapify(heap)
        while heap:
            start, _arrived, name, index = heappop(heap)
            tickets = self._flows[name].tickets
            ticket = tickets[index]
            yield ticket
            finish, index = start + ticket.price, index + 1
            if index < len(tickets):
                heappush(heap, (finish, tickets[index].arrived, name, index))
            elif not name[1] and (batch := self._flows.get((name[0], True))) is not None and batch.tickets:
                heappush(heap, (max(start, batch.finish), batch.tickets[0].arrived, (name[0], True), 0))

    def part_here(self) -> float:
        """The part of what becomes free that belongs to the calls that wait in this process; 1 when no others do."""
        here = everywhere = 0.0
        for name, flow in self._first_flows():
            weight = flow.tickets[0].weight * (BATCH_PART if name[1] else 1.0)
            everywhere += weight
            here += weight * (1 - flow.foreign / len(flow.tickets))
        return here / everywhere if everywhere else 1.0

    def count_before(self, ticket: Ticket) -> tuple[int, int]:
        """About how many calls, and tokens that they keep, are served before a ticket that would come last of its kind.

        Of other teams no more than their shares while the team's own calls are served.
        """
        own = self._flows.get(ticket.flow)
        calls = len(own.tickets) if own is not None else 0
        tokens = own.likely if own is not None else 0
        mine, its_own_calls = tokens + ticket.likely, calls + 1
        for name, flow in self._flows.items():
            if name == ticket.flow or not flow.tickets or (name[1] and not ticket.priority):
                continue
            part = flow.tickets[0].weight / ticket.weight
            tokens += min(flow.likely, int(mine * part))
            calls += min(len(flow.tickets), int(its_own_calls * part))
        return calls, tokens

    def _first_flows(self) -> Iterator[tuple[FlowName, _Flow]]:
        """The flows that take part: of each team the interactive one, if anything waits in it, else its batch."""
        for name, flow in self._flows.items():
            if not flow.tickets:
                continue
            if name[1] and (other := self._flows.get((name[0], False))) is not None and other.tickets:
                continue
            yield name, flow

    def _start(self, name: FlowName, flow: _Flow) -> float:
        """When the next call of a flow begins; batch has not taken part before, and cannot have missed anything."""
        return max(self._virtual, flow.finish) if name[1] else flow.finish

    def _charge(self, name: FlowName, price: float) -> None:
        """The line's virtual time is that of the flow that would be next, so that nobody who waits is overtaken."""
        starts = [self._start(*each) for each in self._first_flows()]
        flow = self._flow(name)
        start = max(self._virtual, flow.finish) if name[1] or not flow.tickets else flow.finish
        self._virtual = max(self._virtual, min(starts, default=start))
        flow.finish = start + price

    def _flow(self, name: FlowName) -> _Flow:
        flow = self._flows.get(name)
        if flow is None:
            flow = self._flows[name] = _Flow()
        return flow
