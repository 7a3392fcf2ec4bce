"""Pages of calls: the newest first, none left out and none twice, by whichever way they are found."""

from random import Random
from typing import Any

import pytest
from tests.support.usage import usage_row

from sekisho.core.ids import new_id
from sekisho.store import usage as usage_module
from sekisho.store.engine import Store
from sekisho.store.records import UsageRow
from sekisho.store.usage import UsageFilter

DAY_MS = 86_400_000
FIRST = 19_670


def make_rows() -> list[UsageRow]:
    """Calls of some days, many of one busy key, with days on which a team did nothing."""
    random = Random(7)
    rows = []
    for _ in range(300):
        started_at = (FIRST + random.choice([0, 0, 3, 4, 9])) * DAY_MS + random.randrange(DAY_MS)
        key = random.choice(["aa", "aa", "aa", "bb", "cc", "dd"]) * 32
        row = usage_row(
            id=new_id(started_at / 1000),
            started_at=started_at,
            key_hash=key,
            key_alias=f"alias of {key[:2]}",
            user_id=random.choice(["ann", "bob"]),
            team_id="red" if key < "cc" else "blue",
            organization_id="acme",
            model=random.choice(["sonnet", "haiku"]),
            status=random.choice(["success", "failure", "client_closed"]),
        )
        rows.append(row)
    return sorted(rows, key=lambda row: (row.started_at, row.id), reverse=True)


FILTERS: list[dict[str, Any]] = [
    {},
    {"key_hash": "dd" * 32},
    {"key_hash": "dd" * 32, "user_id": "bob"},
    {"team_id": "red"},
    {"team_id": "red", "status": "failure"},
    {"team_id": "red", "status": "client_closed"},
    {"team_id": "blue", "model": "haiku"},
    {"team_id": "nobody's"},
    {"organization_id": "acme", "key_alias": "alias of bb"},
    {"user_id": "ann", "since": FIRST * DAY_MS + 40_000_000, "until": (FIRST + 4) * DAY_MS + 30_000_000},
    {"team_id": "red", "since": (FIRST + 3) * DAY_MS, "until": (FIRST + 4) * DAY_MS},
    {"until": (FIRST + 9) * DAY_MS},
]


def fits(row: UsageRow, wanted: dict[str, Any]) -> bool:
    for name, value in wanted.items():
        owner = row.caller if hasattr(row.caller, name) else row
        if name == "since":
            fitting = row.started_at >= value
        elif name == "until":
            fitting = row.started_at < value
        else:
            fitting = getattr(owner, name) == value
        if not fitting:
            return False
    return True


@pytest.mark.parametrize(("few", "shallow"), [(500, 1_000), (2, 10), (0, 0)])
async def test_pages_hold_the_newest_first(
    store: Store, monkeypatch: pytest.MonkeyPatch, few: int, shallow: int
) -> None:
    monkeypatch.setattr(usage_module, "_FEW_CALLERS", few)
    monkeypatch.setattr(usage_module, "_SHALLOW", shallow)
    rows = make_rows()
    for row in rows:
        store.journal.record(row, {})
    await store.journal.flush()
    for given in FILTERS:
        wanted, expected = UsageFilter(**given), [row for row in rows if fits(row, given)]
        assert await store.usage.count(wanted) == len(expected), given
        for offset in (0, 7, 60):
            assert await store.usage.find(wanted, limit=20, offset=offset) == expected[offset : offset + 20], given
