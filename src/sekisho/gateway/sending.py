"""One request to one target: written, signed, sent, and judged by its status line."""

from collections.abc import Mapping
from typing import Any

from sekisho.config.snapshot import Deployment, Snapshot
from sekisho.core.target import Errand, Target
from sekisho.core.wire import Operation, WireRequest, WriteOptions
from sekisho.gateway.reply import explain
from sekisho.gateway.ways import Candidate
from sekisho.gateway.work import Work
from sekisho.http.connection import UpstreamResponse
from sekisho.http.failures import CallFailed, Timeouts

_ERROR_BODY_BYTES = 64 * 1024


def choose_dialect(target: Target, operation: Operation, family: str, dialects: Mapping[str, Any]) -> str:
    """The name of the dialect to speak: one of the client's own family if the target has it, else the preferred one."""
    names = target.dialects[operation]
    for name in names:
        if dialects[name].family == family:
            return name
    return names[0]


def choose_options(work: Work, candidate: Candidate) -> WriteOptions:
    """How a request for this candidate is to be written."""
    call, target, drop_params = work.call, candidate.target, work.call.drop_params
    if drop_params is None:
        drop_params = candidate.deployment.drop_params
    if drop_params is None:
        drop_params = work.snapshot.drop_params
    ceiling, most = work.held.ceiling, target.facts.max_output_tokens
    if ceiling is not None and most is not None:
        ceiling = min(ceiling, most * call.answers)
    return WriteOptions(
        model=target.upstream_model,
        stream=call.stream,
        drop_params=drop_params,
        metadata=_describe(work),
        ceiling=ceiling,
    )


async def send(
    work: Work, candidate: Candidate, wire: WireRequest, dialect: str, operation: Operation = "chat"
) -> UpstreamResponse:
    """Send, and return when the target has said that it will answer; to be closed.

    What it will probably cost is written down before, in case this process dies. From when a request that will be
    billed as a whole is sent, the client's hang-ups have to be heeded (`Exchange.heed`). Raises UpstreamError, or
    StoreUnavailable when it cannot be written down; then nothing was sent.
    """
    target, rooms, meter = candidate.target, work.rooms, work.meter
    on_sent = None if work.call.stream or operation == "count_tokens" else work.exchange.persist
    signed = await target.sign(wire, Errand(dialect, operation, work.call.stream, work.standing.sender))
    meter.taken_by(target)
    if operation != "count_tokens":
        rooms.journal.sent(work.record.row_if_lost(meter, work.held.expected), work.held.hold.booked)
    try:
        response = await rooms.access.client.post(
            signed.url, signed.headers, wire.body, find_timeouts(work, candidate.deployment), on_sent
        )
    except CallFailed as failure:
        raise explain(failure, target) from failure
    if response.status != 200:
        await _raise_refusal(response, target)
    return response


def find_timeouts(work: Work, deployment: Deployment) -> Timeouts:
    """How long an attempt at the deployment may take: by its own settings, else by those of all."""
    known, kind = work.standing.timeouts, (id(deployment), work.call.stream)
    if (timeouts := known.get(kind)) is None:
        timeouts = known[kind] = _make_timeouts(work.snapshot, deployment, stream=work.call.stream)
    return timeouts


def _make_timeouts(snapshot: Snapshot, deployment: Deployment, *, stream: bool) -> Timeouts:
    first = deployment.timeout or snapshot.request_timeout
    if stream:
        first = deployment.stream_timeout or snapshot.stream_timeout or first
    return Timeouts(
        connect=deployment.connect_timeout or snapshot.connect_timeout,
        first=first,
        idle=deployment.idle_timeout or snapshot.idle_timeout,
        total=deployment.total_timeout or snapshot.total_timeout,
    )


def _describe(work: Work) -> dict[str, str]:
    """What the upstream's own log shall say of the call, so that it can be joined with the usage row."""
    return {"sekisho_call_id": work.record.id, **work.standing.notes}


async def _raise_refusal(response: UpstreamResponse, target: Target) -> None:
    try:
        body = await response.read(_ERROR_BODY_BYTES)
    except CallFailed as failure:
        raise explain(failure, target) from failure
    finally:
        response.close()
    raise target.classify_response(response.status, response.headers, body)
