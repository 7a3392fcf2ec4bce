"""What the simulated AWS remembers: the calls it saw, its quotas, its prompt caches and the faults to come."""

from collections import deque

import msgspec
from msgspec import Struct

from sekisho.core.clock import Clock
from sekisho.core.ids import new_id
from sekisho.core.usage import Usage
from sekisho.simulator.accounting import PromptCache
from sekisho.simulator.errors import AwsError, invalid
from sekisho.simulator.prompt import claude_version
from sekisho.simulator.settings import Fault, FaultRule, Limit, SimulatorSettings

Quarter = tuple[str, str, str]
"""What quotas and caches belong to: account, region, model."""

_REMEMBERED_CALLS = 10_000
_UNSET_MAX_TOKENS = 65_536
_BURNDOWN_SINCE = (3, 7)


class CallRecord(Struct, kw_only=True):
    """One call as the counterpart saw it, without prompt or answer.

    `at` is in seconds since the epoch. `usage` counts, for an answer that was broken off, what had been sent by then.
    `complete` is whether the whole answer was sent; `disconnected` whether the client left before that. `fault` is
    the kind of fault that was played. `session_name` is that of an assumed role.
    """

    request_id: str
    at: float
    operation: str
    model: str | None = None
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
        self._windows: dict[Quarter, _Window] = {}

    def open_call(self, operation: str, model: str | None = None) -> CallRecord:
        """Records that a call has arrived."""
        now = self.clock.now()
        call = CallRecord(request_id=new_id(now), at=now, operation=operation, model=model)
        self.calls.append(call)
        return call

    def take_fault(self, header: str | None, call: CallRecord) -> Fault | None:
        """The fault to play on a call: the one its header asks for, else the first rule that covers it."""
        if header is not None:
            return read_fault_header(header)
        for index, rule in enumerate(self.faults):
            if not rule.match.covers(
                account=call.account or "", region=call.region or "", model=call.model, operation=call.operation
            ):
                continue
            if rule.times is not None:
                left = msgspec.structs.replace(rule, times=rule.times - 1)
                self.faults[index : index + 1] = [left] if left.times else []
            return rule.fault
        return None

    def reserve(self, quarter: Quarter, input_tokens: int, max_tokens: int | None) -> int:
        """Books a call on its quota and returns the tokens reserved. Raises AwsError when the quota is used up."""
        limit = self._limit(quarter)
        if limit is None:
            return 0
        window = self._window(quarter)
        tokens = input_tokens + (max_tokens or _UNSET_MAX_TOKENS)
        if limit.rpm is not None and window.requests >= limit.rpm:
            raise AwsError("ThrottlingException", "Too many requests, please wait before trying again.")
        if limit.tpm is not None and window.tokens + tokens > limit.tpm:
            raise AwsError("ThrottlingException", "Too many tokens, please wait before trying again.")
        window.requests += 1
        window.tokens += tokens
        return tokens

    def settle(self, quarter: Quarter, reserved: int, usage: Usage) -> None:
        """Replaces what a call reserved by what it used."""
        if self._limit(quarter) is None:
            return
        burndown = 5 if (claude_version(quarter[2]) or (0, 0)) >= _BURNDOWN_SINCE else 1
        used = usage.input + usage.cache_write + usage.output * burndown
        window = self._window(quarter)
        window.tokens = max(window.tokens - reserved, 0) + used

    def _limit(self, quarter: Quarter) -> Limit | None:
        account, region, model = quarter
        for limit in self.settings.limits:
            if limit.match.covers(account=account, region=region, model=model, operation=""):
                return limit
        return None

    def _window(self, quarter: Quarter) -> _Window:
        minute = int(self.clock.monotonic() // 60)
        window = self._windows.get(quarter)
        if window is None or window.minute != minute:
            window = self._windows[quarter] = _Window(minute)
        return window


def read_fault_header(text: str) -> Fault:
    """A fault from `kind; name=value; …`, such as `cut; after=3`. Raises AwsError when it cannot be read."""
    kind, *parts = (part.strip() for part in text.split(";"))
    fields = dict(part.partition("=")[::2] for part in parts if part)
    try:
        return msgspec.convert({"kind": kind, **fields}, Fault, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(f"The x-sekisho-simulate header cannot be read: {error}") from None
