"""The store's side of leases, in memory: the model that the SQL is held against, and what ledger tests run on."""

from collections.abc import Sequence

from sekisho.core.escrow import Grant, Want


class Book:
    """The accounts of all workers."""

    def __init__(self) -> None:
        self.spent: dict[str, int] = {}
        self.leases: dict[tuple[str, str], int] = {}
        self.wanted: set[str] = set()

    def leased(self, account: str) -> int:
        return sum(amount for (_, name), amount in self.leases.items() if name == account)

    def book(self, worker: str, account: str, amount: int) -> None:
        """A call's cost becomes durable."""
        self.spent[account] = self.spent.get(account, 0) + amount
        self.leases[worker, account] = self.leases.get((worker, account), 0) - amount

    def bury(self, worker: str) -> None:
        """A dead worker's leases go back."""
        self.leases = {key: amount for key, amount in self.leases.items() if key[0] != worker}


class MemoryEscrow:
    """One worker's access to the book."""

    def __init__(self, book: Book, worker: str = "one", share: int = 8) -> None:
        self.book = book
        self.worker = worker
        self.share = share
        self.asked = 0

    async def lease(self, wants: Sequence[Want]) -> list[Grant]:
        self.asked += 1
        grants = []
        for want in wants:
            spent, leased = self.book.spent.get(want.account, 0), self.book.leased(want.account)
            left = want.limit - spent - leased
            amount = max(0, min(left, max(want.wished, left // self.share)))
            if amount < want.wished:
                self.book.wanted.add(want.account)
            key = (self.worker, want.account)
            self.book.leases[key] = self.book.leases.get(key, 0) + amount
            grants.append(Grant(amount=amount, spent=spent, left=left - amount))
        return grants

    async def give_back(self, amounts: Sequence[tuple[str, int]]) -> None:
        for account, amount in amounts:
            self.book.leases[self.worker, account] -= amount

    async def wanted(self, accounts: Sequence[str]) -> list[str]:
        return [name for name in accounts if name in self.book.wanted]
