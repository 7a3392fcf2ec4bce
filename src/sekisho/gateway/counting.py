"""How many input tokens a request would have: asked of its model where it can be asked, estimated where not."""

import contextlib

from msgspec import Struct

from sekisho.core.chat import ClientCall
from sekisho.core.errors import Unsupported, UpstreamError, UpstreamThrottled
from sekisho.core.target import Errand
from sekisho.core.wire import CountingDialect, WireAnswer, WireFault
from sekisho.gateway.meter import Meter
from sekisho.gateway.outbound import Outbound, UpstreamAccess, choose_dialect
from sekisho.gateway.record import CallRecord
from sekisho.gateway.reply import read_body
from sekisho.gateway.ways import Candidate
from sekisho.ledger.estimate import Estimator
from sekisho.telemetry.log import log_upstream_failure


class Count(Struct, frozen=True):
    """A number of input tokens."""

    tokens: int
    estimated: bool


class Counting:
    """One call's question, and how it is put to one target after the other."""

    def __init__(
        self,
        access: UpstreamAccess,
        outbound: Outbound,
        call: ClientCall,
        meter: Meter,
        record: CallRecord,
        estimator: Estimator,
    ) -> None:
        self._dialects = access.dialects
        self._outbound = outbound
        self._call = call
        self._meter = meter
        self._record = record
        self._estimator = estimator

    async def try_once(self, candidate: Candidate) -> Count:
        """The target's count, or an estimate where it has none to give. Raises UpstreamThrottled to go elsewhere.

        Counting is free at every upstream, so whatever the way out nothing is metered.
        """
        if "count_tokens" not in candidate.target.dialects:
            return self._estimate(candidate)
        try:
            return Count(await self._ask(candidate), estimated=False)
        except UpstreamThrottled:
            raise
        except (UpstreamError, Unsupported) as error:  # models of cross-region profiles cannot be counted, for one
            log_upstream_failure(self._record.id, candidate.target, error)
            return self._estimate(candidate)
        finally:
            self._meter.not_taken()

    async def _ask(self, candidate: Candidate) -> int:
        target = candidate.target
        name = choose_dialect(target, "count_tokens", self._call.family, self._dialects)
        dialect: CountingDialect = self._dialects[name]
        wire = dialect.write_count_request(self._call, target.facts, self._outbound.options(candidate))
        with self._record.waiting():
            response = await self._outbound.send(candidate, wire, Errand(name, "count_tokens"))
            try:
                body = await read_body(response, target)
            finally:
                response.close()
        try:
            return dialect.read_count(WireAnswer(response.headers, body))
        except WireFault as fault:
            raise target.classify_fault(fault) from fault

    def _estimate(self, candidate: Candidate) -> Count:
        """An estimate by the request's size; what cannot be read as a request has none. Raises InvalidRequest."""
        with contextlib.suppress(Unsupported):
            _ = self._call.request
        model = candidate.target.upstream_model
        return Count(self._estimator.input_tokens(model, self._meter.request_bytes), estimated=True)
