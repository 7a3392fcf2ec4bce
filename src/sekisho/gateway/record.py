"""What happened to one call, gathered while it lives: the usage row, and the response headers that tell the client."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Final

from msgspec import Struct

from sekisho.core.caller import Caller
from sekisho.core.chat import ChatRequest, ClientCall
from sekisho.core.clock import Clock
from sekisho.core.errors import ClientGone, SekishoError
from sekisho.core.ids import new_id
from sekisho.core.money import Price
from sekisho.core.target import Target
from sekisho.core.usage import Usage
from sekisho.gateway.limits import RawHeaders
from sekisho.gateway.meter import Meter
from sekisho.gateway.standing import Standing, name_caller
from sekisho.policy.naming import ChosenModel
from sekisho.store.records import UsageAttempt, UsageRoad, UsageRow
from sekisho.telemetry.calls import Attempt, Call

_NANO = 10**9
_NO_DETOUR: Final = [(b"x-litellm-attempted-retries", b"0"), (b"x-litellm-attempted-fallbacks", b"0")]


class _Outcome(Struct, frozen=True):
    """How a call ended, as its usage row says it."""

    status: str
    http_status: int
    error_class: str | None


_LOST = _Outcome("failure", 500, "WorkerDied")


def _read_nothing() -> ChatRequest:
    return ChatRequest(system=[], messages=[])


_NO_CALL = ClientCall(model=None, body=b"", family="", path="", read=_read_nothing)
"""Stands for a call that could not be read."""


def _end_of(error: SekishoError | None) -> _Outcome:
    if error is None:
        return _Outcome("success", 200, None)
    return _Outcome("client_closed" if isinstance(error, ClientGone) else "failure", error.status, _class_of(error))


class CallRecord(Call, kw_only=True):
    """One call's facts, with those that only its usage row and the response headers tell.

    standing: what it has in common with others, once that is known; model: what it asks for.
    price: that of the upstream that took the call, in the end.
    queued: how many of the seconds that were `waited` were spent in line for room at an upstream.
    ceiling: the output limit that a budget has set, in tokens.
    booked: the accounts that pay for the call, and whether each is leased; none before it is held.
    overrun: by how many nano-dollars it cost more than was held.
    lost: what was written down before the request left last: the row to book if the end is never told.
    """

    clock: Clock
    client_ip: str | None
    started_monotonic: float = 0.0
    standing: Standing | None = None
    model: ChosenModel | None = None
    fallbacks: int = 0
    dropped: tuple[str, ...] = ()
    queued: float = 0.0
    queued_since: float | None = None
    price: Price | None = None
    ceiling: int | None = None
    booked: Mapping[str, bool] = {}
    overrun: int = 0
    lost: UsageRow | None = None

    def __post_init__(self) -> None:
        self.started = self.clock.now()
        self.started_monotonic = self.clock.monotonic()
        self.id = new_id(self.started)

    def recognise(self, standing: Standing) -> None:
        """It is known what the caller wants, and may have."""
        self.standing, self.model, self.requested = standing, standing.model, standing.model.group

    def begin_attempt(self, target: Target, group: str) -> Attempt:
        """An attempt begins; whatever comes before the first is neither a retry nor a fallback."""
        if self.attempts:
            self.retries += 1
        if group not in (self.group, self.requested or group):
            self.fallbacks += 1
        self.target, self.group = target, group
        attempt = Attempt(target, group, self.elapsed_ms())
        self.attempts.append(attempt)
        return attempt

    def end_attempt(self, attempt: Attempt, error: SekishoError | None = None) -> None:
        """It has answered, or failed."""
        attempt.ms = self.elapsed_ms() - attempt.began_ms
        attempt.status = 200 if error is None else error.status
        attempt.error = None if error is None else _class_of(error)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """What runs inside is the upstream's time, not the gateway's."""
        since = self.clock.monotonic()
        try:
            yield
        finally:
            self.waited += self.clock.monotonic() - since

    @contextmanager
    def queueing(self) -> Iterator[None]:
        """Inside, the call waits in line."""
        self.queued_since = self.clock.monotonic()
        try:
            with self.waiting():
                yield
        finally:
            self.queued, self.queued_since = self.queue_seconds(), None

    def queue_seconds(self) -> float:
        """How long the call has waited in line so far."""
        since = self.queued_since
        return self.queued if since is None else self.queued + self.clock.monotonic() - since

    def first_byte(self) -> float:
        """The first byte of the answer goes out now, so many seconds after the call came in."""
        elapsed = self.clock.monotonic() - self.started_monotonic
        if self.first_byte_after is None:
            self.first_byte_after = elapsed
        return elapsed

    def elapsed_ms(self) -> int:
        """Milliseconds since the call came in."""
        return int((self.clock.monotonic() - self.started_monotonic) * 1000)

    def charge(self, meter: Meter) -> None:
        """What it has used is known."""
        self.usage, self.cost, self.estimated = meter.sum_up()
        self.price = meter.price

    def end(self) -> None:
        """The call is over."""
        self.seconds = self.clock.monotonic() - self.started_monotonic

    def headers(self, elapsed: float | None = None) -> RawHeaders:
        """LiteLLM's response headers and ours, but for money; `elapsed` seconds after the call came in, or now."""
        if elapsed is None:
            elapsed = self.clock.monotonic() - self.started_monotonic
        queued = self.queued if self.queued_since is None else self.queue_seconds()
        waited = self.waited + queued - self.queued
        headers = [
            (b"x-litellm-call-id", self.id.encode()),
            (b"x-sekisho-overhead-ms", b"%.2f" % ((elapsed - waited) * 1000)),
        ]
        if self.retries or self.fallbacks:
            headers.append((b"x-litellm-attempted-retries", b"%d" % self.retries))
            headers.append((b"x-litellm-attempted-fallbacks", b"%d" % self.fallbacks))
        else:
            headers += _NO_DETOUR
        if (target := self.target) is not None:
            headers += _name_target(target.deployment_id, target.model_name)
            if target.simulated:
                headers.append((b"x-sekisho-simulated", b"true"))
        if self.ceiling is not None:
            headers.append((b"x-sekisho-max-output-tokens", b"%d" % self.ceiling))
        if queued > 0:
            headers.append((b"x-sekisho-queue-ms", b"%d" % (queued * 1000)))
        if self.dropped:
            headers.append((b"x-sekisho-dropped-params", _header_value(", ".join(self.dropped))))
        if self.model is not None and self.model.warning:
            headers.append((b"x-sekisho-warning", _header_value(self.model.warning)))
        if self.standing is not None:
            headers += self.standing.tell_limits()
        return headers

    def money_headers(self, cost: int | None, key_spend: int | None) -> RawHeaders:
        """What the call cost and the key has spent, in nano-dollars, where it is known by now."""
        headers: RawHeaders = []
        if cost is not None:
            headers.append((b"x-litellm-response-cost", _dollars(cost)))
        if key_spend is not None:
            headers.append((b"x-litellm-key-spend", _dollars(key_spend)))
        return headers

    def row_if_lost(self, meter: Meter, expected: Usage) -> UsageRow:
        """The usage row to book if the end of the call, which now goes to an upstream, is never told."""
        self.price = price = meter.price
        cost, after = None if price is None else price.cost(expected), self.attempts[-1].began_ms / 1000
        self.lost = self._row(expected, cost, True, _LOST, after)
        return self.lost

    def row(self) -> UsageRow:
        """The usage row. Called once, after `end`."""
        row = self.lost
        if row is None or self.error is not None or len(self.attempts) > 1:
            return self._row(self.usage, self.cost, self.estimated, _end_of(self.error), self.seconds)
        # The first attempt has answered: nothing else has changed since it was made.
        row.ended_at = int((self.started + self.seconds) * 1000)
        row.status, row.http_status, row.error_class = "success", 200, None
        row.ttft_ms = None if self.first_byte_after is None else int(self.first_byte_after * 1000)
        row.usage, row.cost_nano, row.estimated = self.usage, self.cost, self.estimated
        row.overrun_nano = self.overrun or None
        return row

    def _row(self, usage: Usage, cost: int | None, estimated: bool, outcome: _Outcome, seconds: float) -> UsageRow:
        caller, standing, call = self.caller, self.standing, self.call or _NO_CALL
        first, queued = self.first_byte_after, self.queued
        return UsageRow(
            id=self.id,
            caller=name_caller(caller) if standing is None else standing.billed,
            road=self._road(),
            usage=usage,
            tags=_join_tags(caller, call) if call.tags or (caller is not None and caller.tags) else (),
            attempts=self._tell_attempts() if len(self.attempts) > 1 or self.error is not None else (),
            started_at=int(self.started * 1000),
            ended_at=int((self.started + seconds) * 1000),
            ttft_ms=None if first is None else int(first * 1000),
            queued_ms=int(queued * 1000) if queued else None,
            model=((call.model or "") if self.model is None else self.model.asked)[:250],
            cost_nano=cost,
            status=outcome.status,
            http_status=outcome.http_status,
            error_class=outcome.error_class,
            estimated=estimated,
            streamed=call.stream,
            session_id=call.session_id,
            agent=call.agent,
            agent_version=call.agent_version,
            agent_id=call.agent_id,
            parent_id=call.parent_id,
            end_user=call.end_user,
            requester_ip=self.client_ip,
            retries=self.retries,
            fallbacks=self.fallbacks,
            overrun_nano=self.overrun or None,
        )

    def _tell_attempts(self) -> tuple[UsageAttempt, ...]:
        """Every attempt, unless the first has answered, which the row says anyway."""
        attempts = self.attempts
        if not attempts or (len(attempts) == 1 and attempts[0].error is None):
            return ()
        return tuple(
            UsageAttempt(
                each.target.deployment_id, each.group, each.target.account, each.target.region, each.ms, each.error
            )
            for each in attempts
        )

    def _road(self) -> UsageRoad:
        """What was asked of whom: one object for all calls of a caller that have the same."""
        call_type, version = self.endpoint.call_type, None if self.price is None else self.price.version
        target, group, standing = self.target, self.group or self.requested or None, self.standing
        if target is None or standing is None:
            return UsageRoad(call_type, group, price_version=version)
        key = (id(target), call_type, group, version)
        if (road := standing.roads.get(key)) is None:
            road = standing.roads[key] = UsageRoad(
                call_type,
                group,
                target.deployment_id,
                target.provider,
                target.upstream_model,
                target.account,
                target.region,
                version,
                target.simulated,
            )
        return road


def _join_tags(caller: Caller | None, call: ClientCall) -> tuple[str, ...]:
    """The tags of the key and those of the call, each once."""
    return tuple(dict.fromkeys([*(caller.tags if caller else ()), *call.tags]))


def _class_of(error: SekishoError | None) -> str | None:
    if error is None:
        return None
    return f"{type(error).__name__}:{error.code}" if error.code else type(error).__name__


def _dollars(nano: int) -> bytes:
    return b"%d.%09d" % divmod(nano, _NANO) if nano >= 0 else b"-" + _dollars(-nano)


@lru_cache(maxsize=1024)
def _name_target(deployment_id: str, group: str) -> tuple[tuple[bytes, bytes], ...]:
    return (
        (b"x-litellm-model-id", _header_value(deployment_id)),
        (b"x-litellm-model-group", _header_value(group)),
    )


@lru_cache(maxsize=1024)
def _header_value(text: str) -> bytes:
    """Printable ASCII only: names come from configuration and clients, and a line break would forge a header."""
    if not (text.isascii() and text.isprintable()):
        text = "".join(char if " " <= char <= "~" else "?" for char in text)
    return text[:500].encode()
