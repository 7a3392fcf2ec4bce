"""One request to one target: written, signed, sent, and judged by its status line."""

from collections.abc import Mapping
from typing import Any

from sekisho.config.snapshot import Deployment, Snapshot
from sekisho.core.target import Errand, Target
from sekisho.core.wire import Operation, WireRequest, WriteOptions
from sekisho.gateway.reply import explain
from sekisho.gateway.standing import Manner
from sekisho.gateway.ways import Candidate
from sekisho.gateway.work import Work
from sekisho.http.connection import UpstreamResponse
from sekisho.http.failures import CallFailed, Timeouts

_ERROR_BODY_BYTES = 64 * 1024


def find_manner(work: Work, candidate: Candidate, operation: Operation = "chat") -> Manner:
    """How requests of the call are put to the candidate: the same for all calls that are alike in what matters."""
    call, known = work.call, work.standing.manners
    kind = (id(candidate.target), call.family, operation, call.stream)
    if (manner := known.get(kind)) is None:
        manner = known[kind] = _make_manner(work, candidate, operation)
    return manner


def choose_options(work: Work, target: Target, manner: Manner) -> WriteOptions:
    """How a request for this target is to be written."""
    call, ceiling = work.call, work.held.ceiling
    if ceiling is not None and (most := target.facts.max_output_tokens) is not None:
        ceiling = min(ceiling, most * call.answers)
    return WriteOptions(
        model=target.upstream_model,
        stream=call.stream,
        drop_params=manner.drop_params if call.drop_params is None else call.drop_params,
        # What the upstream's own log shall say of the call, so that it can be joined with the usage row.
        metadata={"sekisho_call_id": work.record.id, **work.standing.notes},
        ceiling=ceiling,
    )


async def send(work: Work, target: Target, wire: WireRequest, manner: Manner) -> UpstreamResponse:
    """Send, and return when the target has said that it will answer; to be closed.

    What it will probably cost is written down before, in case this process dies. From when a request that will be
    billed as a whole is sent, the client's hang-ups have to be heeded (`Exchange.heed`). Raises UpstreamError, or
    StoreUnavailable when it cannot be written down; then nothing was sent.
    """
    rooms, meter, errand = work.rooms, work.meter, manner.errand
    billed = errand.operation != "count_tokens"
    signed = await target.sign(wire, errand)
    meter.taken_by(target)
    if billed:
        rooms.journal.sent(work.record.row_if_lost(meter, work.held.expected), work.held.hold.booked)
    on_sent = work.exchange.persist if billed and not errand.stream else meter.mark_sent
    try:
        response = await rooms.access.client.post(signed.url, signed.headers, wire.body, manner.timeouts, on_sent)
    except CallFailed as failure:
        raise explain(failure, target) from failure
    if response.status != 200:
        await _raise_refusal(response, target)
    return response


def _make_manner(work: Work, candidate: Candidate, operation: Operation) -> Manner:
    deployment, family, dialects = candidate.deployment, work.call.family, work.rooms.access.dialects
    name = _choose_dialect(candidate.target, operation, family, dialects)
    return Manner(
        Errand(name, operation, work.call.stream, work.standing.sender),
        dialect=dialects[name],
        familiar=dialects[name].family == family,
        drop_params=work.snapshot.drop_params if deployment.drop_params is None else deployment.drop_params,
        timeouts=_make_timeouts(work.snapshot, deployment, stream=work.call.stream),
    )


def _choose_dialect(target: Target, operation: Operation, family: str, dialects: Mapping[str, Any]) -> str:
    """The name of the dialect to speak: one of the client's own family if the target has it, else the preferred one."""
    names = target.dialects[operation]
    return next((name for name in names if dialects[name].family == family), names[0])


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


async def _raise_refusal(response: UpstreamResponse, target: Target) -> None:
    try:
        body = await response.read(_ERROR_BODY_BYTES)
    except CallFailed as failure:
        raise explain(failure, target) from failure
    finally:
        response.close()
    raise target.classify_response(response.status, response.headers, body)
