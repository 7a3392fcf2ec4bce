"""Who is served next in a line, and what every team gets of what becomes free."""

from collections import Counter
from collections.abc import Sequence
from itertools import count, cycle, islice

from hypothesis import given, settings
from hypothesis import strategies as st

from sekisho.policy.routing.line import BATCH_PART, Line, Ticket

WEIGHTS = {"ant": 1.0, "bee": 2.0, "cat": 5.0}
TEAMS = st.sampled_from(sorted(WEIGHTS))
MOST = 50_000


def ticket(team: str, tokens: int = 100, *, arrived: float = 0.0, priority: int = 0, foreign: bool = False) -> Ticket:
    return Ticket(
        team=team,
        tokens=tokens,
        likely=tokens,
        arrived=arrived,
        priority=priority,
        weight=WEIGHTS[team],
        foreign=foreign,
    )


def serve_next(line: Line) -> Ticket:
    first = next(line.in_order())
    line.serve(first)
    return first


def fill(line: Line, *tickets: Ticket) -> None:
    for each in tickets:
        line.add(each)


def serve_all(line: Line) -> list[Ticket]:
    return [serve_next(line) for _ in range(len(line))]


@given(
    st.dictionaries(TEAMS, st.lists(st.integers(1, MOST), min_size=1), min_size=2, max_size=3),
    st.integers(60, 200),
)
@settings(max_examples=50)
def test_teams_with_calls_waiting_get_their_shares_of_the_tokens(sizes: dict[str, list[int]], rounds: int) -> None:
    """Whatever sizes their calls have, as long as each of them always has some waiting."""
    line, times, served = Line(), count(), Counter[str]()

    def send(team: str) -> None:
        tokens = sizes[team][next(times) % len(sizes[team])]
        line.add(ticket(team, tokens, arrived=next(times)))

    for team in sizes:
        for _ in range(5):
            send(team)
    for _ in range(rounds):
        done = serve_next(line)
        served[done.team] += done.tokens
        send(done.team)
    by_weight = {team: served[team] / WEIGHTS[team] for team in sizes}
    largest = max(max(sizes[team]) / WEIGHTS[team] for team in sizes)
    # The bound of start-time fair queueing: one call of each team, however long the line.
    assert max(by_weight.values()) - min(by_weight.values()) <= 2 * largest


@given(st.lists(st.tuples(TEAMS, st.booleans(), st.integers(1, 1000)), min_size=1, max_size=12))
@settings(max_examples=50)
def test_shares_hold_within_a_tenth_for_any_arrivals(pattern: list[tuple[str, bool, int]]) -> None:
    """Bursts of one team before those of others do not matter while all have a backlog."""
    line, served = Line(), Counter[str]()
    for team in WEIGHTS:
        fill(line, *(ticket(team, 100, arrived=-1.0) for _ in range(300)))
    for at, (team, batch, tokens) in enumerate(islice(cycle(pattern), 400)):
        line.add(ticket(team, tokens, arrived=at, priority=int(batch)))
        done = serve_next(line)
        served[done.team] += done.tokens
    total, weights = sum(served.values()), sum(WEIGHTS.values())
    for team, weight in WEIGHTS.items():
        assert abs(served[team] / total - weight / weights) < 0.1 * weight / weights


@given(st.lists(st.tuples(TEAMS, st.integers(0, 3), st.integers(1, MOST)), max_size=60))
def test_everybody_is_served_once_and_a_preview_tells_the_order(calls: list[tuple[str, int, int]]) -> None:
    line = Line()
    given_ = [ticket(team, tokens, arrived=at, priority=priority) for at, (team, priority, tokens) in enumerate(calls)]
    fill(line, *given_)
    preview = list(line.in_order())
    assert len(line) == len(calls)
    assert sorted(map(id, preview)) == sorted(map(id, given_))
    assert serve_all(line) == preview
    assert len(line) == 0
    assert list(line.in_order()) == []


