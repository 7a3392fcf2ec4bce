"""The names of accounts: the numbers that limits are about.

An account is known everywhere by its name, a text: `key:<id>:money@1767225600/30d`. A budget window has an account of
its own, named by its end, so that nothing has to be reset when a window is over: the next call simply counts in the
next window's account. Ids and model names come from outside, so their separators are written as `%3A`, and no two
owners can meet in one account.
"""

from typing import Final

from sekisho.core.caller import BudgetWindow, ScopeKind
from sekisho.core.durations import roll_window

MONEY: Final = "money@"
"""What the names of accounts of all of a scope's money go on with; then come the window's end and its duration."""
FOR_EVER: Final = f"{MONEY}0/all"
PARALLEL: Final = "parallel"


def money_account(
    kind: ScopeKind, identity: str, window: BudgetWindow | None, now: float, model: str | None = None
) -> str:
    """The name of the account of a scope's budget window that is open at `now`; of all its money without a window.

    With `model` it is that of the model group within the scope.
    """
    suffix = FOR_EVER
    if window is not None and (end := window_end(window, now)) is not None:
        suffix = f"{MONEY}{int(end)}/{window.duration}"
    owner = owner_prefix(kind, identity)
    return f"{owner}{suffix}" if model is None else f"{owner}model:{_quote(model)}:{suffix}"


def window_end(window: BudgetWindow, now: float) -> float | None:
    """When the budget window that is open at `now` ends, in seconds since the epoch; None for one for ever."""
    if window.duration is None or window.resets_at is None:
        return None
    return roll_window(window.duration, window.resets_at, now, window.zone)


def parallel_account(kind: ScopeKind, identity: str) -> str:
    """The name of the account of a scope's calls under way."""
    return f"{owner_prefix(kind, identity)}{PARALLEL}"


def is_parallel(account: str) -> bool:
    """Whether an account is one of calls under way, not of money."""
    return account.endswith(f":{PARALLEL}")


def is_of_model(account: str) -> bool:
    """Whether an account is that of a model group within a scope."""
    return account.split(":", 3)[2] == "model"


def owner_prefix(kind: ScopeKind, identity: str) -> str:
    """What the names of all accounts of a scope begin with, and those of no other."""
    return f"{kind}:{_quote(identity)}:"


def member_id(team_id: str, user_id: str) -> str:
    """The id of the scope of one user in one team."""
    return f"{_quote(team_id)}/{_quote(user_id)}"


def _quote(text: str) -> str:
    return text.replace("%", "%25").replace(":", "%3A").replace("/", "%2F")
