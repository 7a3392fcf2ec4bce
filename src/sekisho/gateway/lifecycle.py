"""The life of one model call, from its first header to its usage row. One verb per step, top to bottom."""

import asyncio

from sekisho.core.caller import Caller
from sekisho.core.chat import ClientCall
from sekisho.core.errors import InternalError, SekishoError
from sekisho.core.wire import Operation
from sekisho.gateway.attempts import Road
from sekisho.gateway.attribution import read_wishes
from sekisho.gateway.exchange import Exchange
from sekisho.gateway.meter import Meter
from sekisho.gateway.record import CallRecord
from sekisho.gateway.relay import refuse
from sekisho.gateway.roads import find_roads
from sekisho.gateway.routes import Route
from sekisho.gateway.serving import SERVICES, Rooms, Work
from sekisho.identity.rights import check_route
from sekisho.ledger.estimate import Estimator, weigh_call
from sekisho.policy.naming import choose_model
from sekisho.telemetry.log import log_call_failure, log_crash


async def live(exchange: Exchange, route: Route, rooms: Rooms) -> None:
    """Carry one call through its life. Whatever the way out, what was used is settled and one usage row is left."""
    dialect = route.dialect
    record = CallRecord(clock=rooms.clock, call_type=route.endpoint.call_type, client_ip=exchange.client_ip)
    meter = Meter(rooms.estimator)
    try:
        await _serve(exchange, route, record, meter, rooms)
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


async def _serve(exchange: Exchange, route: Route, record: CallRecord, meter: Meter, rooms: Rooms) -> None:
    world, operation = rooms.world(), route.endpoint.operation
    caller, body = await _admit(exchange, record, rooms, world.snapshot.max_request_bytes)
    call = record.call = route.dialect.read_call(route.inbound(exchange, body))
    read_wishes(exchange, call, caller)
    await rooms.continuity.resume(caller.owner, route.dialect, call)
    model = record.model = choose_model(world.snapshot, caller, call.model)
    roads = find_roads(world, caller, model.group, call, operation, rooms.access)
    meter.request_bytes = weigh_call(call)
    tokens, cost = _estimate(rooms.estimator, roads, call, operation, meter.request_bytes)
    async with rooms.ledger.reserve(caller.scopes, tokens, cost) as hold, exchange.cancelled_on_hangup():
        try:
            work = Work(exchange, route.dialect, call, roads, world.snapshot, record, meter, hold, rooms)
            await SERVICES[operation](work)
        finally:
            hold.settle(meter.usage.total, meter.cost or 0)


async def _admit(exchange: Exchange, record: CallRecord, rooms: Rooms, cap: int) -> tuple[Caller, bytes]:
    """The caller and the body. Who signs is known only with the body, since that is what the signature covers."""
    identity, headers = rooms.identity, exchange.headers
    caller = await identity.authenticate(headers, signed_ok=True)
    signed = identity.is_signed(headers)
    if not signed:
        record.caller = caller
    check_route(caller, exchange.path)
    body = await exchange.body(cap)
    if signed:
        identity.prove(exchange.method, exchange.raw_path, exchange.query, headers, body)
        record.caller = caller
    return caller, body


def _estimate(
    estimator: Estimator, roads: list[Road], call: ClientCall, operation: Operation, request_bytes: int
) -> tuple[int, int]:
    """Tokens and nano-dollars to hold, by the first target that will be tried. Counting tokens costs nothing."""
    if operation == "count_tokens":
        return 0, 0
    target = roads[0].candidates[0].target
    ceiling = 0 if operation == "embeddings" else call.max_output_tokens or target.facts.max_output_tokens
    usage = estimator.estimate(target.upstream_model, request_bytes, ceiling)
    return usage.total, target.price.cost(usage) if target.price is not None else 0
