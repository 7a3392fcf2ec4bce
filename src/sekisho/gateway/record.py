"""What happened to one call, gathered while it lives: the usage row, and the response headers that tell the client."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from msgspec import Struct, structs

from sekisho.core.caller import Caller
from sekisho.core.chat import ClientCall
from sekisho.core.clock import Clock
from sekisho.core.errors import ClientGone, SekishoError
from sekisho.core.ids import new_id
from sekisho.core.money import dollars_from_nano
from sekisho.core.target import Target
from sekisho.core.usage import Usage
from sekisho.gateway.meter import Meter
from sekisho.policy.naming import ChosenModel
from sekisho.store.records import UsageRow

RawHeaders = list[tuple[bytes, bytes]]


def _tell_nothing() -> RawHeaders:
    return []


class CallRecord(Struct):
    """One call's facts.

    waited: how many seconds were spent waiting for upstreams.
    ceiling: the output limit that a budget has set, in tokens.
    tell_limits: the headers that say how much the caller may still do.
    booked: the accounts that pay for the call, and whether each is leased; none before it is held.
    overrun: by how many nano-dollars it cost more than was held.
    """

    clock: Clock
    call_type: str
    client_ip: str | None
    id: str = ""
    started: float = 0.0
    started_monotonic: float = 0.0
    caller: Caller | None = None
    call: ClientCall | None = None
    model: ChosenModel | None = None
    target: Target | None = None
    group: str | None = None
    retries: int = 0
    fallbacks: int = 0
    dropped: tuple[str, ...] = ()
    waited: float = 0.0
    first_byte_after: float | None = None
    error: SekishoError | None = None
    ceiling: int | None = None
    tell_limits: Callable[[], RawHeaders] = _tell_nothing
    booked: Mapping[str, bool] = {}
    overrun: int = 0

    def __post_init__(self) -> None:
        self.started = self.clock.now()
        self.started_monotonic = self.clock.monotonic()
        self.id = new_id(self.started)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """What runs inside is the upstream's time, not the gateway's."""
        since = self.clock.monotonic()
        try:
            yield
        finally:
            self.waited += self.clock.monotonic() - since

    def first_byte(self) -> None:
        """The first byte of the answer goes out now."""
        if self.first_byte_after is None:
            self.first_byte_after = self.clock.monotonic() - self.started_monotonic

    def elapsed_ms(self) -> int:
        """Milliseconds since the call came in."""
        return int((self.clock.monotonic() - self.started_monotonic) * 1000)

    def headers(self) -> RawHeaders:
        """LiteLLM's response headers and ours, but for money."""
        elapsed = self.clock.monotonic() - self.started_monotonic
        headers = [
            (b"x-litellm-call-id", self.id.encode()),
            (b"x-sekisho-overhead-ms", b"%.2f" % ((elapsed - self.waited) * 1000)),
            (b"x-litellm-attempted-retries", b"%d" % self.retries),
            (b"x-litellm-attempted-fallbacks", b"%d" % self.fallbacks),
        ]
        if self.target is not None:
            headers.append((b"x-litellm-model-id", _header_value(self.target.deployment_id)))
            headers.append((b"x-litellm-model-group", _header_value(self.target.model_name)))
            if self.target.simulated:
                headers.append((b"x-sekisho-simulated", b"true"))
        if self.ceiling is not None:
            headers.append((b"x-sekisho-max-output-tokens", b"%d" % self.ceiling))
        if self.dropped:
            headers.append((b"x-sekisho-dropped-params", _header_value(", ".join(self.dropped))))
        if self.model is not None and self.model.warning:
            headers.append((b"x-sekisho-warning", _header_value(self.model.warning)))
        return headers + self.tell_limits()

    def money_headers(self, cost: int | None, key_spend: int | None) -> RawHeaders:
        """What the call cost and the key has spent, in nano-dollars, where it is known by now."""
        pairs = ((b"x-litellm-response-cost", cost), (b"x-litellm-key-spend", key_spend))
        return [(name, _dollars(nano)) for name, nano in pairs if nano is not None]

    def row(self, meter: Meter | None) -> UsageRow:
        """The usage row. Called once, when the call is over."""
        caller, call, target = self.caller, self.call, self.target
        ended = self.started + (self.clock.monotonic() - self.started_monotonic)
        return UsageRow(
            id=self.id,
            call_type=self.call_type,
            started_at=int(self.started * 1000),
            ended_at=int(ended * 1000),
            ttft_ms=None if self.first_byte_after is None else int(self.first_byte_after * 1000),
            key_hash=caller.key_hash if caller else None,
            key_alias=caller.key_alias if caller else None,
            user_id=caller.user_id if caller else None,
            team_id=caller.team_id if caller else None,
            model=_asked(self.model, call)[:250],
            model_group=self.group or (self.model.group if self.model else None),
            deployment_id=target.deployment_id if target else None,
            provider=target.provider if target else None,
            upstream_model=target.upstream_model if target else None,
            account=target.account if target else None,
            region=target.region if target else None,
            usage=meter.usage if meter else Usage(),
            cost_nano=meter.cost if meter else 0,
            price_version=meter.price.version if meter and meter.price else None,
            status=self._status(),
            http_status=self.error.status if self.error else 200,
            error_class=_error_class(self.error),
            estimated=meter.estimated if meter else False,
            simulated=target.simulated if target else False,
            streamed=call.stream if call else False,
            session_id=call.session_id if call else None,
            agent=call.agent if call else None,
            agent_version=call.agent_version if call else None,
            agent_id=call.agent_id if call else None,
            parent_id=call.parent_id if call else None,
            end_user=call.end_user if call else None,
            tags=tuple(dict.fromkeys([*(caller.tags if caller else ()), *(call.tags if call else ())])),
            retries=self.retries,
            fallbacks=self.fallbacks,
            requester_ip=self.client_ip,
            organization_id=caller.organization_id if caller else None,
            project_id=caller.project_id if caller else None,
            overrun_nano=self.overrun or None,
        )

    def row_if_lost(self, meter: Meter, expected: Usage) -> UsageRow:
        """The usage row to book if the end of the call, which now goes to an upstream, is never told."""
        return structs.replace(
            self.row(meter),
            usage=expected,
            cost_nano=meter.price.cost(expected) if meter.price is not None else None,
            estimated=True,
            status="failure",
            http_status=500,
            error_class="WorkerDied",
        )

    def _status(self) -> str:
        if self.error is None:
            return "success"
        return "client_closed" if isinstance(self.error, ClientGone) else "failure"


def _asked(model: ChosenModel | None, call: ClientCall | None) -> str:
    if model is not None:
        return model.asked
    return (call.model if call else None) or ""


def _error_class(error: SekishoError | None) -> str | None:
    if error is None:
        return None
    return f"{type(error).__name__}:{error.code}" if error.code else type(error).__name__


def _dollars(nano: int) -> bytes:
    return f"{dollars_from_nano(nano):.9f}".encode()


def _header_value(text: str) -> bytes:
    """Printable ASCII only: names come from configuration and clients, and a line break would forge a header."""
    return "".join(char if " " <= char <= "~" else "?" for char in text[:500]).encode()
