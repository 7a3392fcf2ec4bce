"""Faults as refusals: what a call hears when something is told to go wrong."""

from sekisho.simulator.errors import STATUS_OF, Refusal
from sekisho.simulator.settings import Fault


def raise_fault(fault: Fault) -> None:
    """Raises the Refusal of a fault that refuses a call; others are played later."""
    usual = {
        "throttle": ("ThrottlingException", "Too many requests, please wait before trying again."),
        "access_denied": ("AccessDeniedException", "You don't have access to the model with the specified model ID."),
        "error": ("InternalServerException", words_of(fault)),
    }
    if fault.kind in usual:
        kind, message = usual[fault.kind]
        headers = {"retry-after": str(fault.retry_after)} if fault.retry_after is not None else {}
        raise Refusal(fault.type or kind, fault.message or message, fault.status, headers=headers)


def words_of(fault: Fault) -> str:
    """The message of a fault."""
    return fault.message or "The system encountered an unexpected error during processing. Try your request again."


def upper_kind(kind: str) -> str:
    """The name of an exception event (`throttlingException`) as an error type; words of other APIs stay as they are."""
    upper = kind[:1].upper() + kind[1:]
    return upper if upper in STATUS_OF else kind
