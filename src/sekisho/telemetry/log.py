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


def log_upstream_failure(call_id: str, target: Target, error: SekishoError) -> None:
    """One attempt of a call has failed."""
    _log.log(
        logging.getLevelName(error.log_level.upper()),
        "upstream attempt failed call=%s deployment=%s model=%s region=%s error=%s code=%s status=%d message=%r",
        call_id,
        target.deployment_id,
        target.upstream_model,
        target.region,
        type(error).__name__,
        error.code,
        error.status,
        _message(error),
    )


def _message(error: SekishoError) -> str:
    """What an error says, but nothing of a wrong request: the upstream, or we ourselves, may quote from it."""
    if isinstance(error, UpstreamRejected | CallerError):
        return "(not logged)"
    return " ".join([error.message, *getattr(error, "__notes__", ())])[:500]


def log_call_failure(call_id: str, error: SekishoError) -> None:
    """A call has failed by our own fault or the upstream's; callers' faults and refusals are in the usage rows."""
    if error.log_level in {"warning", "error"}:
        level = logging.getLevelName(error.log_level.upper())
        _log.log(level, "call failed call=%s error=%s status=%d", call_id, type(error).__name__, error.status)


def log_crash(call_id: str) -> None:
    """An exception that nothing foresaw; to be called from its handler. The traceback names no values."""
    _log.exception("call crashed call=%s", call_id)


def log_unusable_model(identity: str, problem: str) -> None:
    """A model that was added while the gateway runs cannot be called."""
    _log.warning("added model cannot be called id=%s problem=%r", identity, problem[:500])
