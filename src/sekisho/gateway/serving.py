"""What is done for each operation, once a call is admitted and its hold is taken."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import nullcontext
from typing import TypeVar, cast

from msgspec import Struct

from sekisho.config.snapshot import Snapshot
from sekisho.core.caller import Caller
from sekisho.core.chat import ClientCall
from sekisho.core.clock import Clock
from sekisho.core.errors import SekishoError, UpstreamError
from sekisho.core.wire import ChatClient, ClientDialect, EmbeddingClient, Operation
from sekisho.gateway.alerts import SoftBudgets
from sekisho.gateway.attachments import AttachmentFetcher
from sekisho.gateway.attempts import Attempts
from sekisho.gateway.continuity import Continuity
from sekisho.gateway.conversing import Conversing
from sekisho.gateway.counting import Counting
from sekisho.gateway.embedding import Embedding
from sekisho.gateway.exchange import Exchange
from sekisho.gateway.fitting import Fitting
from sekisho.gateway.holding import Held
from sekisho.gateway.meter import Meter
from sekisho.gateway.outbound import Outbound, UpstreamAccess
from sekisho.gateway.record import CallRecord
from sekisho.gateway.relay import Answering, StreamedAnswer, WholeAnswer, answer_head, send_body
from sekisho.gateway.roads import World
from sekisho.gateway.thinking import ThinkingKeeper
from sekisho.gateway.waiting import KeepOpen
from sekisho.gateway.ways import Candidate, Roads
from sekisho.identity.authenticate import Identity
from sekisho.ledger.estimate import Estimator
from sekisho.ledger.ledger import Ledger
from sekisho.ledger.rates import RateLimits
from sekisho.store.journal import UsageJournal
from sekisho.telemetry.telling import Telemetry

_Done = TypeVar("_Done")


class Rooms(Struct, frozen=True, kw_only=True):
    """What a call passes through.

    `world` gives the configuration in use now, `view` what a call of some caller that names some models sees of one.
    """

    clock: Clock
    world: Callable[[], World]
    view: Callable[[World, Caller, Iterable[str | None]], World]
    identity: Identity
    ledger: Ledger
    rates: RateLimits
    estimator: Estimator
    access: UpstreamAccess
    attachments: AttachmentFetcher
    thinking: ThinkingKeeper
    continuity: Continuity
    journal: UsageJournal
    soft_budgets: SoftBudgets
    telemetry: Telemetry


class Work(Struct, frozen=True):
    """One admitted call."""

    exchange: Exchange
    dialect: ClientDialect
    call: ClientCall
    roads: Roads
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

    def attempts(
        self, try_once: Callable[[Candidate], Awaitable[_Done]], *, fitting: Fitting | None, keep_open: KeepOpen
    ) -> Attempts[_Done]:
        """What tries targets; while all are full, the call waits inside `keep_open`."""
        return Attempts(
            try_once,
            call=self.call,
            snapshot=self.snapshot,
            access=self.rooms.access,
            meter=self.meter,
            record=self.record,
            enter=self._enter,
            fitting=fitting,
            keep_open=keep_open,
        )

    async def _enter(self, group: str) -> None:
        assert self.record.caller is not None
        await self.rooms.ledger.move(self.held.hold, self.record.caller.scopes, group)

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
    fitting = Fitting(
        work.call, work.meter.request_bytes, rooms.estimator, precheck=work.snapshot.enable_pre_call_checks
    )
    kind = StreamedAnswer if work.call.stream else WholeAnswer
    answering: Answering = kind(work.exchange, cast(ChatClient, work.dialect), record, work.held.hold)
    attempts = work.attempts(conversing.try_once, fitting=fitting, keep_open=answering.kept_open)
    try:
        reply = await attempts.first_that_succeeds(work.roads)
        try:
            sent = await answering.send(reply, work.meter, work.settle)
        except UpstreamError as error:  # what had begun well broke down
            attempts.fail(error)
            raise
        finally:
            reply.close()
            attempts.finish()
    except SekishoError as error:
        answering.tell_failure(error)
        raise
    assert record.caller is not None
    owner = record.caller.owner
    if not reply.wire.native:
        rooms.thinking.remember(owner, sent.parts)
    await rooms.continuity.keep(owner, work.dialect, work.call, sent.answer)


async def count_tokens(work: Work) -> None:
    """Tell how many input tokens the request would have."""
    counting = Counting(work.rooms.access, work.outbound(), work.call, work.meter, work.record, work.rooms.estimator)
    attempts = work.attempts(counting.try_once, fitting=None, keep_open=nullcontext)
    try:
        count = await attempts.first_that_succeeds(work.roads)
        body = cast(ChatClient, work.dialect).write_count(count.tokens)
        extra = [(b"x-sekisho-estimated", b"true")] if count.estimated else []
        send_body(work.exchange, work.dialect, work.record, body, extra)
    finally:
        attempts.finish()


async def embed(work: Work) -> None:
    """Turn texts into vectors."""
    embedding = Embedding(work.rooms.access, work.outbound(), work.call, work.record)
    attempts = work.attempts(embedding.try_once, fitting=None, keep_open=nullcontext)
    try:
        vectors = await attempts.first_that_succeeds(work.roads)
        work.meter.report_whole(vectors.answer.usage, answer_bytes=0)
        work.settle()
        body = vectors.body
        if body is None:
            head = answer_head(work.record)
            body = cast(EmbeddingClient, work.dialect).write_embeddings(vectors.answer, head, work.call)
        extra = work.record.money_headers(work.meter.cost, work.held.hold.key_spend())
        send_body(work.exchange, work.dialect, work.record, body, extra)
    finally:
        attempts.finish()


SERVICES: Mapping[Operation, Callable[[Work], Awaitable[None]]] = {
    "chat": converse,
    "count_tokens": count_tokens,
    "embeddings": embed,
}
