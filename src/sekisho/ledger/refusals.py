"""What a caller is told when a limit is reached: which, of whom, how much of it is used, and when there is room again.

Agents go by words: a message about money must not speak of rates or of too many tokens, or an agent takes it for
something that passes, or for a conversation that is too long.
"""

from datetime import UTC, datetime
from math import ceil
from urllib.parse import unquote

from sekisho.core.accounts import owner_prefix
from sekisho.core.caller import Scope
from sekisho.core.errors import AccessDenied, BudgetExceeded, RateLimited, Refusal
from sekisho.core.money import dollars_from_nano
from sekisho.ledger.accounts import Account


def over_budget(account: Account, wanted: int, status: int) -> BudgetExceeded:
    """The refusal of a call that needs `wanted` nano-dollars at least."""
    spent, limit = dollars_from_nano(account.known_spend), dollars_from_nano(account.limit)
    model, ends_at = _read_name(account)
    owner = name_scope(account.scope) + (f" for the model '{model}'" if model is not None else "")
    used, needed = f"${spent:.6f} of ${limit:.6f} spent", f"this call needs ${dollars_from_nano(wanted):.6f}"
    if account.known_spend >= account.limit:
        message = f"The budget of {owner} is used up: {used}."
    elif account.known_spend + wanted > account.limit:
        message = f"The budget of {owner} does not pay for this call: {used}, and {needed}."
    else:
        message = f"The budget of {owner} is set aside for calls under way: {used}, and {needed}."
    if ends_at is not None:
        message += f" A new one begins on {datetime.fromtimestamp(ends_at, UTC):%Y-%m-%d at %H:%M} UTC."
    refusal = BudgetExceeded(f"{message} Ask your administrator for a larger budget.", status=status)
    refusal.model = model
    return refusal


def over_parallel(account: Account) -> Refusal:
    """The refusal of one call too many at the same time."""
    return over_rate(account.scope, "parallel requests", account.limit, account.limit, 1.0)


def over_rate(scope: Scope, what: str, limit: int, used: int, wait: float) -> Refusal:
    """The refusal for a limit in time; a wait is at least one second, since Retry-After counts whole seconds.

    Where the limit is 0, waiting does not help: that is told as what is not allowed, and no agent tries it again.
    """
    refusal: Refusal
    if limit == 0:
        message = f"{name_scope(scope)} may make no calls: its limit is 0 {what}. Ask your administrator."
        refusal = AccessDenied(message[0].upper() + message[1:])
    else:
        seconds = max(1.0, wait)
        refusal = RateLimited(
            f"Rate limit of {name_scope(scope)} reached: {used} of {limit} {what}. Try again in {ceil(seconds)} s.",
            retry_after=seconds,
        )
    refusal.scope = scope
    return refusal


def unpriced(group: str) -> AccessDenied:
    """The refusal of a model without a price to a caller with a budget: what it spends could not be told."""
    return AccessDenied(
        f"The model '{group}' has no price here, so that it cannot be paid from your budget. Ask your administrator to "
        "set input_cost_per_token and output_cost_per_token for it.",
        kind="unpriced_model",
        param="model",
    )


def name_scope(scope: Scope) -> str:
    """How a scope is called in a message: never by a key's hash."""
    if scope.kind == "key":
        return f"key '{scope.alias}'" if scope.alias else "this key"
    if scope.kind == "installation":
        return "this installation"
    kind = "team member" if scope.kind == "member" else scope.kind.replace("_", " ")
    return f"{kind} '{scope.alias or scope.id}'"


def _read_name(account: Account) -> tuple[str | None, int | None]:
    """The model group that an account is about, if it is about one, and when its window ends (seconds), if it does."""
    rest = account.name.removeprefix(owner_prefix(account.scope.kind, account.scope.id))
    before, _, window = rest.rpartition("money@")
    ends_at = int(window.partition("/")[0] or 0)
    model = unquote(before.removeprefix("model:").removesuffix(":")) if before else None
    return model, ends_at or None
