"""The life of one model call, from its first header to its usage row. One verb per step, top to bottom."""

import asyncio

from sekisho.core.caller import Caller
from sekisho.core.errors import InternalError, SekishoError
from sekisho.gateway.attribution import read_wishes
from sekisho.gateway.exchange import Exchange
from sekisho.gateway.meter import Meter
from sekisho.gateway.observing import tell_end
from sekisho.gateway.planning import Planner, hold_first
from sekisho.gateway.record import CallRecord
from sekisho.gateway.relay import refuse
from sekisho.gateway.routes import Route
from sekisho.gateway.serving import SERVICES
from sekisho.gateway.work import Rooms, Work
from sekisho.identity.credential import find_credential
from sekisho.identity.rights import check_route
from sekisho.ledger.estimate import weigh_call
from sekisho.policy.tags import check_client_tags
from sekisho.telemetry.log import log_call_failure, log_crash


async def live(exchange: Exchange, route: Route, rooms: Rooms) -> None:
    """Carry one call through its life. Whatever the way out, what was used is settled and one usage row is left."""
    record = CallRecord(endpoint=route.endpoint, clock=rooms.clock, client_ip=exchange.client_ip)
    meter = Meter(rooms.estimator)
    try:
        await _serve(exchange, route, record, meter, rooms)
    except SekishoError as error:
        record.error = error
        log_call_failure(record.id, error)
    except asyncio.CancelledError:
        record.error = InternalError("The gateway is shutting down.", status=503)
        raise
    except Exception:  # noqa: BLE001  # the border to the client: nothing unforeseen may leave without an answer and a row
        record.error = InternalError(f"The gateway failed. Its log says why, under call {record.id}.")
        log_crash(record.id)
    finally:  # before the refusal goes out: a client must not hear of a call that a crash could still lose
        record.end()
        if record.caller is not None:
            rooms.journal.record(record.row(), record.booked)
        tell_end(rooms.telemetry, record, exchange)
    if record.error is not None:
        await refuse(exchange, route.dialect, record, record.error)


async def _serve(exchange: Exchange, route: Route, record: CallRecord, meter: Meter, rooms: Rooms) -> None:
    world, operation = rooms.world(), route.endpoint.operation
    caller, body = await _admit(exchange, record, rooms, world.snapshot.max_request_bytes)
    call = record.call = route.dialect.read_call(route.inbound(exchange, body))
    read_wishes(exchange, call, caller)
    check_client_tags(world.snapshot, call.tags)
    if call.end_user is not None or call.tags or caller.tags:
        caller = record.caller = await rooms.identity.widen(caller, call.end_user, call.tags)
    if route.continues:
        await rooms.continuity.resume(caller.owner, route.dialect, call)
    standing = rooms.standings.find(world, caller, call)
    record.recognise(standing)
    meter.owner, meter.request_bytes = standing.owner, weigh_call(call)
    planner = Planner(standing, call, operation, rooms.access, rooms.estimator, meter)
    plan, hold = await hold_first(rooms.ledger, planner, standing.model.group)
    try:
        held = plan.future.hold_with(hold)
        record.booked, record.ceiling = hold.booked, held.ceiling
        snapshot = standing.world.snapshot
        work = Work(exchange, route.dialect, call, plan.roads, standing, snapshot, record, meter, held, rooms)
        with exchange.cancelled_on_hangup():
            await SERVICES[operation](work)
    finally:
        record.charge(meter)
        hold.settle(record.usage.total, record.cost or 0)
        record.booked, record.overrun = hold.booked, hold.overrun
        rooms.ledger.end(hold)
        if standing.watched:
            rooms.soft_budgets.notice(caller.scopes, hold.booked)


async def _admit(exchange: Exchange, record: CallRecord, rooms: Rooms, cap: int) -> tuple[Caller, bytes]:
    """The caller and the body. Who signs is known only with the body, since that is what the signature covers."""
    identity, credential = rooms.identity, exchange.recall(find_credential)
    caller = identity.recall(credential) or await identity.recognise(credential)
    signature = credential.signature
    if signature is None:
        record.caller = caller
    check_route(caller, exchange.path)
    body = await exchange.body(cap)
    if exchange.waited:  # meanwhile the key may have been blocked, deleted or changed
        caller = await identity.recognise(credential)
        check_route(caller, exchange.path)
        if signature is None:
            record.caller = caller
    if signature is not None:
        identity.prove(signature, exchange.method, exchange.raw_path, exchange.query, exchange.headers, body)
        record.caller = caller
    return caller, body
