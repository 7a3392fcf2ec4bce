"""How the simulated AWS behaves from its start."""

from collections.abc import Callable, Mapping
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


class IssuedKeys(Struct, frozen=True, kw_only=True):
    """Temporary credentials of an STS other than the simulator's own: the secret, and whose session it is."""

    secret_key: str
    account: str
    arn: str


class Match(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which calls are meant; None matches all.

    `service` is `bedrock`, `sts`, `sagemaker`, `anthropic` or `openai`; `operation` the name in AWS's service model
    (`ConverseStream`, `AssumeRole`) or in `routes`; `model` the decoded id in the path or the body.
    """

    service: str | None = None
    account: str | None = None
    region: str | None = None
    model: str | None = None
    operation: str | None = None

    def covers(self, *, service: str, account: str, region: str, model: str | None, operation: str) -> bool:
        """Whether a call is meant."""
        return (
            self.service in (None, service)
            and self.account in (None, account)
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

    kind: `throttle` and `access_denied` refuse; `error` refuses with `status`, `type` and `message`, where `type` is a
      word of AWS or of the API that is called; `slow` waits
      `first_ms` before the first byte and `event_ms` between events; `cut` closes the connection after `after` events
      (of a whole answer: in the middle of its body); `exception_event` sends an exception of `type` in the stream
      after `after` events (of a whole answer: as its status); `garbage` answers 200 with bytes that cannot be read,
      in a stream after `after` events.
    retry_after: seconds to be told in the header of that name, with a refusal.
    """

    kind: FaultKind
    status: int | None = None
    type: str | None = None
    message: str | None = None
    retry_after: int | None = None
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

    key_pairs: known beside the default pair. bearer_tokens: Bedrock's API keys that open; empty means any does.
    api_keys: the keys of Anthropic and OpenAI that open; empty means any does.
    issuer: knows the temporary credentials of an STS elsewhere, by access key and session token.
    profiles: by the ARN of an application inference profile or of provisioned throughput, the id of the model or of the
    system's profile that it is made from. not_granted: the models whose terms nobody has agreed to.
    default_region: the region of calls whose credentials do not name one (bearer tokens). external_ids: the external
    id that assuming a role needs, by role ARN. cache_min_tokens: the shortest prefix that is cached.
    first_byte_ms, event_ms: simulated latency before the answer and between the events of a stream. record: whether
    the bodies and headers of calls are kept from the start.
    """

    key_pairs: tuple[KeyPair, ...] = ()
    bearer_tokens: tuple[str, ...] = ()
    api_keys: tuple[str, ...] = ()
    issuer: Callable[[str, str | None], IssuedKeys | None] | None = None
    profiles: Mapping[str, str] = {}
    not_granted: tuple[Match, ...] = ()
    default_region: str = "us-east-1"
    external_ids: Mapping[str, str] = {}
    limits: tuple[Limit, ...] = ()
    faults: tuple[FaultRule, ...] = ()
    cache_min_tokens: int = 1024
    first_byte_ms: float = 0
    event_ms: float = 0
    record: bool = False
