"""Call the targets of a plan, one after the other, until one answers.

A target that fails with the verdict "elsewhere" is left at once: for the next deployment of its group, then for the
fallbacks. Only where a group has no other deployment left is the same target tried again, after a growing pause, and
only if its failure is of the kind that passes. Nothing waits after the last attempt.
"""

import asyncio
from collections.abc import Mapping, Sequence
from random import Random

from msgspec import Struct

from sekisho.config.snapshot import Deployment, Snapshot
from sekisho.core.chat import ClientCall
from sekisho.core.errors import SekishoError, UpstreamError, UpstreamUnavailable
from sekisho.core.wire import Target, UpstreamDialect, WriteOptions
from sekisho.gateway.cooldowns import Cooldowns
from sekisho.gateway.failures import Failures
from sekisho.gateway.meter import Meter
from sekisho.gateway.record import CallRecord
from sekisho.gateway.reply import Reply, explain
from sekisho.gateway.upstream import CallFailed, Timeouts, UpstreamClient
from sekisho.policy.caching import mark_for_caching
from sekisho.telemetry.log import log_upstream_failure

_ERROR_BODY_BYTES = 64 * 1024
_PAUSE_SECONDS = 0.5
_MAX_PAUSE_SECONDS = 8.0


class Candidate(Struct, frozen=True):
    """A deployment and the target it resolves to."""

    deployment: Deployment
    target: Target


class Road(Struct, frozen=True):
    """One model group of a plan, with its candidates in the order to try them."""

    group: str
    candidates: tuple[Candidate, ...]


class UpstreamAccess(Struct, frozen=True):
    """What every attempt needs: connections, dialects by name, what is at rest, and chance."""

    client: UpstreamClient
    dialects: Mapping[str, UpstreamDialect]
    cooldowns: Cooldowns
    random: Random


class Attempts:
    """The attempts of one call; the meter and the record are told of each."""

    def __init__(
        self, access: UpstreamAccess, snapshot: Snapshot, call: ClientCall, meter: Meter, record: CallRecord
    ) -> None:
        self._access = access
        self._snapshot = snapshot
        self._call = call
        self._meter = meter
        self._record = record
        self._failures = Failures()
        self._repeats_left = snapshot.num_retries if call.num_retries is None else call.num_retries

    async def first_that_answers(self, roads: Sequence[Road]) -> Reply:
        """The first reply to be had. Raises the error that says most about why there is none."""
        total = self._call.timeout or self._snapshot.request_timeout
        try:
            async with asyncio.timeout(total):
                for road in roads:
                    if reply := await self._try_road(road):
                        return reply
        except TimeoutError:
            message = f"No model answered within {total:g} s."
            self._failures.add(UpstreamUnavailable(message, verdict="never", native="timeout", status=504))
        raise self._failures.most_telling()

    async def _try_road(self, road: Road) -> Reply | None:
        if self._record.group not in (None, road.group):
            self._record.fallbacks += 1
        self._record.group = road.group
        last = len(road.candidates) - 1
        for position, candidate in enumerate(road.candidates):
            if reply := await self._try_candidate(candidate, may_repeat=position == last):
                return reply
        return None

    async def _try_candidate(self, candidate: Candidate, *, may_repeat: bool) -> Reply | None:
        pause = _PAUSE_SECONDS
        while True:
            if self._record.target is not None:
                self._record.retries += 1
            self._record.target = candidate.target
            try:
                reply = await self._call_once(candidate)
            except SekishoError as error:
                self._note_failure(candidate.target, error)
                verdict = error.verdict if isinstance(error, UpstreamError) else "elsewhere"
                if verdict == "never":
                    raise self._failures.most_telling() from error
                if verdict == "elsewhere" or not may_repeat or self._repeats_left <= 0:
                    return None
                self._repeats_left -= 1
                with self._record.waiting():
                    await asyncio.sleep((error.retry_after or pause) * (1 + self._access.random.random() / 4))
                pause = min(pause * 2, _MAX_PAUSE_SECONDS)
            else:
                self._access.cooldowns.wake(candidate.target.bucket)
                return reply

    async def _call_once(self, candidate: Candidate) -> Reply:
        """One attempt. Returns with the whole answer, or when the first event of a stream has come."""
        target, call = candidate.target, self._call
        dialect = self._access.dialects[target.dialect]
        if self._snapshot.prompt_caching:
            mark_for_caching(call.chat, target.facts)
        wire = dialect.write_request(call.chat, target.facts, self._options(candidate.deployment))
        self._record.dropped = wire.dropped
        signed = await target.sign(wire.body, stream=call.stream)
        self._meter.taken_by(target)
        with self._record.waiting():
            try:
                response = await self._access.client.post(
                    signed.url, signed.headers, wire.body, self._timeouts(candidate.deployment)
                )
            except CallFailed as failure:
                raise explain(failure, target) from failure
            reply = Reply(target, dialect, wire, response)
            try:
                if response.status != 200:
                    body = await response.read(_ERROR_BODY_BYTES)
                    raise target.classify_response(response.status, response.headers, body)
                await (reply.await_first_event() if call.stream else reply.await_answer())
            except BaseException:  # also when cancelled: the connection must not stay open
                reply.close()
                raise
        return reply

    def _note_failure(self, target: Target, error: SekishoError) -> None:
        self._meter.not_taken()
        self._failures.add(error)
        log_upstream_failure(self._record.id, target, error)
        if isinstance(error, UpstreamError) and error.cooldown > 0:
            configured = self._snapshot.cooldown_time
            self._access.cooldowns.rest(target.bucket, error.cooldown if configured is None else configured)

    def _options(self, deployment: Deployment) -> WriteOptions:
        wishes = (self._call.drop_params, deployment.drop_params)
        drop_params = next((wish for wish in wishes if wish is not None), self._snapshot.drop_params)
        return WriteOptions(drop_params=drop_params, metadata=self._metadata())

    def _metadata(self) -> dict[str, str]:
        """What the upstream's own log shall say of the call, so that it can be joined with the usage row."""
        caller = self._record.caller
        pairs = {"sekisho_call_id": self._record.id}
        if caller is not None and caller.user_id is not None:
            pairs["user"] = caller.user_id
        if caller is not None and caller.team_id is not None:
            pairs["team"] = caller.team_id
        return pairs

    def _timeouts(self, deployment: Deployment) -> Timeouts:
        first = deployment.timeout or self._snapshot.request_timeout
        if self._call.stream:
            first = deployment.stream_timeout or self._snapshot.stream_timeout or first
        return Timeouts(first=first)
