"""The table by which the gateway is judged: which figures, and what they must reach. All of it is data."""

from statistics import median

from msgspec import Struct

from benchmarks.measure import Figure, Figures
from benchmarks.wires import BEDROCK_CONVERSE, OPENAI_CHAT, OPENAI_COMPATIBLE, UpstreamWire


class Goal(Struct, frozen=True, kw_only=True):
    """A line of the table: the figure `name` of the case whose label begins with `case`, and the most it may be.

    `upstream` is what OpenAI's chat API is translated to; None for figures that belong to no pair.
    """

    label: str
    japanese: str
    case: str
    name: str
    unit: str
    most: float
    upstream: UpstreamWire | None = OPENAI_COMPATIBLE

    def find(self, figures: Figures) -> dict[str, float]:
        """The median of each target for this line."""
        end = f", {OPENAI_CHAT.label} → {self.upstream.label}" if self.upstream else ""
        for figure, by_target in figures.items():
            if self._is_mine(figure, end):
                return {target: median(values) for target, values in by_target.items()}
        return {}

    def _is_mine(self, figure: Figure, end: str) -> bool:
        same = figure.name == self.name and figure.unit == self.unit
        return same and figure.case.startswith(self.case) and figure.case.endswith(end)


GOALS = (
    Goal(
        label="1 KB chat, OpenAI → OpenAI-compatible, CPU per request",
        japanese="1 KB のチャット、OpenAI → OpenAI 互換、1 リクエストの CPU 時間",
        case="1 KB chat,",
        name="CPU per request",
        unit="µs",
        most=120,
    ),
    Goal(
        label="1 KB chat, OpenAI → Bedrock Converse (SigV4), CPU per request",
        japanese="1 KB のチャット、OpenAI → Bedrock Converse（SigV4）、1 リクエストの CPU 時間",
        case="1 KB chat,",
        name="CPU per request",
        unit="µs",
        most=200,
        upstream=BEDROCK_CONVERSE,
    ),
    Goal(
        label="100 KB of an agent, pass-through, CPU per request",
        japanese="エージェントの 100 KB、そのまま中継、1 リクエストの CPU 時間",
        case="100 KB agent,",
        name="CPU per request",
        unit="µs",
        most=250,
    ),
    Goal(
        label="100 KB of an agent → Converse, CPU per request",
        japanese="エージェントの 100 KB → Converse、1 リクエストの CPU 時間",
        case="100 KB agent,",
        name="CPU per request",
        unit="µs",
        most=500,
        upstream=BEDROCK_CONVERSE,
    ),
    Goal(
        label="stream, pass-through, CPU per event",
        japanese="ストリーム、そのまま中継、1 イベントの CPU 時間",
        case="streams,",
        name="CPU per event",
        unit="µs",
        most=25,
    ),
    Goal(
        label="stream, Converse → OpenAI, CPU per event",
        japanese="ストリーム、Converse → OpenAI、1 イベントの CPU 時間",
        case="streams,",
        name="CPU per event",
        unit="µs",
        most=30,
        upstream=BEDROCK_CONVERSE,
    ),
    Goal(
        label="added latency on one connection, median",
        japanese="1 接続で加わる待ち時間、中央値",
        case="1 KB chat, one connection,",
        name="added latency p50",
        unit="ms",
        most=0.3,
    ),
    Goal(
        label="added latency on one connection, 99th percentile",
        japanese="1 接続で加わる待ち時間、99 パーセンタイル",
        case="1 KB chat, one connection,",
        name="added latency p99",
        unit="ms",
        most=0.8,
    ),
    Goal(
        label="resident memory of a worker under the streams",
        japanese="ストリーム中のワーカーの常駐メモリ",
        case="streams,",
        name="largest process",
        unit="MB",
        most=100,
    ),
    Goal(
        label="start to first answer",
        japanese="起動から最初の応答まで",
        case="start",
        name="until the first answer",
        unit="s",
        most=1.0,
        upstream=None,
    ),
)