@given(st.integers(1, 40), st.integers(1, MOST))
def test_nobody_starves_behind_a_burst(others: int, tokens: int) -> None:
    """A newcomer waits for one call of each other team at most, and not for their bursts."""
    line = Line()
    fill(line, *(ticket("ant", tokens, arrived=at) for at in range(100)))
    for _ in range(others):
        serve_next(line)
    late = ticket("bee", MOST, arrived=1_000.0)
    line.add(late)
    assert late in [serve_next(line) for _ in range(2)]


def test_who_was_idle_has_nothing_saved_up() -> None:
    line = Line()
    fill(line, *(ticket("ant", arrived=at) for at in range(100)))
    for _ in range(50):
        serve_next(line)
    fill(line, *(ticket("bee", arrived=100 + at) for at in range(50)))
    teams = Counter(serve_next(line).team for _ in range(30))
    assert 9 <= teams["ant"] <= 11


def test_interactive_calls_come_before_batch_calls_of_the_same_team() -> None:
    line = Line()
    batch = [ticket("ant", arrived=at, priority=1) for at in range(3)]
    urgent = [ticket("ant", arrived=10 + at) for at in range(3)]
    fill(line, *batch, *urgent)
    assert serve_all(line) == [*urgent, *batch]


def test_batch_calls_go_by_their_priority_and_then_by_their_time() -> None:
    line = Line()
    late, last, first = (ticket("ant", arrived=at, priority=p) for at, p in ((1.0, 5), (0.0, 9), (0.0, 5)))
    fill(line, late, last, first)
    assert serve_all(line) == [first, late, last]


def test_batch_calls_get_a_small_part_beside_interactive_calls_of_others() -> None:
    line = Line()
    fill(line, *(ticket("ant", arrived=at, priority=1) for at in range(500)))
    fill(line, *(Ticket(team="dog", tokens=100, arrived=at) for at in range(500)))
    teams = Counter(serve_next(line).team for _ in range(440))
    assert abs(teams["ant"] - 440 * BATCH_PART / (1 + BATCH_PART)) <= 2


def test_who_leaves_is_not_served_and_costs_nothing() -> None:
    line = Line()
    gone, stays = ticket("ant", MOST), ticket("ant", 10, arrived=1.0)
    fill(line, gone, stays, ticket("bee", 10, arrived=2.0))
    line.remove(gone)
    line.remove(gone)
    assert next(line.in_order()) is stays


def test_a_turn_that_came_to_nothing_is_not_counted() -> None:
    line, first, second = Line(), ticket("ant", MOST), ticket("bee", 10, arrived=1.0)
    fill(line, first, second, ticket("bee", 10, arrived=2.0))
    assert serve_next(line) is first
    line.refund(first)
    line.add(first)
    assert next(line.in_order()) is first
    assert line.served[("ant", False)] == 0


def fair_order(line: Line) -> Sequence[str]:
    return [each.team for each in line.in_order()]


def test_what_other_processes_serve_counts_for_a_team() -> None:
    line = Line()
    fill(line, *(ticket("ant", arrived=at) for at in range(3)), *(ticket("bee", arrived=10 + at) for at in range(3)))
    assert fair_order(line)[0] == "ant"
    line.hear("another", 0.0, {("ant", False): 200.0})
    assert fair_order(line) == ["bee", "bee", "bee", "ant", "ant", "ant"]
    line.hear("another", 0.0, {("ant", False): 0.0})
    assert fair_order(line)[0] == "ant"


def test_who_waits_elsewhere_has_a_place_here() -> None:
    line = Line()
    fill(line, ticket("ant", arrived=5.0))
    line.replace_foreign([ticket("ant", arrived=1.0, foreign=True), ticket("bee", arrived=2.0, foreign=True)])
    assert [(each.team, each.foreign) for each in line.in_order()] == [("ant", True), ("bee", True), ("ant", False)]
    line.replace_foreign([])
    assert [each.foreign for each in line.in_order()] == [False]


def test_what_comes_before_a_newcomer_is_bounded_by_its_share() -> None:
    line = Line()
    fill(line, *(ticket("ant", arrived=at) for at in range(1_000)))
    calls, tokens = line.count_before(ticket("bee"))
    assert (calls, tokens) == (0, 50)  # half a call of the lighter team's
    calls, tokens = line.count_before(ticket("ant"))
    assert (calls, tokens) == (1_000, 100_000)
