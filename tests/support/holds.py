"""Calls that are held for as long as a block lasts."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sekisho.core.caller import Scope
from sekisho.ledger.asks import Ask
from sekisho.ledger.holds import Hold
from sekisho.ledger.ledger import Ledger


@asynccontextmanager
async def held(ledger: Ledger, scopes: Sequence[Scope], ask: Ask, group: str) -> AsyncIterator[Hold]:
    """Hold one call inside the block."""
    hold = await ledger.hold(scopes, ask, group)
    try:
        yield hold
    finally:
        ledger.end(hold)
