"""The simulator as one ASGI application: all services and the control API on one host."""

import asyncio

from sekisho.core.clock import Clock
from sekisho.simulator.auth import authenticate
from sekisho.simulator.control import PREFIX, answer_control
from sekisho.simulator.errors import Refusal
from sekisho.simulator.faults import raise_fault
from sekisho.simulator.http import AsgiApp, Receive, Reply, Request, Scope, Send, read_request, send_reply
from sekisho.simulator.planes import answer_plane, is_plane
from sekisho.simulator.runtime import serve_model_call
from sekisho.simulator.settings import SimulatorSettings
from sekisho.simulator.state import CallRecord, World
from sekisho.simulator.sts import answer_action, read_parameters, write_sts_error


def build_simulator(settings: SimulatorSettings, clock: Clock) -> AsgiApp:
    """The local counterpart of Amazon Bedrock with its STS, SageMaker, Anthropic and OpenAI, ready to be served.

    Of Bedrock's control plane and of Service Quotas it has what one asks before calling a model (`planes`).

    `clock.now` decides on signatures and expiry, `clock.monotonic` on quotas and prompt caches. Its state lives in
    memory; temporary credentials and thinking signatures are sealed, so every simulator accepts those of another.
    """
    world = World(settings, clock)

    async def simulate(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"the simulator does not speak {scope['type']}")
        try:
            request = await read_request(scope, receive)
        except ConnectionError:
            return
        except Refusal as error:
            headers = {"content-type": "application/json", "x-amzn-errortype": error.kind}
            await send_reply(send, Reply(status=error.status, headers=headers, body=b'{"message":"Request too large"}'))
            return
        if request.raw_path.startswith(PREFIX):
            await send_reply(send, answer_control(world, request))
        elif is_plane(request):
            await send_reply(send, answer_plane(world, request))
        elif request.raw_path == "/":
            await send_reply(send, await _answer_sts(world, request))
        else:
            await serve_model_call(world, request, receive, send)

    return simulate


async def _live(receive: Receive, send: Send) -> None:
    while True:
        event = (await receive())["type"].rpartition(".")[2]
        await send({"type": f"lifespan.{event}.complete"})
        if event == "shutdown":
            return


async def _answer_sts(world: World, request: Request) -> Reply:
    parameters = read_parameters(request)
    call = world.open_call(parameters.get("Action") or "Unknown", service="sts")
    try:
        reply = await _act(world, request, call, parameters)
    except Refusal as error:
        call.error = error.kind
        reply = write_sts_error(error, call.request_id)
    call.status, call.complete = reply.status, True
    return reply


async def _act(world: World, request: Request, call: CallRecord, parameters: dict[str, str]) -> Reply:
    now = world.clock.now()
    caller = authenticate(request, service="sts", settings=world.settings, now=now)
    call.account, call.region, call.principal = caller.account, caller.region, caller.arn
    call.session_name = parameters.get("RoleSessionName")
    fault = world.take_fault(None, call)
    if fault is not None:
        call.fault = fault.kind
        raise_fault(fault)
        await asyncio.sleep(fault.first_ms / 1000)
    return answer_action(parameters, caller, world.settings, now, call.request_id)
