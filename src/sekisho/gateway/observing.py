"""What the outside is told of calls: each when it is over, and all of them together at `/metrics`."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from sekisho.core.errors import AccessDenied, CallerError, SekishoError
from sekisho.core.wire import HeaderPairs
from sekisho.gateway.exchange import Exchange
from sekisho.gateway.record import CallRecord
from sekisho.http.client import UpstreamClient
from sekisho.http.failures import CallFailed, Timeouts
from sekisho.identity.authenticate import Identity
from sekisho.identity.rights import check_route, sees_everything
from sekisho.telemetry.exporter import Answer, Post
from sekisho.telemetry.exposition import CONTENT_TYPE, write_metrics
from sekisho.telemetry.telling import Telemetry
from sekisho.telemetry.traceparent import TraceParent, read_traceparent

METRICS_PATHS: Final = frozenset({"/metrics", "/metrics/"})
_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
_TRACE_CONTEXT: Final = frozenset({b"traceparent", b"tracestate"})
_MILLION: Final = 10**6
_MOST_ANSWER_BYTES: Final = 64 * 1024


def tell_end(telemetry: Telemetry, record: CallRecord, exchange: Exchange) -> None:
    """Tell of a call that is over, for whatever reason."""
    if telemetry.traces:
        record.parent, price = exchange.recall(_find_parent), record.price
        if price is not None:
            rates = price.rates_for(record.usage.prompt) if price.tiers else price.base
            record.output_cost = record.usage.output * rates.output // _MILLION
    telemetry.tell(record)


def _find_parent(headers: HeaderPairs) -> TraceParent | None:
    """The client's own span, if the headers tell of one."""
    told = {name: value.decode("latin-1") for name, value in reversed(headers) if name in _TRACE_CONTEXT}
    return read_traceparent(told.get(b"traceparent"), told.get(b"tracestate"))


class MetricsPage:
    """Shows the metrics of all workers of this machine to whoever may see everything.

    `needs_key` says whether a key is asked for at all (`litellm_settings.require_auth_for_metrics_endpoint`).
    """

    def __init__(self, telemetry: Telemetry, identity: Identity, needs_key: Callable[[], bool]) -> None:
        self._metrics = telemetry.metrics
        self._identity = identity
        self._needs_key = needs_key

    async def answer(self, exchange: Exchange) -> None:
        """Serve one request."""
        try:
            await self._check(exchange)
        except SekishoError as error:
            exchange.answer(error.status, [_TEXT], f"{error.message}\n".encode())
            return
        exchange.begin(200, [(b"content-type", CONTENT_TYPE)])
        for piece in write_metrics(self._metrics.read_all()):
            exchange.write(piece)
            await asyncio.sleep(0)
        exchange.finish()

    async def _check(self, exchange: Exchange) -> None:
        if exchange.method != "GET":
            raise CallerError(f"{exchange.path} takes GET, not {exchange.method}.", status=405)
        if not self._needs_key():
            return
        caller = await self._identity.authenticate(exchange.headers)
        check_route(caller, "/metrics")
        if not sees_everything(caller):
            raise AccessDenied(
                "Metrics are of all callers: they need the master key, or a key of a user with the role "
                "proxy_admin_viewer. litellm_settings.require_auth_for_metrics_endpoint: false opens them to everybody."
            )


def post_by(client: UpstreamClient) -> Post:
    """What sends spans over this client."""

    async def post(url: str, headers: Mapping[str, str], body: bytes, seconds: float) -> Answer:
        try:
            async with asyncio.timeout(seconds):
                response = await client.post(url, headers, body, Timeouts(first=seconds, idle=seconds))
                try:
                    await response.read(_MOST_ANSWER_BYTES)  # to its end, so that the connection can be used again
                finally:
                    response.close()
        except (CallFailed, TimeoutError):
            return Answer(0)
        return Answer(response.status, _read_seconds(response.headers.get("retry-after", "")))

    return post


def _read_seconds(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 6 else None
