"""The store's side of leases, in memory: the model that the SQL is held against, and what ledger tests run on."""

from collections.abc import Collection, Sequence

from sekisho.core.errors import StoreUnavailable
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
    """One worker's access to the book. `away` refuses it; `deaf` does what is asked, and loses the answer."""

    def __init__(self, book: Book, worker: str = "one", share: int = 8) -> None:
        self.book = book
        self.worker = worker
        self.share = share
        self.asked = 0
        self.away = False
        self.deaf = False

    async def lease(self, wants: Sequence[Want]) -> list[Grant]:
        self.asked += 1
        self._reach()
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
        self._answer()
        return grants

    async def give_back(self, amounts: Sequence[tuple[str, int]]) -> None:
        self._reach()
        for account, amount in amounts:
            self.book.leases[self.worker, account] -= amount
        self._answer()

    async def held(self, accounts: Collection[str]) -> dict[str, int]:
        self._reach()
        return {name: amount for (worker, name), amount in self.book.leases.items() if worker == self.worker}

    async def wanted(self, accounts: Collection[str]) -> list[str]:
        self._reach()
        return [name for name in accounts if name in self.book.wanted]

    def _reach(self) -> None:
        if self.away:
            raise StoreUnavailable("away")

    def _answer(self) -> None:
        if self.deaf:
            raise StoreUnavailable("away")
