"""One call to bedrock-runtime, from its path to the last byte of its answer."""

import base64
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from sekisho.core.usage import Usage
from sekisho.dialects.bedrock_converse.framing import encode_frame
from sekisho.simulator.accounting import count_output, count_prompt, tokens_of_bytes
from sekisho.simulator.auth import authenticate
from sekisho.simulator.converse import read_converse, stream_converse, write_converse
from sekisho.simulator.errors import AwsError, invalid
from sekisho.simulator.http import Hangup, Receive, Reply, Request, Send, send_reply, start_response
from sekisho.simulator.invoke import read_messages, stream_message, write_message
from sekisho.simulator.model import load_service_model
from sekisho.simulator.prompt import Answer, Prompt, StreamEvent
from sekisho.simulator.rules import check_prompt
from sekisho.simulator.script import play
from sekisho.simulator.settings import Fault
from sekisho.simulator.state import CallRecord, World

FAULT_HEADER = "x-sekisho-simulate"

_OPERATIONS = {
    "converse": "Converse",
    "converse-stream": "ConverseStream",
    "invoke": "InvokeModel",
    "invoke-with-response-stream": "InvokeModelWithResponseStream",
    "count-tokens": "CountTokens",
}
_NO_FAULT = Fault(kind="slow")
_ERROR_TYPE_SUFFIX = ":http://internal.amazon.com/coral/com.amazon.bedrock/"
_GARBAGE = b"\x00\x00\x00\x20this is no answer of Bedrock"


class _Exchange(Struct, kw_only=True):
    """A call that has been understood, with its answer."""

    call: CallRecord
    fault: Fault
    body: dict[str, Any]
    prompt: Prompt
    answer: Answer
    input_usage: Usage
    reserved: int
    started: float


async def serve_model_call(world: World, request: Request, receive: Receive, send: Send) -> None:
    """Answers `POST /model/{modelId}/{operation}`."""
    segments = request.segments
    known = request.method == "POST" and len(segments) == 3 and segments[0] == "model"
    operation = _OPERATIONS.get(segments[-1]) if known else None
    call = world.open_call(operation or "Unknown", segments[1] if known else None)
    async with Hangup(receive) as hangup:
        try:
            if operation is None or call.model is None:
                raise AwsError("UnknownOperationException", f"No operation {request.method} {request.raw_path}")
            fault = _enter(world, request, call)
            if await hangup.pause(world.settings.first_byte_ms + fault.first_ms):
                call.disconnected = True
                return
            if operation == "CountTokens":
                await send_reply(send, _finish(call, _count_tokens(call, request)))
                return
            exchange = _converse(world, request, call, fault)
            if operation.endswith("Stream"):
                await _send_stream(world, exchange, hangup, send)
            else:
                await send_reply(send, _write_whole(world, exchange))
        except AwsError as error:
            await send_reply(send, _finish(call, _write_error(call, error)))


def _enter(world: World, request: Request, call: CallRecord) -> Fault:
    """Lets the caller in and looks up what is to go wrong. Raises AwsError."""
    principal = authenticate(request, service="bedrock", settings=world.settings, now=world.clock.now())
    call.account, call.region, call.principal = principal.account, principal.region, principal.arn
    call.session_name = principal.arn.rpartition("/")[2] if principal.assumed else None
    fault = world.take_fault(request.headers.get(FAULT_HEADER), call)
    if fault is None:
        return _NO_FAULT
    call.fault = fault.kind
    raise_fault(fault)
    if fault.kind == "exception_event" and not call.operation.endswith("Stream"):
        raise AwsError(_upper(fault.type or "ModelErrorException"), _words(fault))
    return fault


def raise_fault(fault: Fault) -> None:
    """Raises the AwsError of a fault that refuses a call; others are played later."""
    if fault.kind == "throttle":
        message = fault.message or "Too many requests, please wait before trying again."
        raise AwsError(fault.type or "ThrottlingException", message, fault.status)
    if fault.kind == "access_denied":
        message = fault.message or "You don't have access to the model with the specified model ID."
        raise AwsError(fault.type or "AccessDeniedException", message, fault.status)
    if fault.kind == "error":
        raise AwsError(fault.type or "InternalServerException", _words(fault), fault.status)


def _words(fault: Fault) -> str:
    return fault.message or "The system encountered an unexpected error during processing. Try your request again."


def _upper(kind: str) -> str:
    return kind[:1].upper() + kind[1:]


def _converse(world: World, request: Request, call: CallRecord, fault: Fault) -> _Exchange:
    """Understands a call, checks it, books it, and lets the model answer. Raises AwsError."""
    started = world.clock.monotonic()
    body, prompt = _read(call, request)
    check_prompt(prompt)
    quarter = (call.account or "", call.region or "", call.model or "")
    reserved = world.reserve(quarter, count_prompt(prompt), prompt.max_tokens)
    return _Exchange(
        call=call,
        fault=fault,
        body=body,
        prompt=prompt,
        answer=play(prompt),
        input_usage=world.cache.account(quarter, prompt),
        reserved=reserved,
        started=started,
    )


def _read(call: CallRecord, request: Request) -> tuple[dict[str, Any], Prompt]:
    model = call.model or ""
    if call.operation.startswith("Converse"):
        body = _decode(request.body)
        load_service_model().check_request(call.operation, model, body, request.headers)
        call.request_metadata = body.get("requestMetadata") or {}
        return body, read_converse(model, body)
    load_service_model().check_request(call.operation, model, {"body": request.body}, request.headers)
    metadata = request.headers.get("x-amzn-bedrock-request-metadata")
    try:
        call.request_metadata = msgspec.json.decode(metadata, type=dict[str, str]) if metadata else {}
    except msgspec.DecodeError as error:
        raise invalid(f"The X-Amzn-Bedrock-Request-Metadata header is not a JSON object of strings: {error}") from None
    return {}, read_messages(model, request.body)


