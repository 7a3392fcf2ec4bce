"""One call to a model, by whichever wire, from its path to the last byte of its answer."""

import msgspec

from sekisho.core.usage import Usage
from sekisho.simulator.accounting import count_output, count_prompt
from sekisho.simulator.errors import Refusal
from sekisho.simulator.faults import raise_fault, upper_kind, words_of
from sekisho.simulator.http import Hangup, Receive, Reply, Request, Send, send_reply
from sekisho.simulator.routes import Route, find_route
from sekisho.simulator.script import play
from sekisho.simulator.sending import Exchange, send_stream
from sekisho.simulator.settings import Fault
from sekisho.simulator.state import CallRecord, World
from sekisho.simulator.wires.aws import write_aws_error
from sekisho.simulator.wires.base import Counter, Directory, Embedder, Said, Wire

FAULT_HEADER = "x-sekisho-simulate"

_NO_FAULT = Fault(kind="slow")
_GARBAGE = b"\x00\x00\x00\x20this is no answer of a model"


async def serve_model_call(world: World, request: Request, receive: Receive, send: Send) -> None:
    """Answers a call to any of the services, or says that there is none by that path."""
    route = find_route(request)
    if route is None:
        await send_reply(send, _refuse_path(world, request))
        return
    call = world.open_call(route.operation, route.model, route.service.name)
    world.record_request(call, request.headers, request.body)
    async with Hangup(receive) as hangup:
        try:
            fault = _enter(world, request, route, call)
            if await hangup.pause(world.settings.first_byte_ms + fault.first_ms):
                call.disconnected = True
                return
            if not isinstance(route.speaker, Wire):
                await send_reply(send, _finish(call, _answer_at_once(request, route, call)))
                return
            exchange = _converse(world, request, route.speaker, call, fault)
            if route.stream:
                await send_stream(world, exchange, route.service, hangup, send)
            else:
                await send_reply(send, _write_whole(world, exchange, route))
        except Refusal as error:
            await send_reply(send, _finish(call, _write_error(call, route, error)))


def _refuse_path(world: World, request: Request) -> Reply:
    call = world.open_call("Unknown")
    error = Refusal("UnknownOperationException", f"No operation {request.method} {request.raw_path}")
    call.error = error.kind
    status, headers, document = write_aws_error(error)
    headers = {"x-amzn-requestid": call.request_id, **headers}
    return _finish(call, _json(document, headers, status))


def _enter(world: World, request: Request, route: Route, call: CallRecord) -> Fault:
    """Lets the caller in and looks up what is to go wrong. Raises Refusal."""
    caller = route.service.identify(request, world.settings, world.clock.now())
    call.account, call.region, call.principal = caller.account, caller.region, caller.arn
    call.session_name = caller.session
    if not world.is_granted(call):
        raise Refusal("AccessDeniedException", "You don't have access to the model with the specified model ID.")
    fault = world.take_fault(request.headers.get(FAULT_HEADER), call)
    if fault is None:
        return _NO_FAULT
    call.fault = fault.kind
    raise_fault(fault)
    if fault.kind == "exception_event" and not route.stream:
        raise Refusal(upper_kind(fault.type or "ModelErrorException"), words_of(fault))
    return fault


def _answer_at_once(request: Request, route: Route, call: CallRecord) -> Reply:
    """The answer to anything but a conversation."""
    speaker, headers = route.speaker, route.service.name_call(call.request_id)
    if isinstance(speaker, Counter):
        prompt = speaker.read(request, route.model or "")
        return _json(speaker.write_count(count_prompt(prompt)), headers)
    if isinstance(speaker, Embedder):
        embedded = speaker.embed(request, route.model or "")
        call.usage = Usage(input=embedded.tokens)
        return _json(embedded.document, {**headers, **embedded.headers})
    if isinstance(speaker, Directory):
        return _json(speaker.list_models(), headers)
    raise TypeError(f"nobody knows how to answer for a {type(speaker).__name__}")


def _converse(world: World, request: Request, wire: Wire, call: CallRecord, fault: Fault) -> Exchange:
    """Understands a call, books it, and lets the model answer. Raises Refusal."""
    started = world.clock.monotonic()
    prompt = wire.read(request, call.behind or call.model or "")
    call.request_metadata = prompt.metadata
    reserved = world.reserve(call, count_prompt(prompt), prompt.max_tokens)
    answer = play(prompt)
    output = count_output(answer)
    usage = world.cache.account(call.quarter, prompt)
    said = Said(
        id=call.request_id.replace("-", ""),
        created=int(world.clock.now()),
        prompt=prompt,
        answer=answer,
        usage=msgspec.structs.replace(usage, output=output.output, reasoning=output.reasoning),
        latency_ms=int((world.clock.monotonic() - started) * 1000),
    )
    return Exchange(call=call, fault=fault, wire=wire, said=said, reserved=reserved)


def _write_whole(world: World, exchange: Exchange, route: Route) -> Reply:
    call, said, wire = exchange.call, exchange.said, exchange.wire
    call.stop_reason = said.answer.stop_reason
    exchange.close(world, said.usage)
    headers = {**route.service.name_call(call.request_id), **wire.headers(said)}
    reply = _json({**wire.write(said), **said.answer.extra}, headers)
    if exchange.fault.kind == "garbage":
        reply.body = _GARBAGE
    reply.cut = exchange.fault.kind == "cut"
    return _finish(call, reply)


def _write_error(call: CallRecord, route: Route, error: Refusal) -> Reply:
    call.error = error.kind
    status, headers, document = route.speaker.write_error(error)
    return _json(document, {**route.service.name_call(call.request_id), **headers}, status)


def _json(document: object, headers: dict[str, str], status: int = 200) -> Reply:
    headers = {"content-type": "application/json", **headers}
    return Reply(status=status, headers=headers, body=msgspec.json.encode(document))


def _finish(call: CallRecord, reply: Reply) -> Reply:
    call.status, call.complete = reply.status, not reply.cut
    return reply
