"""Accounts: the numbers that limits are about, as one worker knows them. `core.accounts` names them."""

from sekisho.core.caller import Scope


class Account:
    """What this worker may take from one limited number, and what it took.

    leased: what the store has set aside for this worker, less what the store already knows to be spent.
    used: what calls have used in the end, until the store knows.
    held: what is set aside for calls under way, at worst.
    left: what the store had left beyond every worker's lease when it was last asked; None before the first time.
    spent: what the store had as spent then.
    """

    __slots__ = ("held", "last_use", "leased", "left", "limit", "name", "scope", "spent", "used")

    def __init__(self, name: str, limit: int, scope: Scope, now: float) -> None:
        self.name = name
        self.limit = limit
        self.scope = scope
        self.leased = 0
        self.used = 0
        self.held = 0
        self.left: int | None = None
        self.spent = 0
        self.last_use = now

    @property
    def room(self) -> int:
        """What another call can be given without asking anybody.

        `left` is below zero when the limit was lowered to less than what is spent and leased.
        """
        room, left = self.leased - self.used - self.held, self.left
        return room if left is None or left >= 0 else room + left

    @property
    def reach(self) -> int | None:
        """What another call could be given at most; None when the store has not been asked yet."""
        return None if self.left is None else self.room + max(0, self.left)

    @property
    def is_leased_elsewhere(self) -> bool:
        """Whether others had some of it leased when the store was last asked."""
        return self.left is not None and self.limit - self.spent - self.left > self.leased

    @property
    def known_spend(self) -> int:
        """What is spent, as far as this worker knows."""
        return self.spent + self.used

    def hold(self, amount: int, now: float) -> None:
        """Set aside for a call."""
        self.held += amount
        self.last_use = now

    def settle(self, held: int, used: int, now: float) -> None:
        """A call is over: what was held for it is free again, but for what it used."""
        self.held -= held
        self.used += used
        self.last_use = now

    def confirm(self, amount: int) -> None:
        """The store has booked what was used here, and taken it off this worker's lease."""
        self.used -= amount
        self.leased -= amount
        self.spent += amount

    def grant(self, amount: int, left: int, spent: int) -> None:
        """The store has leased this worker more."""
        self.leased += amount
        self.left = left
        self.spent = spent

    def lose_lease(self) -> None:
        """Nothing is leased any more. What calls under way hold is asked for again by the next one."""
        self.leased = 0
        self.left = None

    def agree(self, before: int, held: int) -> None:
        """The store says that `held` is leased to this worker, who thought that it was `before` when it asked.

        Calls may have been booked since then, which takes off the lease; nothing but their cost can explain that the
        store knows of less, and nothing at all that it knows of more.
        """
        if held > before:
            self.leased += held - before
        else:
            self.leased = min(self.leased, held + self.used)

    def take_idle(self, keep: int) -> int:
        """What may be given back to the store; it is no longer leased then."""
        idle = max(0, self.room - keep)
        self.leased -= idle
        if self.left is not None:
            self.left += idle
        return idle
