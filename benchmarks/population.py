"""A company in the database: keys, users, teams and organisations with limits, and what they have spent so far."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from random import Random
from typing import Any, Final

import sqlalchemy as sa
from msgspec import Struct

from sekisho.core.accounts import money_account
from sekisho.core.caller import ScopeKind
from sekisho.core.durations import next_reset
from sekisho.identity.keys import hash_key, mask_key
from sekisho.store.balances import account_names
from sekisho.store.database import Database
from sekisho.store.records import (
    Budgeted,
    BudgetRecord,
    CustomerRecord,
    KeyRecord,
    OrganizationRecord,
    TeamMember,
    TeamRecord,
    UserRecord,
)
from sekisho.store.rows import to_row
from sekisho.store.tables import (
    accounts,
    budgets,
    customers,
    keys,
    organizations,
    team_members,
    teams,
    users,
)

_BUDGETS: Final = 20
_GROUP: Final = 5_000
_MONTH: Final = "30d"
_DOLLAR: Final = 10**9


class Population(Struct, frozen=True, kw_only=True):
    """How many there are of each. A key belongs to a user and a team, a user to a team, a team to an organisation."""

    keys: int
    teams: int
    users: int
    organizations: int
    customers: int

    @classmethod
    def of(cls, keys: int) -> "Population":
        """A company of this many keys, and of the rest in proportion: 100,000 keys have 20,000 users in 5,000 teams."""
        return cls(
            keys=keys,
            teams=-(-keys // 20),
            users=-(-keys // 5),
            organizations=-(-keys // 2_000),
            customers=-(-keys // 5),
        )

    def key(self, number: int) -> str:
        """The text of a key."""
        return f"{KEY_PREFIX}{number:08d}"

    def user(self, number: int) -> str:
        """The user whom a key belongs to."""
        return f"user-{number % self.users:06d}"

    def team(self, number: int) -> str:
        """The team that a key or a user belongs to."""
        return f"team-{number % self.users % self.teams:05d}"

    def organization(self, number: int) -> str:
        """The organisation that a team belongs to."""
        return f"organization-{number % self.organizations:03d}"


KEY_PREFIX: Final = "sk-scale-"
"""Before the eight digits of a key's number."""


async def fill(database: Database, population: Population, now: float) -> None:
    """Write everything at once, as after years of use: made in the last year, with something spent everywhere."""
    limits = _Limits(now)
    organizations_, teams_ = _organizations(population, limits), _teams(population, limits)
    users_, members = _users(population, limits), _members(population)
    keys_, customers_ = _keys(population, limits), _customers(population, limits)
    await _insert(database, budgets, _named_budgets(now))
    await _insert(database, organizations, organizations_)
    await _insert(database, teams, teams_)
    await _insert(database, users, users_)
    await _insert(database, team_members, members)
    await _insert(database, keys, keys_)
    await _insert(database, customers, customers_)
    await _insert(database, accounts, _accounts(population, now))
    if database.postgres:
        async with database.write() as connection:
            await connection.execute(sa.text("ANALYZE"))


class _Limits:
    """Limits that no load of the benchmark reaches, and yet count for every call; and when a record was made."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._random = Random(1)
        self._reset_at = next_reset(_MONTH, now)

    def fields(self, *, budget_id: str | None = None) -> dict[str, Any]:
        """The fields of a record: limits of its own, or a budget that says them."""
        created_at = self._now - self._random.randrange(365 * 86_400)
        made: dict[str, Any] = {"created_at": created_at, "created_by": "benchmark", "updated_at": created_at}
        if budget_id is not None:
            return {"budget_id": budget_id, **made}
        window = {"budget_duration": _MONTH, "budget_reset_at": self._reset_at, "budget_started_at": created_at}
        return {"max_budget": 10**6 * _DOLLAR, "rpm_limit": 10**8, "tpm_limit": 10**12, **window, **made}


def _named_budgets(now: float) -> Iterator[BudgetRecord]:
    for number in range(_BUDGETS):
        yield BudgetRecord(
            budget_id=f"budget-{number}",
            max_budget=10**6 * _DOLLAR,
            budget_duration=_MONTH,
            budget_reset_at=next_reset(_MONTH, now),
            rpm_limit=10**8,
        )


def _organizations(population: Population, limits: _Limits) -> Iterator[OrganizationRecord]:
    for number in range(population.organizations):
        name = population.organization(number)
        yield OrganizationRecord(organization_id=name, organization_alias=name, **limits.fields())


def _teams(population: Population, limits: _Limits) -> Iterator[TeamRecord]:
    for number in range(population.teams):
        yield TeamRecord(
            team_id=population.team(number),
            team_alias=f"Team {number}",
            organization_id=population.organization(number),
            **limits.fields(),
        )


def _users(population: Population, limits: _Limits) -> Iterator[UserRecord]:
    for number in range(population.users):
        name = population.user(number)
        yield UserRecord(user_id=name, user_email=f"{name}@example.com", **limits.fields())


def _members(population: Population) -> Iterator[TeamMember]:
    for number in range(population.users):
        yield TeamMember(team_id=population.team(number), user_id=population.user(number))


def _keys(population: Population, limits: _Limits) -> Iterator[KeyRecord]:
    """One key in ten has its limits from a budget with a name."""
    for number in range(population.keys):
        key = population.key(number)
        yield KeyRecord(
            key_hash=hash_key(key),
            key_name=mask_key(key),
            account_id=hash_key(key),
            key_alias=f"key-{number}",
            user_id=population.user(number),
            team_id=population.team(number),
            metadata={"project": f"project-{number % 100}"},
            **limits.fields(budget_id=f"budget-{number % _BUDGETS}" if number % 10 == 0 else None),
        )


def _customers(population: Population, limits: _Limits) -> Iterator[CustomerRecord]:
    for number in range(population.customers):
        yield CustomerRecord(user_id=f"customer-{number:06d}", **limits.fields())


def _accounts(population: Population, now: float) -> Iterator[dict[str, Any]]:
    """What is spent: for ever, and in the open window."""
    kinds: tuple[tuple[ScopeKind, int, Callable[[int], str]], ...] = (
        ("key", population.keys, lambda number: hash_key(population.key(number))),
        ("user", population.users, population.user),
        ("team", population.teams, population.team),
        ("organization", population.organizations, population.organization),
        ("customer", population.customers, lambda number: f"customer-{number:06d}"),
    )
    usual = Budgeted(max_budget=1, budget_duration=_MONTH, budget_reset_at=next_reset(_MONTH, now))
    for kind, count, name in kinds:
        for number in range(count):
            for account in dict.fromkeys(account_names(kind, name(number), usual, now)):
                yield {"account": account, "spent": number * 1_000, "leased": 0, "wanted_at": None}
    yield {"account": money_account("installation", "all", None, now), "spent": 1, "leased": 0, "wanted_at": None}


async def _insert(database: Database, table: sa.Table, records: Iterable[Any]) -> None:
    print(f"filling: {table.name}", file=sys.stderr, flush=True)
    left = iter(records)
    while some := list(islice(left, _GROUP)):
        rows = [record if isinstance(record, dict) else to_row(record) for record in some]

        def write(connection: sa.Connection, rows: Sequence[dict[str, Any]] = rows) -> None:
            connection.execute(sa.insert(table), rows)

        await database.transact(write)
