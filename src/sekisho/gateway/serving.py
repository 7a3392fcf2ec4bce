"""What is done for each operation, once a call is admitted and its hold is taken."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from typing import cast

from sekisho.core.errors import SekishoError, UpstreamError
from sekisho.core.wire import ChatClient, EmbeddingClient, Operation
from sekisho.gateway.conversing import Conversing
from sekisho.gateway.counting import Counting
from sekisho.gateway.embedding import Embedding
from sekisho.gateway.fitting import Fitting
from sekisho.gateway.relay import Answering, StreamedAnswer, WholeAnswer, answer_head, send_body
from sekisho.gateway.work import Work


async def converse(work: Work) -> None:
    """Have a model answer."""
    rooms, record = work.rooms, work.record
    fitting = Fitting(
        work.call, work.meter.request_bytes, rooms.estimator, precheck=work.snapshot.enable_pre_call_checks
    )
    conversing = Conversing(work)
    kind: Callable[..., Answering] = StreamedAnswer if work.call.stream else WholeAnswer
    answering = kind(work.exchange, work.dialect, record, work.held.hold)
    try_once = conversing.begin if work.call.stream else conversing.hear_out
    attempts = work.attempts(try_once, fitting=fitting, keep_open=answering.kept_open)
    try:
        reply = await attempts.first_that_succeeds(work.roads)
        try:
            sent = await answering.send(reply, work.meter)
        except UpstreamError as error:  # what had begun well broke down
            attempts.fail(error)
            raise
        finally:
            reply.close()
            attempts.finish()
    except SekishoError as error:
        answering.tell_failure(error)
        raise
    owner = work.standing.owner
    if not reply.wire.native:
        rooms.thinking.remember(owner, sent.parts)
    if work.call.stores:
        await rooms.continuity.keep(owner, work.dialect, work.call, sent.answer)


async def count_tokens(work: Work) -> None:
    """Tell how many input tokens the request would have."""
    attempts = work.attempts(Counting(work).try_once, fitting=None, keep_open=nullcontext)
    try:
        count = await attempts.first_that_succeeds(work.roads)
        body = cast(ChatClient, work.dialect).write_count(count.tokens)
        extra = [(b"x-sekisho-estimated", b"true")] if count.estimated else []
        send_body(work.exchange, work.dialect, work.record, body, extra)
    finally:
        attempts.finish()


async def embed(work: Work) -> None:
    """Turn texts into vectors."""
    attempts = work.attempts(Embedding(work).try_once, fitting=None, keep_open=nullcontext)
    try:
        vectors = await attempts.first_that_succeeds(work.roads)
        work.meter.take_whole(vectors.answer.usage)
        cost, body = work.meter.cost, vectors.body
        if body is None:
            head = answer_head(work.record)
            body = cast(EmbeddingClient, work.dialect).write_embeddings(vectors.answer, head, work.call)
        extra = work.record.money_headers(cost, work.held.hold.key_spend(cost or 0))
        send_body(work.exchange, work.dialect, work.record, body, extra)
    finally:
        attempts.finish()


SERVICES: Mapping[Operation, Callable[[Work], Awaitable[None]]] = {
    "chat": converse,
    "count_tokens": count_tokens,
    "embeddings": embed,
}
