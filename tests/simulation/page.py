"""The page of the documentation that tells what the simulation has shown, with its pictures."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from msgspec import structs

from sekisho.core.money import NANO
from tests.simulation.gateway import PINNED
from tests.simulation.plots import Plot, Points, draw
from tests.simulation.scene import PLACES, Figures, Regime, play

_ROOT = Path(__file__).parents[2]
PAGE = _ROOT / "docs" / "routing.md"
_TEXT = Path(__file__).with_name("page.md")
_IMAGES = _ROOT / "docs" / "images"

OURS = "headroom"
STRATEGIES = (
    OURS,
    "simple-shuffle",
    "least-busy",
    "latency-based-routing",
    "usage-based-routing-v2",
    "cost-based-routing",
)
ENDLESS = Regime(quota=None)
ENOUGH = Regime(quota=310_000)
SCARCE = Regime(quota=235_000)
_VARIANTS = {
    "as above": ENOUGH,
    "quotas not configured": structs.replace(ENOUGH, known=False),
    "quotas refill bit by bit": structs.replace(ENOUGH, window="bucket"),
    "both": structs.replace(ENOUGH, known=False, window="bucket"),
    "quotas not configured, and scarce": structs.replace(SCARCE, known=False),
}
_SWEEP = (0.75, 0.85, 1.0, 1.2, 1.5, 2.0)
"""All quotas together, as multiples of the most that is used at any time when nothing is throttled."""
_HEADER = (
    "interrupted | cache hits | cost | waiting: mean | 95 % | longest | attempts per request | all done |\n"
    "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
)
_Plays = Mapping[tuple[str, Regime], Figures]


def write_page() -> None:
    """Play everything, which takes a minute or two, and write the page and its pictures."""
    free = play(PINNED, ENDLESS)
    sizes = [structs.replace(ENOUGH, quota=int(free.most_used * part / PLACES)) for part in _SWEEP]
    regimes = [ENOUGH, SCARCE, *sizes]
    wanted = {(name, each) for name in STRATEGIES for regime in regimes for each in (regime, _without_queue(regime))}
    wanted |= {(OURS, regime) for regime in _VARIANTS.values()}
    played = {(PINNED, ENDLESS): free} | play_all(sorted(wanted, key=repr))
    PAGE.write_text(_TEXT.read_text(encoding="utf-8").format(**_write_tables(played, free)), encoding="utf-8")
    for name, plot in _make_plots(played, free, sizes).items():
        (_IMAGES / f"routing-{name}.svg").write_text(draw(plot), encoding="utf-8")


def play_all(wanted: Sequence[tuple[str, Regime]]) -> dict[tuple[str, Regime], Figures]:
    """The figures of all, played side by side."""
    with ProcessPoolExecutor() as pool:
        return dict(zip(wanted, pool.map(play, *zip(*wanted, strict=True)), strict=True))


def write_row(name: str, figures: Figures) -> str:
    """A row of a table."""
    cells = (
        name,
        f"{figures.interrupted_part:.1%}",
        f"{figures.hit_part:.1%}",
        f"${figures.cost / NANO:.2f}",
        f"{figures.wait():.1f} s",
        f"{figures.wait(0.95):.1f} s",
        f"{figures.wait(1):.0f} s",
        f"{figures.attempts_per_request:.2f}",
        f"{figures.finished / 60:.1f} min",
    )
    return f"| {' | '.join(cells)} |"


def _write_tables(played: _Plays, free: Figures) -> dict[str, str]:
    """What stands in the places of the page's text that are named so."""
    places = {
        "enough": _write_strategies(played, ENOUGH),
        "enough_unqueued": _write_strategies(played, _without_queue(ENOUGH)),
        "scarce": _write_strategies(played, SCARCE),
        "scarce_unqueued": _write_strategies(played, _without_queue(SCARCE)),
        "free": _write_table("yardstick", [write_row(PINNED, free)]),
        "variants": _write_table(
            f"`{OURS}`", [write_row(name, played[OURS, regime]) for name, regime in _VARIANTS.items()]
        ),
        "steps": f"{free.steps:,}",
        "peak": f"{free.most_used / 1e6:.2f} million",
    }
    for name, regime in (("enough", ENOUGH), ("scarce", SCARCE)):
        total = (regime.quota or 0) * PLACES
        places[f"{name}_total"] = f"{total / 1e6:.2f} million"
        places[f"{name}_part"] = f"{total / free.most_used:.0%}"
    return places


def _write_strategies(played: _Plays, regime: Regime) -> str:
    return _write_table("strategy", [write_row(f"`{name}`", played[name, regime]) for name in STRATEGIES])


def _write_table(first: str, rows: Sequence[str]) -> str:
    return "\n".join([f"| {first} | {_HEADER}", *rows])


def _make_plots(played: _Plays, free: Figures, sizes: Sequence[Regime]) -> dict[str, Plot]:
    axis = "all quotas together, in per cent of the most that is used when nothing is throttled"
    queued = {name: [played[name, regime] for regime in sizes] for name in STRATEGIES}
    unqueued = {name: [played[name, _without_queue(regime)] for regime in sizes] for name in STRATEGIES}

    def sweep(values: Sequence[float]) -> Points:
        return [(part * 100, value) for part, value in zip(_SWEEP, values, strict=True)]

    interrupted = {f"{OURS} with queue": queued[OURS], **unqueued}
    parts = [part / 100 for part in range(50, 100)]
    return {
        "interrupted": Plot(
            "Requests that are interrupted, without the queue",
            axis,
            "per cent of requests",
            {name: sweep([each.interrupted_part * 100 for each in row]) for name, row in interrupted.items()},
        ),
        "cost": Plot(
            "What the same work costs, with the queue",
            axis,
            "dollars",
            {name: sweep([each.cost / NANO for each in row]) for name, row in queued.items()},
        ),
        "waiting": Plot(
            "How long steps wait where quotas do not suffice, with the queue",
            "per cent of all steps",
            "seconds at most",
            {name: [(part * 100, played[name, SCARCE].wait(part)) for part in parts] for name in STRATEGIES},
        ),
        "use": Plot(
            "What is kept in all quotas, where they suffice, with the queue",
            "minutes",
            "million tokens a minute",
            {name: _by_minute(played[name, ENOUGH]) for name in STRATEGIES[:3]} | {PINNED: _by_minute(free)},
        ),
    }


def _by_minute(figures: Figures) -> Points:
    first = min(figures.by_minute)
    return [(minute - first, tokens / 1e6) for minute, tokens in sorted(figures.by_minute.items())]


def _without_queue(regime: Regime) -> Regime:
    return structs.replace(regime, queued=False)
