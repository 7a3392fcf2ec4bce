"""What the levels of the hierarchy have spent, by the names of their accounts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec
import sqlalchemy as sa

from sekisho.core.accounts import money_account
from sekisho.core.caller import ScopeKind
from sekisho.store.limits import carrying_window, in_force, main_window
from sekisho.store.records import Budgeted, BudgetRecord, Limits
from sekisho.store.rows import from_row
from sekisho.store.spend import in_chunks, read_spend
from sekisho.store.tables import budgets

AnyBudgeted = TypeVar("AnyBudgeted", bound=Budgeted)


class Owned(msgspec.Struct, frozen=True):
    """A record with whose accounts its are; `defaults` say what it and its budget leave open."""

    kind: ScopeKind
    identity: str
    record: Budgeted
    defaults: Limits | None = None


def attach_budgets(connection: sa.Connection, records: Sequence[AnyBudgeted], now: float) -> list[AnyBudgeted]:
    """The records with the budgets that they refer to."""
    wanted = sorted({record.budget_id for record in records if record.budget_id is not None})
    if not wanted:
        return list(records)
    found: dict[str, BudgetRecord] = {}
    for some in in_chunks(wanted):
        query = sa.select(budgets).where(budgets.c.budget_id.in_(some))
        for row in connection.execute(query).mappings():
            found[row["budget_id"]] = from_row(row, BudgetRecord, now)
    return [
        record if record.budget_id is None else msgspec.structs.replace(record, budget=found.get(record.budget_id))
        for record in records
    ]


def attach_spend(
    connection: sa.Connection, kind: ScopeKind, records: Sequence[tuple[str, AnyBudgeted]], now: float
) -> list[AnyBudgeted]:
    """The records, given by id, with what is spent of their limits in force; their budgets are attached already."""
    names = {name for identity, record in records for name in account_names(kind, identity, record, now)}
    spent = read_spend(connection, names)
    return [_with_spend(kind, identity, record, spent, now) for identity, record in records]


def attach_carried(connection: sa.Connection, owned: Sequence[Owned], now: float) -> list[Budgeted]:
    """The records with what the last windows of their budgets left, where that is carried over."""
    names = {index: name for index, one in enumerate(owned) if (name := _carrying_account(one, now)) is not None}
    if not names:
        return [one.record for one in owned]
    spent = read_spend(connection, names.values())
    return [
        one.record
        if index not in names
        else msgspec.structs.replace(one.record, carried=max(0, (one.record.max_budget or 0) - spent[names[index]]))
        for index, one in enumerate(owned)
    ]


def account_names(kind: ScopeKind, identity: str, record: Budgeted, now: float) -> Iterable[str]:
    """The accounts of all the money of a record's limits in force: for ever, and of each open window."""
    limits = in_force(record, record.budget)
    yield money_account(kind, identity, None, now)
    yield main_account(kind, identity, record, now)
    for window in limits.budget_limits:
        yield money_account(kind, identity, window, now)
    for model, of_model in limits.model_limits.items():
        for window in of_model.budgets:
            yield money_account(kind, identity, window, now, model)


def main_account(kind: ScopeKind, identity: str, record: Budgeted, now: float) -> str:
    """The account of the open window of `max_budget`."""
    return money_account(kind, identity, main_window(in_force(record, record.budget)), now)


def _with_spend(
    kind: ScopeKind, identity: str, record: AnyBudgeted, spent: Mapping[str, int], now: float
) -> AnyBudgeted:
    limits = in_force(record, record.budget)
    windows = [money_account(kind, identity, window, now) for window in limits.budget_limits]
    models = {
        model: money_account(kind, identity, of_model.budgets[0], now, model)
        for model, of_model in limits.model_limits.items()
        if of_model.budgets
    }
    return msgspec.structs.replace(
        record,
        spend=spent[main_account(kind, identity, record, now)],
        total_spend=spent[money_account(kind, identity, None, now)],
        window_spend=tuple(spent[name] for name in windows),
        model_spend={model: spent[name] for model, name in models.items()},
    )


def _carrying_account(owned: Owned, now: float) -> str | None:
    """The account of the window that has ended: named by its end, which a moment before it still was to come."""
    window = carrying_window(owned.record, now)
    if window is None or window.resets_at is None:
        return None
    return money_account(owned.kind, owned.identity, window, window.resets_at - 1)
