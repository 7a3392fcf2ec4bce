"""What the simulated AWS remembers: the calls it saw, its quotas, its prompt caches and the faults to come."""

from collections import deque
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from sekisho.core.clock import Clock
from sekisho.core.ids import new_id
from sekisho.core.usage import Usage
from sekisho.simulator.accounting import PromptCache
from sekisho.simulator.errors import Refusal, invalid
from sekisho.simulator.prompt import claude_version
from sekisho.simulator.settings import Fault, FaultRule, Limit, Match, SimulatorSettings

Quarter = tuple[str, str, str]
"""What quotas and caches belong to: account, region, model. Calls with an API key have the service as account."""

_REMEMBERED_CALLS = 10_000
_REMEMBERED_BODIES = 100
_SECRET_HEADERS = frozenset(("authorization", "x-api-key", "api-key", "x-amz-security-token", "cookie"))
_UNSET_MAX_TOKENS = 65_536
_BURNDOWN_SINCE = (3, 7)


class CallRecord(Struct, kw_only=True):
    """One call as the counterpart saw it, without prompt or answer unless these were asked for.

    `at` is in seconds since the epoch. `behind` is the model behind a `model` that is a profile's ARN. `usage` counts,
    for an answer that was broken off, what had been sent by then.
    `complete` is whether the whole answer was sent; `disconnected` whether the client left before that. `fault` is
    the kind of fault that was played. `session_name` is that of an assumed role. `headers` (without those that carry
    secrets, in lower case) and `body` (bytes that are no UTF-8 replaced) are there while recording is on.
    """

    request_id: str
    at: float
    operation: str
    service: str = "bedrock"
    model: str | None = None
    behind: str | None = None
    account: str | None = None
    region: str | None = None
    principal: str | None = None
    status: int | None = None
    error: str | None = None
    usage: Usage = Usage()
    stop_reason: str | None = None
    request_metadata: dict[str, str] = {}
    session_name: str | None = None
    fault: str | None = None
    complete: bool = False
    disconnected: bool = False
    headers: dict[str, str] | None = None
    body: str | None = None

    @property
    def quarter(self) -> Quarter:
        """What its quotas and caches belong to."""
        return self.account or "", self.region or "", self.behind or self.model or ""


class _Window(Struct):
    minute: int
    requests: int = 0
    tokens: int = 0


class World:
    """The state behind one simulator."""

    def __init__(self, settings: SimulatorSettings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.cache = PromptCache(clock, settings.cache_min_tokens)
        self.calls: deque[CallRecord] = deque(maxlen=_REMEMBERED_CALLS)
        self.faults: list[FaultRule] = list(settings.faults)
        self.recording = settings.record
        self._recorded: deque[CallRecord] = deque()
        self._windows: dict[tuple[str, Quarter], _Window] = {}

    def open_call(self, operation: str, model: str | None = None, service: str = "bedrock") -> CallRecord:
        """Records that a call has arrived."""
        now = self.clock.now()
        behind = self.settings.profiles.get(model or "")
        call = CallRecord(
            request_id=new_id(now), at=now, operation=operation, model=model, behind=behind, service=service
        )
        self.calls.append(call)
        return call

    def record_request(self, call: CallRecord, headers: Mapping[str, str], body: bytes) -> None:
        """Keeps what a call said, if that was asked for. Only so many bodies are kept; the oldest are forgotten."""
        if not self.recording:
            return
        call.headers = {name: value for name, value in headers.items() if name not in _SECRET_HEADERS}
        call.body = body.decode("utf-8", "replace")
        self._recorded.append(call)
        if len(self._recorded) > _REMEMBERED_BODIES:
            oldest = self._recorded.popleft()
            oldest.headers = oldest.body = None

    def take_fault(self, header: str | None, call: CallRecord) -> Fault | None:
        """The fault to play on a call: the one its header asks for, else the first rule that covers it."""
        if header is not None:
            return read_fault_header(header)
        for index, rule in enumerate(self.faults):
            if not _covers(rule.match, call):
                continue
            if rule.times is not None:
                left = msgspec.structs.replace(rule, times=rule.times - 1)
                self.faults[index : index + 1] = [left] if left.times else []
            return rule.fault
        return None

    def reserve(self, call: CallRecord, input_tokens: int, max_tokens: int | None) -> int:
        """Books a call on its quota and returns the tokens reserved. Raises Refusal when the quota is used up."""
        limit = self._limit(call)
        if limit is None:
            return 0
        window = self._window(call)
        tokens = input_tokens + (max_tokens or _UNSET_MAX_TOKENS)
        if limit.rpm is not None and window.requests >= limit.rpm:
            raise Refusal("ThrottlingException", "Too many requests, please wait before trying again.")
        if limit.tpm is not None and window.tokens + tokens > limit.tpm:
            raise Refusal("ThrottlingException", "Too many tokens, please wait before trying again.")
        window.requests += 1
        window.tokens += tokens
        return tokens

    def settle(self, call: CallRecord, reserved: int, usage: Usage) -> None:
        """Replaces what a call reserved by what it used."""
        if self._limit(call) is None:
            return
        burndown = 5 if (claude_version(call.quarter[2]) or (0, 0)) >= _BURNDOWN_SINCE else 1
        used = usage.input + usage.cache_write + usage.output * burndown
        window = self._window(call)
        window.tokens = max(window.tokens - reserved, 0) + used

    def _limit(self, call: CallRecord) -> Limit | None:
        return next((limit for limit in self.settings.limits if _covers(limit.match, call)), None)

    def _window(self, call: CallRecord) -> _Window:
        minute = int(self.clock.monotonic() // 60)
        name = call.service, call.quarter
        window = self._windows.get(name)
        if window is None or window.minute != minute:
            window = self._windows[name] = _Window(minute)
        return window

    def is_granted(self, call: CallRecord) -> bool:
        """Whether somebody has agreed to the terms of the call's model."""
        return not any(_covers(match, call) for match in self.settings.not_granted)


def _covers(match: Match, call: CallRecord) -> bool:
    account, region, model = call.quarter
    return match.covers(
        service=call.service, account=account, region=region, model=model or None, operation=call.operation
    )


def read_fault_header(text: str) -> Fault:
    """A fault from `kind; name=value; …`, such as `cut; after=3`. Raises Refusal when it cannot be read."""
    kind, *parts = (part.strip() for part in text.split(";"))
    fields = dict(part.partition("=")[::2] for part in parts if part)
    try:
        return msgspec.convert({"kind": kind, **fields}, Fault, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(f"The x-sekisho-simulate header cannot be read: {error}") from None
