"""Tells the outside of every call that is over: in metrics always, in spans where they are wanted."""

import logging
from collections.abc import Sequence

from sekisho.telemetry.calls import Call
from sekisho.telemetry.exporter import Exporter
from sekisho.telemetry.metrics import Metrics
from sekisho.telemetry.spans import SpanWriter

_log = logging.getLogger("sekisho")


class Telemetry:
    """The metrics of this process and the exporters of its spans. `traces` is whether spans are wanted."""

    def __init__(self, metrics: Metrics, exporters: Sequence[Exporter] = (), spans: SpanWriter | None = None) -> None:
        self.metrics = metrics
        self.traces = bool(exporters)
        self._exporters = exporters
        self._spans = spans or SpanWriter()

    def start(self) -> None:
        """Begin to send spans."""
        for exporter in self._exporters:
            exporter.start()

    def tell(self, call: Call) -> None:
        """Count a call that is over, and put its spans where they are sent from. Raises nothing.

        A call whose caller is not known has no spans: anybody could send those.
        """
        try:
            self.metrics.count_call(call)
            if self._exporters and call.caller is not None:
                spans = self._spans.write_call(call)
                for exporter in self._exporters:
                    exporter.put(spans)
        except Exception:  # noqa: BLE001  # what is told of a call must not change how it ends
            _log.exception("telemetry failed call=%s", call.id)

    async def close(self) -> None:
        """Send the spans that are waiting, and stop."""
        for exporter in self._exporters:
            await exporter.close()
        self.metrics.close()