def _decode(body: bytes) -> dict[str, Any]:
    try:
        document: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise AwsError("SerializationException", f"The request body is not a JSON object: {error}", 400) from None
    return document


def _count_tokens(call: CallRecord, request: Request) -> Reply:
    model, body = call.model or "", _decode(request.body)
    load_service_model().check_request(call.operation, model, body, request.headers)
    question = body["input"]
    if question.get("converse") is not None:
        prompt = read_converse(model, question["converse"])
    else:
        prompt = read_messages(model, base64.b64decode(question["invokeModel"]["body"]))
    check_prompt(prompt)
    return Reply(headers=_json_headers(call), body=msgspec.json.encode({"inputTokens": count_prompt(prompt)}))


def _json_headers(call: CallRecord) -> dict[str, str]:
    return {"content-type": "application/json", "x-amzn-requestid": call.request_id}


def _write_error(call: CallRecord, error: AwsError) -> Reply:
    call.error = error.kind
    headers = {**_json_headers(call), "x-amzn-errortype": error.kind + _ERROR_TYPE_SUFFIX}
    return Reply(status=error.status, headers=headers, body=msgspec.json.encode({"message": error.message}))


def _finish(call: CallRecord, reply: Reply) -> Reply:
    call.status, call.complete = reply.status, not reply.cut
    return reply


def _usage(exchange: _Exchange, output: Usage) -> Usage:
    return msgspec.structs.replace(exchange.input_usage, output=output.output, reasoning=output.reasoning)


def _close(world: World, exchange: _Exchange, usage: Usage) -> None:
    """Notes what a call used in the end."""
    call = exchange.call
    call.usage = usage
    world.settle((call.account or "", call.region or "", call.model or ""), exchange.reserved, usage)


def _latency(world: World, exchange: _Exchange) -> int:
    return int((world.clock.monotonic() - exchange.started) * 1000)


def _write_whole(world: World, exchange: _Exchange) -> Reply:
    call, usage = exchange.call, _usage(exchange, count_output(exchange.answer))
    call.stop_reason = exchange.answer.stop_reason
    _close(world, exchange, usage)
    headers, latency = _json_headers(call), _latency(world, exchange)
    if call.operation == "Converse":
        body = write_converse(exchange.body, exchange.answer, usage, latency)
    else:
        body = write_message(exchange.prompt.model, exchange.answer, usage, _message_id(call))
        counts = {
            "input-token-count": usage.input,
            "output-token-count": usage.output,
            "cache-read-input-token-count": usage.cache_read,
            "cache-write-input-token-count": usage.cache_write,
            "invocation-latency": latency,
        }
        headers |= {f"x-amzn-bedrock-{name}": str(value) for name, value in counts.items()}
    if exchange.fault.kind == "garbage":
        body = _GARBAGE
    return _finish(call, Reply(headers=headers, body=body, cut=exchange.fault.kind == "cut"))


def _message_id(call: CallRecord) -> str:
    return call.request_id.replace("-", "")


def _events(world: World, exchange: _Exchange, usage: Usage) -> Iterator[StreamEvent]:
    latency = _latency(world, exchange)
    if exchange.call.operation == "ConverseStream":
        return stream_converse(exchange.body, exchange.answer, usage, latency)
    message_id = _message_id(exchange.call)
    return stream_message(exchange.prompt.model, exchange.answer, usage, message_id, latency)


async def _send_stream(world: World, exchange: _Exchange, hangup: Hangup, send: Send) -> None:
    call, fault = exchange.call, exchange.fault
    headers = {
        "content-type": "application/vnd.amazon.eventstream",
        "x-amzn-requestid": call.request_id,
        "x-amzn-bedrock-content-type": "application/json",
    }
    usage = _usage(exchange, count_output(exchange.answer))
    events = list(_events(world, exchange, usage))
    stop_at = min(fault.after, len(events)) if fault.kind in ("cut", "exception_event", "garbage") else None
    call.status = 200
    produced = 0
    try:
        await start_response(send, 200, headers)
        for event in events[:stop_at]:
            if await hangup.pause(world.settings.event_ms + fault.event_ms):
                call.disconnected = True
                return
            await _send_frame(send, "event", event.kind, event.payload)
            produced = event.produced
        if stop_at is None:
            call.complete, call.stop_reason = True, exchange.answer.stop_reason
        else:
            await _break_off(send, call, fault)
        # After a cut the body is left open and never ended, which makes the server close the connection.
        if fault.kind != "cut":
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    except OSError:  # what an ASGI server raises when it sends to a client that has left
        call.disconnected, call.complete = True, False
    finally:
        _close(world, exchange, usage if call.complete else _usage(exchange, Usage(output=tokens_of_bytes(produced))))


async def _break_off(send: Send, call: CallRecord, fault: Fault) -> None:
    if fault.kind == "garbage":
        await send({"type": "http.response.body", "body": _GARBAGE, "more_body": True})
    elif fault.kind == "exception_event":
        kind = fault.type or "modelStreamErrorException"
        call.error = _upper(kind)
        payload = msgspec.json.encode({"message": _words(fault)})
        await _send_frame(send, "exception", kind[:1].lower() + kind[1:], payload)


async def _send_frame(send: Send, message_type: str, kind: str, payload: bytes) -> None:
    headers = {f":{message_type}-type": kind, ":content-type": "application/json", ":message-type": message_type}
    await send({"type": "http.response.body", "body": encode_frame(headers, payload), "more_body": True})
