"""What is promised of our own strategy holds in the simulation, and in what docs/routing.md says of it."""

import re
from collections.abc import Mapping

import pytest
from msgspec import structs

from tests.simulation.gateway import PINNED
from tests.simulation.page import ENDLESS, ENOUGH, OURS, PAGE, SCARCE, STRATEGIES, write_row
from tests.simulation.scene import PLACES, Figures, play

_NUMBER = re.compile(r"[\d.]+")


@pytest.fixture(scope="module")
def yardstick() -> Figures:
    """Perfect stickiness without quotas."""
    return play(PINNED, ENDLESS)


@pytest.fixture(scope="module")
def played() -> Mapping[str, Figures]:
    """All strategies, where quotas suffice."""
    return {name: play(name, ENOUGH) for name in STRATEGIES}


def test_nobody_is_interrupted_while_all_quotas_together_suffice(
    yardstick: Figures, played: Mapping[str, Figures]
) -> None:
    quota = ENOUGH.quota or 0
    assert yardstick.most_used <= quota * PLACES <= yardstick.most_used * 1.1  # they do, but barely
    assert max(yardstick.by_minute.values()) > quota * 2  # and no single one does
    assert played[OURS].interrupted == 0
    assert played[OURS].steps == yardstick.steps > 1_000


def test_the_caches_are_used_nearly_as_by_perfect_stickiness(yardstick: Figures, played: Mapping[str, Figures]) -> None:
    assert yardstick.hit_part == 1.0
    assert played[OURS].hit_part >= 0.95
    assert played[OURS].cost < yardstick.cost * 1.1


def test_every_other_strategy_costs_more_and_makes_people_wait_longer(played: Mapping[str, Figures]) -> None:
    ours, others = played[OURS], [played[name] for name in STRATEGIES if name != OURS]
    assert len(others) == 5
    for other in others:
        assert other.cost > ours.cost * 1.2
        assert other.wait() > ours.wait()
        assert other.hit_part < ours.hit_part


@pytest.mark.parametrize(
    "change", [{"known": False}, {"window": "bucket"}, {"known": False, "window": "bucket"}], ids=str
)
def test_the_promise_does_not_depend_on_known_quotas_or_on_how_they_refill(change: dict[str, bool | str]) -> None:
    figures = play(OURS, structs.replace(ENOUGH, **change))
    assert figures.interrupted == 0
    assert figures.hit_part >= 0.9


def test_where_quotas_do_not_suffice_calls_wait_instead_of_failing(yardstick: Figures) -> None:
    assert (SCARCE.quota or 0) * PLACES < yardstick.most_used * 0.8
    figures = play(OURS, SCARCE)
    assert figures.interrupted_part < 0.005
    assert figures.hit_part >= 0.9
    assert 0 < figures.wait() < 10.0


def test_a_run_is_the_same_each_time() -> None:
    short = structs.replace(SCARCE, minutes=3.0)
    assert play("least-busy", short) == play("least-busy", short) != play("simple-shuffle", short)


def test_the_page_says_what_the_simulation_shows(yardstick: Figures, played: Mapping[str, Figures]) -> None:
    """Not to the last digit: what a logarithm's last bit is depends on the machine."""
    page = PAGE.read_text(encoding="utf-8")
    rows = [write_row(PINNED, yardstick), *(write_row(f"`{name}`", figures) for name, figures in played.items())]
    for row in rows:
        name, *cells = row.strip("| ").split(" | ")
        written = next(line for line in page.splitlines() if line.startswith(f"| {name} |"))
        figures = [float(_NUMBER.findall(cell)[0]) for cell in written.strip("| ").split(" | ")[1:]]
        for figure, cell in list(zip(figures, cells, strict=True))[:3]:
            assert figure == pytest.approx(float(_NUMBER.findall(cell)[0]), rel=0.03, abs=0.1), "run `make routing`"
