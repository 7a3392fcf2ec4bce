"""The life of one model call, from its first header to its usage row. One verb per step, top to bottom."""

import asyncio
from collections.abc import Callable

from msgspec import Struct

from sekisho.core.chat import ClientCall
from sekisho.core.clock import Clock
from sekisho.core.errors import InternalError, SekishoError
from sekisho.core.wire import ClientDialect
from sekisho.gateway.attempts import Attempts, Road, UpstreamAccess
from sekisho.gateway.attribution import read_wishes
from sekisho.gateway.exchange import Exchange
from sekisho.gateway.images import ImageFetcher
from sekisho.gateway.meter import Meter
from sekisho.gateway.record import CallRecord
from sekisho.gateway.relay import refuse, send_answer, send_stream
from sekisho.gateway.roads import World, find_roads
from sekisho.gateway.thinking import ThinkingKeeper
from sekisho.identity.authenticate import Identity
from sekisho.identity.rights import check_route
from sekisho.ledger.estimate import Estimator, weigh_request
from sekisho.ledger.ledger import Ledger
from sekisho.policy.naming import choose_model
from sekisho.store.journal import UsageJournal
from sekisho.telemetry.log import log_call_failure, log_crash


class Rooms(Struct, frozen=True, kw_only=True):
    """What a call passes through. `world` gives the configuration in use now."""

    clock: Clock
    world: Callable[[], World]
    identity: Identity
    ledger: Ledger
    estimator: Estimator
    access: UpstreamAccess
    images: ImageFetcher
    thinking: ThinkingKeeper
    journal: UsageJournal


async def live(exchange: Exchange, dialect: ClientDialect, call_type: str, rooms: Rooms) -> None:
    """Carry one call through its life. Whatever the way out, what was used is settled and one usage row is left."""
    record = CallRecord(clock=rooms.clock, call_type=call_type, client_ip=exchange.client_ip)
    meter = Meter(rooms.estimator)
    try:
        record.caller = await rooms.identity.authenticate(exchange.headers)
        await _serve(exchange, dialect, record, meter, rooms)
    except SekishoError as error:
        record.error = error
        log_call_failure(record.id, error)
        await refuse(exchange, dialect, record, error)
    except asyncio.CancelledError:
        record.error = InternalError("The gateway is shutting down.", status=503)
        raise
    except Exception:  # noqa: BLE001  # the border to the client: nothing unforeseen may leave without an answer and a row
        record.error = InternalError(f"The gateway failed. Its log says why, under call {record.id}.")
        log_crash(record.id)
        await refuse(exchange, dialect, record, record.error)
    finally:
        if record.caller is not None:
            rooms.journal.record(record.row(meter))


async def _serve(exchange: Exchange, dialect: ClientDialect, record: CallRecord, meter: Meter, rooms: Rooms) -> None:
    world, caller = rooms.world(), record.caller
    assert caller is not None
    check_route(caller, exchange.path)
    body = await exchange.body(world.snapshot.max_request_bytes)
    call = record.call = dialect.read_request(body)
    read_wishes(exchange, call)
    model = record.model = choose_model(world.snapshot, caller, call.model)
    roads = find_roads(world, caller, model.group, call, rooms.access.cooldowns, rooms.access.random)
    meter.request_bytes = weigh_request(call.chat, len(body))
    await rooms.images.fill(call.chat)
    rooms.thinking.restore(caller.owner, call.chat)
    tokens, cost = _estimate(rooms.estimator, roads, call, meter.request_bytes)
    async with rooms.ledger.reserve(caller.scopes, tokens, cost) as hold, exchange.cancelled_on_hangup():
        try:
            reply = await Attempts(rooms.access, world.snapshot, call, meter, record).first_that_answers(roads)
            send = send_stream if call.stream else send_answer
            try:
                parts = await send(exchange, dialect, reply, record, meter, hold)
            finally:
                reply.close()
            rooms.thinking.remember(caller.owner, parts)
        finally:
            hold.settle(meter.usage.total, meter.cost or 0)


def _estimate(estimator: Estimator, roads: list[Road], call: ClientCall, request_bytes: int) -> tuple[int, int]:
    """Tokens and nano-dollars to hold, by the first target that will be tried."""
    target = roads[0].candidates[0].target
    ceiling = call.chat.max_output_tokens or target.facts.max_output_tokens
    usage = estimator.estimate(target.upstream_model, request_bytes, ceiling)
    return usage.total, target.price.cost(usage) if target.price is not None else 0
