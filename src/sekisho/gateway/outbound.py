"""One request to one target: signed, sent, and judged by its status line."""

from collections.abc import Mapping
from random import Random
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from sekisho.config.snapshot import Deployment, Snapshot
from sekisho.core.chat import ClientCall
from sekisho.core.target import Errand, Sender, Target
from sekisho.core.wire import Operation, WireRequest, WriteOptions
from sekisho.gateway.alarm import Alarm
from sekisho.gateway.holding import Held
from sekisho.gateway.meter import Meter
from sekisho.gateway.queueing import Queue
from sekisho.gateway.record import CallRecord
from sekisho.gateway.reply import explain
from sekisho.gateway.traffic import Traffic
from sekisho.gateway.ways import Candidate
from sekisho.http.client import UpstreamClient
from sekisho.http.connection import UpstreamResponse
from sekisho.http.failures import CallFailed, Timeouts
from sekisho.store.journal import UsageJournal

_ERROR_BODY_BYTES = 64 * 1024


class UpstreamAccess(Struct, frozen=True):
    """What every attempt needs: connections, dialects by name, what is known of the targets, who waits, chance, time.

    The dialects are of three kinds (`core.wire`): the operation decides which one a name stands for.
    """

    client: UpstreamClient
    dialects: Mapping[str, Any]
    traffic: Traffic
    queue: Queue
    random: Random
    alarm: Alarm = field(default_factory=Alarm)


class Outbound:
    """Sends requests for one call."""

    def __init__(
        self,
        access: UpstreamAccess,
        snapshot: Snapshot,
        call: ClientCall,
        *,
        meter: Meter,
        record: CallRecord,
        held: Held,
        journal: UsageJournal,
    ) -> None:
        self._access = access
        self._snapshot = snapshot
        self._call = call
        self._meter = meter
        self._record = record
        self._held = held
        self._journal = journal

    def options(self, candidate: Candidate) -> WriteOptions:
        """How a request for this candidate is to be written."""
        deployment = candidate.deployment
        wishes = (self._call.drop_params, deployment.drop_params)
        drop_params = next((wish for wish in wishes if wish is not None), self._snapshot.drop_params)
        return WriteOptions(
            model=candidate.target.upstream_model,
            stream=self._call.stream,
            drop_params=drop_params,
            metadata=self._metadata(),
            ceiling=self._ceiling(candidate.target),
        )

    async def send(self, candidate: Candidate, wire: WireRequest, errand: Errand) -> UpstreamResponse:
        """Send, and return when the target has said that it will answer; to be closed.

        What it will probably cost is written down before, in case this process dies. Raises UpstreamError, or
        StoreUnavailable when it cannot be written down; then nothing was sent.
        """
        target = candidate.target
        signed = await target.sign(wire, replace(errand, sender=self._sender()))
        self._meter.taken_by(target)
        if errand.operation != "count_tokens":
            self._journal.sent(self._record.row_if_lost(self._meter, self._held.expected), self._held.hold.booked)
        try:
            response = await self._access.client.post(
                signed.url, signed.headers, wire.body, self.timeouts(candidate.deployment)
            )
        except CallFailed as failure:
            raise explain(failure, target) from failure
        if response.status != 200:
            await _raise_refusal(response, target)
        return response

    def _ceiling(self, target: Target) -> int | None:
        """The output limit that the hold sets, no higher than the model's own."""
        ceiling, most = self._held.ceiling, target.facts.max_output_tokens
        return ceiling if ceiling is None or most is None else min(ceiling, most * self._call.answers)

    def _sender(self) -> Sender | None:
        """Whose call it is, for upstreams that keep a record of that."""
        caller = self._record.caller
        if caller is None:
            return None
        return Sender(
            user_id=caller.user_id,
            team_id=caller.team_id,
            organization_id=caller.organization_id,
            key_alias=caller.key_alias,
        )

    def _metadata(self) -> dict[str, str]:
        """What the upstream's own log shall say of the call, so that it can be joined with the usage row."""
        caller = self._record.caller
        pairs = {"sekisho_call_id": self._record.id}
        if caller is not None and caller.user_id is not None:
            pairs["user"] = caller.user_id
        if caller is not None and caller.team_id is not None:
            pairs["team"] = caller.team_id
        return pairs

    def timeouts(self, deployment: Deployment) -> Timeouts:
        """How long an attempt at the deployment may take: by its own settings, else by those of all."""
        snapshot = self._snapshot
        first = deployment.timeout or snapshot.request_timeout
        if self._call.stream:
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


def choose_dialect(target: Target, operation: Operation, family: str, dialects: Mapping[str, Any]) -> str:
    """The name of the dialect to speak: one of the client's own family if the target has it, else the preferred one."""
    names = target.dialects[operation]
    return next((name for name in names if dialects[name].family == family), names[0])
