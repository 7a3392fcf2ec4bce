"""The log: one line per event, `key=value`, without prompts, keys or secrets.

A successful call leaves its usage row and no line; lines are for what somebody should look at.
"""

import logging
import sys

from sekisho.core.errors import CallerError, SekishoError, UpstreamRejected
from sekisho.core.target import Target

_log = logging.getLogger("sekisho")


def configure_logging(level: str = "INFO") -> None:
    """Send our lines, and the libraries' warnings, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    _log.setLevel(level)


def log_upstream_failure(call_id: str, target: Target, error: SekishoError, milliseconds: int | None = None) -> None:
    """One attempt of a call has failed, after so long."""
    _log.log(
        logging.getLevelName(error.log_level.upper()),
        "upstream attempt failed call=%s deployment=%s model=%s account=%s region=%s error=%s code=%s status=%d ms=%s "
        "message=%r",
        call_id,
        target.deployment_id,
        target.upstream_model,
        target.account,
        target.region,
        type(error).__name__,
        error.code,
        error.status,
        milliseconds,
        _message(error),
    )


def _message(error: SekishoError) -> str:
    """What an error says, but nothing of a wrong request: the upstream, or we ourselves, may quote from it."""
    if isinstance(error, UpstreamRejected | CallerError):
        return "(not logged)"
    return " ".join([error.message, *getattr(error, "__notes__", ())])[:500]


def log_passed_over(call_id: str, target: Target, obstacle: str) -> None:
    """A fallback was not asked, because it would have broken the conversation."""
    _log.info(
        "fallback passed over call=%s deployment=%s model=%s obstacle=%r",
        call_id,
        target.deployment_id,
        target.upstream_model,
        obstacle,
    )


def log_call_failure(call_id: str, error: SekishoError) -> None:
    """A call has failed by our own fault or the upstream's; callers' faults and refusals are in the usage rows."""
    if error.log_level in {"warning", "error"}:
        level = logging.getLevelName(error.log_level.upper())
        _log.log(level, "call failed call=%s error=%s status=%d", call_id, type(error).__name__, error.status)


def log_crash(call_id: str) -> None:
    """An exception that nothing foresaw; to be called from its handler. The traceback names no values."""
    _log.exception("call crashed call=%s", call_id)


def log_soft_budget(kind: str, name: str, spent: float, soft_budget: float) -> None:
    """A soft budget was passed; dollars."""
    _log.warning("soft budget passed scope=%s name=%r spent=%.6f soft_budget=%.6f", kind, name, spent, soft_budget)


def log_unusable_model(identity: str, problem: str) -> None:
    """A model that was added, or changed in the files, while the gateway runs cannot be called."""
    _log.warning("model cannot be called id=%s problem=%r", identity, problem[:500])


def log_untold(deployment_id: str, problem: str) -> None:
    """An upstream did not say something of a deployment that would be good to know."""
    _log.warning("not told by the upstream deployment=%s problem=%r", deployment_id, problem[:500])


def log_crash_aside(doing: str, what: str) -> None:
    """Work in the background met what nothing foresaw; to be called from the exception's handler."""
    _log.exception("crashed in the background doing=%s what=%s", doing, what)


def log_untraced(problem: str) -> None:
    """Spans that are asked for cannot be sent."""
    _log.warning("%s", problem)
