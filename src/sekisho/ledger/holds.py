"""What is set aside for one call, and the accounts that it is set aside on."""

from collections.abc import Sequence
from math import inf

from msgspec import Struct

from sekisho.core.accounts import is_of_model
from sekisho.ledger.accounts import Account
from sekisho.ledger.rates import Taken


class Money(Struct):
    """The accounts of calls to a model group, the narrowest scope first.

    booked: by name, every account that they are booked on, and whether it is leased. limited: those with a limit.
    slots: those of parallel calls. of_key: the first that is the key's own.
    since, until: when the windows are open that they are of, as far as is known, in seconds since the epoch.
    ahead: whether something of the windows that follow is leased already.
    """

    booked: dict[str, bool]
    limited: list[Account]
    slots: list[Account]
    since: float
    until: float = inf
    of_key: Account | None = None
    ahead: bool = False


class Hold(Struct):
    """What is set aside for one call.

    group: the model group that it is for.
    booked: every account of money that the call is booked on, and whether it is leased; what the journal must be told.
    accounts: those that are limited, on each of which `cost` nano-dollars are set aside. of_key: that of the key.
    ceiling: the most output tokens that the upstream may be asked for; None when the client's own limit stands.
    rated, slots: what it has of limits of tokens in time, and of parallel calls.
    tokens, used: what the call has used, in nano-dollars, as far as it is settled.
    """

    group: str
    booked: dict[str, bool]
    accounts: list[Account]
    of_key: Account | None
    cost: int
    ceiling: int | None
    rated: Taken
    slots: Sequence[Account] = ()
    tokens: int = 0
    used: int = 0

    @property
    def overrun(self) -> int:
        """By how much the call cost more than was held for it, in nano-dollars."""
        return self.used - self.cost if self.used > self.cost else 0

    def settle(self, tokens: int, cost: int) -> None:
        """State what the call really used: all its tokens, and nano-dollars."""
        self.tokens, self.used = tokens, cost

    def key_spend(self, cost: int) -> int | None:
        """What the key has spent of its budget with this cost, as far as is known here; None without a budget."""
        return None if self.of_key is None else self.of_key.known_spend + cost

    def move(self, group: str, money: Money, now: float) -> None:
        """Hold these accounts of a model group in place of those of the one before."""
        for account in money.limited:
            account.hold(self.cost, now)
        for account in self.accounts:
            if is_of_model(account.name):
                account.settle(self.cost, 0, now)
        self.accounts = [*(each for each in self.accounts if not is_of_model(each.name)), *money.limited]
        kept = {name: leased for name, leased in self.booked.items() if not is_of_model(name)}
        self.booked, self.group = kept | money.booked, group

    def release(self, now: float) -> None:
        """Give the held amounts back and count what was used."""
        cost, used = self.cost, self.used
        for account in self.accounts:
            account.held -= cost
            account.used += used
            account.last_use = now
        for slot in self.slots:
            slot.settle(1, 0, now)
