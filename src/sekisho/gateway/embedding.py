"""Turn texts into vectors at a target, in as many requests as it needs."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from msgspec import Struct

from sekisho.core.errors import SekishoError
from sekisho.core.events import EmbeddingAnswer
from sekisho.core.target import Target
from sekisho.core.usage import Usage
from sekisho.core.wire import EmbeddingDialect, WireAnswer, WireFault, WireRequest
from sekisho.gateway.reply import read_body
from sekisho.gateway.sending import choose_options, find_manner, send
from sekisho.gateway.standing import Manner
from sekisho.gateway.ways import Candidate
from sekisho.gateway.work import Work


class Vectors(Struct, frozen=True):
    """What a target answered; `body` is its own bytes, when they are what the client is to get."""

    answer: EmbeddingAnswer
    body: bytes | None


class Embedding:
    """One call's texts, and how they are put to one target after the other."""

    def __init__(self, work: Work) -> None:
        self._work = work

    async def try_once(self, candidate: Candidate) -> Vectors:
        """One attempt; the requests go one after the other, so that one call never bursts. Raises UpstreamError."""
        work, target, manner = self._work, candidate.target, find_manner(self._work, candidate, "embeddings")
        dialect: EmbeddingDialect = manner.dialect
        requests = dialect.write_requests(work.call, target.facts, choose_options(work, target, manner))
        answers: list[WireAnswer] = []
        with work.record.waiting():
            for wire in requests:
                try:
                    answers.append(await self._ask(target, wire, manner))
                except SekishoError:
                    self._charge(dialect, answers, len(requests))
                    if work.exchange.heed():
                        await self._leave()
                    raise
                if work.exchange.heed():
                    self._charge(dialect, answers, len(requests))
                    await self._leave()
        work.record.dropped = requests[0].dropped
        try:
            answer = dialect.read_answers(answers)
        except WireFault as fault:
            raise target.classify_fault(fault) from fault
        return Vectors(answer, answers[0].body if requests[0].native else None)

    async def _ask(self, target: Target, wire: WireRequest, manner: Manner) -> WireAnswer:
        response = await send(self._work, target, wire, manner)
        try:
            return WireAnswer(response.headers, await read_body(response, target))
        finally:
            response.close()

    def _charge(self, dialect: EmbeddingDialect, answers: Sequence[WireAnswer], parts: int) -> None:
        """Charge the parts that were answered, whatever becomes of the call; what none of them tells is estimated."""
        meter, used = self._work.meter, Usage()
        if not answers:
            return
        with suppress(WireFault):
            used = dialect.read_answers(answers).usage
        meter.keep(used, share=len(answers) / parts)

    async def _leave(self) -> None:
        """The client is gone, and all that was used is charged: here the call is cancelled."""
        self._work.meter.not_taken()
        await asyncio.sleep(0)
