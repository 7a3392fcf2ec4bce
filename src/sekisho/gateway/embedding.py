"""Turn texts into vectors at a target, in as many requests as it needs."""

from msgspec import Struct

from sekisho.core.events import EmbeddingAnswer
from sekisho.core.wire import EmbeddingDialect, WireAnswer, WireFault
from sekisho.gateway.reply import read_body
from sekisho.gateway.sending import choose_dialect, choose_options, send
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
        work, target, dialects = self._work, candidate.target, self._work.rooms.access.dialects
        name = choose_dialect(target, "embeddings", work.call.family, dialects)
        dialect: EmbeddingDialect = dialects[name]
        requests = dialect.write_requests(work.call, target.facts, choose_options(work, candidate))
        answers: list[WireAnswer] = []
        with work.record.waiting():
            for wire in requests:
                response = await send(work, candidate, wire, name, "embeddings")
                try:
                    answers.append(WireAnswer(response.headers, await read_body(response, target)))
                finally:
                    response.close()
        work.record.dropped = requests[0].dropped
        try:
            answer = dialect.read_answers(answers)
        except WireFault as fault:
            raise target.classify_fault(fault) from fault
        return Vectors(answer, answers[0].body if requests[0].native else None)
