"""Pictures of lines, written as SVG: no library is needed, and the same figures give the same bytes."""

import math
from collections.abc import Iterator, Mapping, Sequence
from xml.sax.saxutils import escape

from msgspec import Struct

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 760, 380
_LEFT, _TOP, _RIGHT, _BOTTOM = 64, 56, 200, 52
_COLOURS = ("#1d4ed8", "#b45309", "#047857", "#be185d", "#6d28d9", "#475569", "#0e7490", "#a16207")


class Plot(Struct, frozen=True):
    """What is drawn: `lines` by their names, the first of them the one to look at."""

    title: str
    x: str
    y: str
    lines: Mapping[str, Points]


class _Scale:
    """Where a point is in the picture."""

    def __init__(self, plot: Plot) -> None:
        every = [point for points in plot.lines.values() for point in points]
        self.left, self.right = min(x for x, _ in every), max(x for x, _ in every)
        highest = max(y for _, y in every)
        self.x_step, self.y_step = _choose_step(self.right - self.left), _choose_step(highest)
        self.rows = math.ceil(round(highest / self.y_step, 6))

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Of the values x and y."""
        across, up = (x - self.left) / (self.right - self.left), y / (self.rows * self.y_step)
        return _LEFT + across * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM)


def draw(plot: Plot) -> str:
    """The picture."""
    scale = _Scale(plot)
    parts = [*_head(plot), *_axes(scale)]
    for index, (name, points) in reversed(list(enumerate(plot.lines.items()))):
        parts.extend(_line(index, name, [scale.place(*point) for point in points]))
    return "\n".join([*parts, "</svg>", ""])


def _axes(scale: _Scale) -> Iterator[str]:
    for count in range(scale.rows + 1):
        value = count * scale.y_step
        x, y = scale.place(scale.left, value)
        yield f'<path d="M{x:.1f} {y:.1f}H{_WIDTH - _RIGHT}" stroke="#e2e8f0"/>'
        yield _text(x - 8, y + 4, f"{value:g}", "end")
    first = math.ceil(round(scale.left / scale.x_step, 6))
    last = math.floor(round(scale.right / scale.x_step, 6))
    for count in range(first, last + 1):
        x, y = scale.place(count * scale.x_step, 0)
        yield _text(x, y + 18, f"{count * scale.x_step:g}", "middle")


def _head(plot: Plot) -> list[str]:
    title = escape(plot.title)
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}"'
        f' height="{_HEIGHT}" role="img" aria-labelledby="title" font-family="system-ui, sans-serif" font-size="13"'
        ' fill="#334155">',
        f'<title id="title">{title}</title>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" rx="12" fill="#ffffff"/>',
        f'<text x="20" y="26" font-size="15" font-weight="600">{title}</text>',
        _text(20, 46, plot.y, "start"),
        _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 14, plot.x, "middle"),
    ]


def _line(index: int, name: str, points: Points) -> list[str]:
    """One line, and its name beside the picture."""
    colour, width = _COLOURS[index], 3.5 if index == 0 else 1.8
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    y = _TOP + 14 + index * 22
    x = _WIDTH - _RIGHT + 16
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round"/>',
        f'<path d="M{x} {y - 4}h18" stroke="{colour}" stroke-width="{width}"/>',
        _text(x + 24, y, name, "start"),
    ]


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _choose_step(size: float) -> float:
    """Some 5 steps to an axis, of a round size."""
    step = 1e-6
    while True:
        for times in (1, 2, 2.5, 5):
            if size / (step * times) <= 6:
                return step * times
        step *= 10
