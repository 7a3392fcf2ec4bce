"""How many input tokens a request would have: asked of its model where it can be asked, estimated where not."""

import contextlib

from msgspec import Struct

from sekisho.core.errors import Unsupported, UpstreamError, UpstreamThrottled
from sekisho.core.wire import CountingDialect, WireAnswer, WireFault
from sekisho.gateway.reply import read_body
from sekisho.gateway.sending import choose_options, find_manner, send
from sekisho.gateway.ways import Candidate
from sekisho.gateway.work import Work
from sekisho.telemetry.log import log_upstream_failure


class Count(Struct, frozen=True):
    """A number of input tokens."""

    tokens: int
    estimated: bool


class Counting:
    """One call's question, and how it is put to one target after the other."""

    def __init__(self, work: Work) -> None:
        self._work = work

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
            log_upstream_failure(self._work.record.id, candidate.target, error)
            return self._estimate(candidate)
        finally:
            self._work.meter.not_taken()

    async def _ask(self, candidate: Candidate) -> int:
        work, target, manner = self._work, candidate.target, find_manner(self._work, candidate, "count_tokens")
        dialect: CountingDialect = manner.dialect
        wire = dialect.write_count_request(work.call, target.facts, choose_options(work, target, manner))
        with work.record.waiting():
            response = await send(work, target, wire, manner)
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
            _ = self._work.call.request
        model, weight = candidate.target.upstream_model, self._work.meter.request_bytes
        return Count(self._work.rooms.estimator.input_tokens(model, weight), estimated=True)
