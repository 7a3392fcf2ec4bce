"""Every way a call can fail, as one tree.

    SekishoError
    ├── CallerError                 the caller's fault
    │   ├── InvalidRequest          400  malformed, or of the wrong type; names the field
    │   │   ├── UnknownModel        400  with the nearest names
    │   │   └── Unsupported         400  the upstream cannot carry it and dropping it would change the meaning
    │   ├── BodyTooLarge            413
    │   ├── BodyTimeout             408
    │   ├── NotFound                404
    │   ├── Conflict                409
    │   ├── ClientGone              499  hung up; nobody is left to answer
    │   └── Unauthenticated         401  no key, an unknown, expired or blocked one
    ├── Refusal                     policy's decision
    │   ├── AccessDenied            403  the model, or the action, is not allowed to this caller
    │   ├── RateLimited             429  a limit of requests or tokens per minute; `retry_after` is the truth
    │   └── BudgetExceeded          402  money; the status is configurable
    ├── UpstreamError               the model's side
    │   ├── UpstreamThrottled       429
    │   ├── UpstreamRejected        4xx  the model's service found the request wrong
    │   ├── UpstreamUnavailable     502, 503, 504  could not be reached, broke down or timed out
    │   └── UpstreamMisconfigured   502  this target does not work as configured; the caller cannot mend it
    └── InternalError               500  ours
        └── StoreUnavailable        503  the database is away

Each error carries what a client's own error shape needs: `status`, `kind` (OpenAI's `type`), `code`, `param`, and a
message that is safe to show. `retry_after` is in seconds. `log_level` is how loudly to report it. The kinds are those
of LiteLLM (`auth_error`, `throttling_error`…), because scripts match on them.
"""

from typing import ClassVar, Literal

from sekisho.core.caller import Scope

Verdict = Literal["same", "elsewhere", "never"]
"""Where a failed attempt may be repeated: on the same target (then elsewhere), only elsewhere, or not at all."""

RejectionReason = Literal["request", "context_window", "content_policy"]

LogLevel = Literal["debug", "info", "warning", "error"]


class SekishoError(Exception):
    """The root. Never raised itself."""

    status: int = 500
    kind: str = "internal_server_error"
    log_level: ClassVar[LogLevel] = "info"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        kind: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.retry_after = retry_after
        if kind is not None:
            self.kind = kind
        if status is not None:
            self.status = status


class CallerError(SekishoError):
    """The caller's fault."""

    status = 400
    kind = "invalid_request_error"


class InvalidRequest(CallerError):
    """Malformed, or of the wrong type; `param` names the field, `request_body` when the JSON itself is broken."""


class UnknownModel(InvalidRequest):
    """No such model name here."""


class Unsupported(InvalidRequest):
    """The upstream cannot carry this and dropping it would change the meaning."""


class BodyTooLarge(CallerError):
    """The body is over the configured cap."""

    status = 413


class BodyTimeout(CallerError):
    """The body did not arrive in time."""

    status = 408


class NotFound(CallerError):
    """No such path or record."""

    status = 404
    kind = "not_found_error"


class Conflict(CallerError):
    """It exists already, or changed meanwhile."""

    status = 409
    kind = "conflict_error"


class ClientGone(CallerError):
    """The client hung up; nobody is left to answer. The status is for the usage row (nginx's 499)."""

    status = 499
    kind = "client_closed_request"
    log_level: ClassVar[LogLevel] = "debug"


class Unauthenticated(CallerError):
    """No key, or one that opens nothing."""

    status = 401
    kind = "auth_error"


class Refusal(SekishoError):
    """Policy's decision: the call is understood and will not be made. `scope` is whose limit refuses, if one does."""

    status = 403
    kind = "access_denied"
    scope: Scope | None = None


class AccessDenied(Refusal):
    """Not allowed to this caller."""


class RateLimited(Refusal):
    """Over a limit of requests or tokens per minute, or of parallel requests."""

    status = 429
    kind = "throttling_error"


class BudgetExceeded(Refusal):
    """The money of some scope is spent. `model` is the model group when the budget is for that one only."""

    status = 402
    kind = "budget_exceeded"
    model: str | None = None


class UpstreamError(SekishoError):
    """The model's side failed.

    verdict: where the attempt may be repeated. native: the upstream's own error code, for the usage row.
    cooldown: how many seconds the target should be left alone, 0 for not at all; `told` says that the upstream itself
      has named this time, which no configuration knows better.
    repeats: how often the same target may be asked again while others are left.
    Notes (`add_note`) are for the log and the administrator only.
    """

    status = 502
    kind = "upstream_error"
    log_level: ClassVar[LogLevel] = "warning"

    def __init__(
        self,
        message: str,
        *,
        verdict: Verdict,
        native: str | None = None,
        cooldown: float = 0.0,
        told: bool = False,
        repeats: int = 1,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, code=native, status=status, retry_after=retry_after)
        self.verdict: Verdict = verdict
        self.native = native
        self.cooldown = cooldown
        self.told = told
        self.repeats = repeats


class UpstreamThrottled(UpstreamError):
    """The model's service is over its quota. The message must contain "rate limit": agents go by these words."""

    status = 429
    kind = "throttling_error"


class UpstreamRejected(UpstreamError):
    """The model's service found the request wrong.

    `reason` tells what another model might bear: a prompt too long for this one, or content that its filter refuses.
    """

    status = 400
    kind = "invalid_request_error"
    log_level: ClassVar[LogLevel] = "info"
    reason: "RejectionReason" = "request"


class UpstreamUnavailable(UpstreamError):
    """Could not be reached, broke down or timed out."""

    status = 503
    kind = "service_unavailable"


class UpstreamMisconfigured(UpstreamError):
    """This target does not work as configured: access, model id, credentials. Never the caller's fault."""

    log_level: ClassVar[LogLevel] = "error"


class InternalError(SekishoError):
    """Ours. The message never carries details; they are in the log under the call's id."""

    log_level: ClassVar[LogLevel] = "error"


class StoreUnavailable(InternalError):
    """The database cannot be reached or does not answer."""

    status = 503
    kind = "service_unavailable"


class ConfigError(Exception):
    """A configuration that cannot be used: where (`file:line:column`) and what was expected."""

    def __init__(self, message: str, *, where: str | None = None) -> None:
        super().__init__(f"{where}: {message}" if where else message)
        self.message = message
        self.where = where
