"""What is done for each operation, once a call is admitted and its hold is taken."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar, cast

from msgspec import Struct

from sekisho.config.snapshot import Snapshot
from sekisho.core.chat import ClientCall
from sekisho.core.clock import Clock
from sekisho.core.wire import ChatClient, ClientDialect, EmbeddingClient, Operation
from sekisho.gateway.attachments import AttachmentFetcher
from sekisho.gateway.attempts import Attempts, Candidate, Road
from sekisho.gateway.continuity import Continuity
from sekisho.gateway.conversing import Conversing
from sekisho.gateway.counting import Counting
from sekisho.gateway.embedding import Embedding
from sekisho.gateway.exchange import Exchange
from sekisho.gateway.holding import Held
from sekisho.gateway.meter import Meter
from sekisho.gateway.outbound import Outbound, UpstreamAccess
from sekisho.gateway.record import CallRecord
from sekisho.gateway.relay import answer_head, send_answer, send_body, send_stream
from sekisho.gateway.roads import World
from sekisho.gateway.thinking import ThinkingKeeper
from sekisho.identity.authenticate import Identity
from sekisho.ledger.estimate import Estimator
from sekisho.ledger.ledger import Ledger
from sekisho.ledger.rates import RateLimits
from sekisho.store.journal import UsageJournal

_Done = TypeVar("_Done")


class Rooms(Struct, frozen=True, kw_only=True):
    """What a call passes through. `world` gives the configuration in use now."""

    clock: Clock
    world: Callable[[], World]
    identity: Identity
    ledger: Ledger
    rates: RateLimits
    estimator: Estimator
    access: UpstreamAccess
    attachments: AttachmentFetcher
    thinking: ThinkingKeeper
    continuity: Continuity
    journal: UsageJournal


class Work(Struct, frozen=True):
    """One admitted call."""

    exchange: Exchange
    dialect: ClientDialect
    call: ClientCall
    roads: list[Road]
    snapshot: Snapshot
    record: CallRecord
    meter: Meter
    held: Held
    rooms: Rooms

    def outbound(self) -> Outbound:
        """What sends this call's requests."""
        return Outbound(
            self.rooms.access,
            self.snapshot,
            self.call,
            meter=self.meter,
            record=self.record,
            held=self.held,
            journal=self.rooms.journal,
        )

    async def attempt(self, try_once: Callable[[Candidate], Awaitable[_Done]]) -> _Done:
        """What the first target gives that does what is asked."""
        attempts = Attempts(
            try_once,
            call=self.call,
            snapshot=self.snapshot,
            cooldowns=self.rooms.access.cooldowns,
            random=self.rooms.access.random,
            meter=self.meter,
            record=self.record,
        )
        return await attempts.first_that_succeeds(self.roads)

    def settle(self) -> None:
        """Set the hold to what the call has used."""
        self.held.hold.settle(self.meter.usage.total, self.meter.cost or 0)


async def converse(work: Work) -> None:
    """Have a model answer."""
    rooms, record = work.rooms, work.record
    conversing = Conversing(
        rooms.access,
        work.outbound(),
        work.call,
        record,
        attachments=rooms.attachments,
        thinking=rooms.thinking,
        prompt_caching=work.snapshot.prompt_caching,
    )
    reply = await work.attempt(conversing.try_once)
    send = send_stream if work.call.stream else send_answer
    try:
        sent = await send(
            work.exchange, cast(ChatClient, work.dialect), reply, record, work.meter, work.held.hold, work.settle
        )
    finally:
        reply.close()
    assert record.caller is not None
    owner = record.caller.owner
    if not reply.wire.native:
        rooms.thinking.remember(owner, sent.parts)
    await rooms.continuity.keep(owner, work.dialect, work.call, sent.answer)


async def count_tokens(work: Work) -> None:
    """Tell how many input tokens the request would have."""
    counting = Counting(work.rooms.access, work.outbound(), work.call, work.meter, work.record, work.rooms.estimator)
    count = await work.attempt(counting.try_once)
    body = cast(ChatClient, work.dialect).write_count(count.tokens)
    extra = [(b"x-sekisho-estimated", b"true")] if count.estimated else []
    await send_body(work.exchange, work.dialect, work.record, body, extra)


async def embed(work: Work) -> None:
    """Turn texts into vectors."""
    embedding = Embedding(work.rooms.access, work.outbound(), work.call, work.record)
    vectors = await work.attempt(embedding.try_once)
    work.meter.report_whole(vectors.answer.usage, answer_bytes=0)
    work.settle()
    body = vectors.body
    if body is None:
        head = answer_head(work.record)
        body = cast(EmbeddingClient, work.dialect).write_embeddings(vectors.answer, head, work.call)
    extra = work.record.money_headers(work.meter.cost, work.held.hold.key_spend())
    await send_body(work.exchange, work.dialect, work.record, body, extra)


SERVICES: Mapping[Operation, Callable[[Work], Awaitable[None]]] = {
    "chat": converse,
    "count_tokens": count_tokens,
    "embeddings": embed,
}
