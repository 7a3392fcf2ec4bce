"""How the simulated AWS behaves from its start."""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

DEFAULT_ACCOUNT = "000000000000"
DEFAULT_ACCESS_KEY = "AKIASEKISHOSIMULATOR"
DEFAULT_SECRET_KEY = "sekisho-simulator-opens-nothing-anywhere"  # noqa: S105 - a public constant of a simulation
DEFAULT_KEY_ARN = f"arn:aws:iam::{DEFAULT_ACCOUNT}:user/simulator"


class KeyPair(Struct, frozen=True, kw_only=True):
    """A long-term access key the simulator knows, and the account it belongs to."""

    access_key: str
    secret_key: str
    account: str = DEFAULT_ACCOUNT


class Match(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which calls are meant; None matches all.

    `operation` is the name in the service model (`ConverseStream`, `AssumeRole`); `model` the decoded id in the path.
    """

    account: str | None = None
    region: str | None = None
    model: str | None = None
    operation: str | None = None

    def covers(self, *, account: str, region: str, model: str | None, operation: str) -> bool:
        """Whether a call is meant."""
        return (
            self.account in (None, account)
            and self.region in (None, region)
            and self.model in (None, model)
            and self.operation in (None, operation)
        )


class Limit(Struct, frozen=True, kw_only=True):
    """A quota per minute for every (account, region, model) that `match` covers; None means unlimited.

    `tpm` works as Bedrock's does: a call reserves its input (cached or not) and its maxTokens (65,536 when unset), and
    afterwards counts for its input, its cache writes and its output, five times for Claude 3.7 and later.
    """

    match: Match = Match()
    rpm: int | None = None
    tpm: int | None = None


FaultKind = Literal["throttle", "error", "slow", "cut", "exception_event", "access_denied", "garbage"]


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes wrong.

    kind: `throttle` and `access_denied` refuse; `error` refuses with `status`, `type` and `message`; `slow` waits
      `first_ms` before the first byte and `event_ms` between events; `cut` closes the connection after `after` events
      (of a whole answer: in the middle of its body); `exception_event` sends an exception of `type` in the stream
      after `after` events (of a whole answer: as its status); `garbage` answers 200 with bytes that cannot be read,
      in a stream after `after` events.
    """

    kind: FaultKind
    status: int | None = None
    type: str | None = None
    message: str | None = None
    first_ms: float = 0
    event_ms: float = 0
    after: int = 0


class FaultRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fault for the next `times` calls that match; None means all of them until the rules are deleted."""

    fault: Fault
    match: Match = Match()
    times: Annotated[int, Meta(ge=1)] | None = None


class SimulatorSettings(Struct, frozen=True, kw_only=True):
    """The simulated world at its start.

    key_pairs: known beside the default pair. bearer_tokens: the API keys that open; empty means any does.
    default_region: the region of calls whose credentials do not name one (bearer tokens). external_ids: the external
    id that assuming a role needs, by role ARN. cache_min_tokens: the shortest prefix that is cached.
    first_byte_ms, event_ms: simulated latency before the answer and between the events of a stream.
    """

    key_pairs: tuple[KeyPair, ...] = ()
    bearer_tokens: tuple[str, ...] = ()
    default_region: str = "us-east-1"
    external_ids: Mapping[str, str] = {}
    limits: tuple[Limit, ...] = ()
    faults: tuple[FaultRule, ...] = ()
    cache_min_tokens: int = 1024
    first_byte_ms: float = 0
    event_ms: float = 0
