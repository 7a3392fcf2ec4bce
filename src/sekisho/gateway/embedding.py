"""Turn texts into vectors at a target, in as many requests as it needs."""

from msgspec import Struct

from sekisho.core.chat import ClientCall
from sekisho.core.events import EmbeddingAnswer
from sekisho.core.target import Errand
from sekisho.core.wire import EmbeddingDialect, WireAnswer, WireFault
from sekisho.gateway.outbound import Outbound, UpstreamAccess, choose_dialect
from sekisho.gateway.record import CallRecord
from sekisho.gateway.reply import read_body
from sekisho.gateway.ways import Candidate


class Vectors(Struct, frozen=True):
    """What a target answered; `body` is its own bytes, when they are what the client is to get."""

    answer: EmbeddingAnswer
    body: bytes | None


class Embedding:
    """One call's texts, and how they are put to one target after the other."""

    def __init__(self, access: UpstreamAccess, outbound: Outbound, call: ClientCall, record: CallRecord) -> None:
        self._dialects = access.dialects
        self._outbound = outbound
        self._call = call
        self._record = record

    async def try_once(self, candidate: Candidate) -> Vectors:
        """One attempt; the requests go one after the other, so that one call never bursts. Raises UpstreamError."""
        target = candidate.target
        name = choose_dialect(target, "embeddings", self._call.family, self._dialects)
        dialect: EmbeddingDialect = self._dialects[name]
        requests = dialect.write_requests(self._call, target.facts, self._outbound.options(candidate))
        answers: list[WireAnswer] = []
        with self._record.waiting():
            for wire in requests:
                response = await self._outbound.send(candidate, wire, Errand(name, "embeddings"))
                try:
                    answers.append(WireAnswer(response.headers, await read_body(response, target)))
                finally:
                    response.close()
        self._record.dropped = requests[0].dropped
        try:
            answer = dialect.read_answers(answers)
        except WireFault as fault:
            raise target.classify_fault(fault) from fault
        return Vectors(answer, answers[0].body if requests[0].native else None)
