"""Spend reports: who spent how much on which models, by day or in all."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final, Literal

import msgspec

from sekisho.control.services.context import Services
from sekisho.control.services.spend import MOST_LINES, require_few
from sekisho.control.services.spend_scope import (
    Owners,
    narrow_owners,
    own_organizations,
    own_teams,
    report_filter,
    show_day,
    today,
)
from sekisho.control.services.views import View
from sekisho.core.caller import Caller
from sekisho.core.errors import InvalidRequest
from sekisho.core.money import dollars_from_nano
from sekisho.identity.rights import sees_everything
from sekisho.store.reports import Line, ReportFilter, Sums

Group = Literal["team", "customer", "api_key", "organization", "user"]
Days = tuple[int, int]

_COLUMNS: Final[dict[Group, str]] = {
    "team": "team_id",
    "customer": "end_user",
    "organization": "organization_id",
    "user": "user_id",
}
_MONTH_DAYS: Final = 30
_COST: Final = ("cost_nano",)
_SHOWN: Final = (*_COST, "output", "input", "cache_read", "cache_write_5m", "cache_write_1h")
"""The sums that are shown of a key and a model."""
_MOST_KEYS: Final = 100
"""The keys that a report over everybody shows one by one."""
_MOST_DETAILED: Final = 500
"""The keys whose models a report by key shows."""
_FIRST_DAY, _LAST_DAY = 0, 10**7


async def report_global(
    services: Services, wanted: Owners, customer: str | None, days: Days, group: Group
) -> list[View]:
    """Spend by day and team (customer, organization, user), or by key, with models; for who sees everything.

    Where there are many keys, `metadata` has those that cost most; the totals are of all.
    """
    await services.store.journal.flush()
    chosen = msgspec.structs.replace(report_filter(wanted, days), customers=None if customer is None else (customer,))
    if group == "api_key" or wanted != Owners():
        return await _report_keys(services, chosen)
    column = _COLUMNS[group]
    totals = await _add_up(services, chosen, ("day", column), _COST)
    names = await _names_of(services, group, {line.group[1] for line in totals})
    keys, _ = await services.store.reports.costliest(chosen, "key_hash", _MOST_KEYS)
    of_keys = msgspec.structs.replace(chosen, keys=tuple(keys))
    parts: defaultdict[tuple[int, str], list[Line]] = defaultdict(list)
    for line in await _add_up(services, of_keys, ("day", column, "served_model", "key_hash"), _SHOWN):
        parts[line.group[:2]].append(line)
    return [
        {
            "group_by_day": f"{show_day(day)}T00:00:00+00:00",
            f"{group}s": [_owner_view(group, names, total, parts[total.group]) for total in of_day],
        }
        for day, of_day in groupby(totals, _first)
    ]


async def report_keys(services: Services, caller: Caller, days: Days, keys: Sequence[str] | None) -> list[View]:
    """Spend of these keys, or of the caller's own."""
    own = None if caller.key_hash is None else (caller.key_hash,)
    return await _report(services, caller, days, Owners(keys=own if keys is None else tuple(keys)))


async def report_user(services: Services, caller: Caller, days: Days, user_id: str | None) -> list[View]:
    """Spend of a user, or of the caller, by key and model."""
    chosen = user_id or caller.user_id
    return await _report(services, caller, days, Owners(users=None if chosen is None else (chosen,)))


async def report_team(services: Services, caller: Caller, days: Days, team_id: str | None) -> list[View]:
    """Spend of a team, or of the caller's teams, by key and model."""
    teams = (team_id,) if team_id is not None else await own_teams(services, caller)
    return await _report(services, caller, days, Owners(teams=teams))


async def report_organization(services: Services, caller: Caller, days: Days, identity: str | None) -> list[View]:
    """Spend of an organisation, or of the caller's, by key, model and team."""
    chosen = (identity,) if identity is not None else await own_organizations(services, caller)
    return await _report(services, caller, days, Owners(organizations=chosen), with_teams=True)


async def list_tags(services: Services, caller: Caller, days: Days | None) -> list[View]:
    """Calls and spend by tag, of all time or of some days; a call with two tags counts for both."""
    owners = await narrow_owners(services, caller, Owners())
    await services.store.journal.flush()
    chosen = msgspec.structs.replace(report_filter(owners, days or (_FIRST_DAY, _LAST_DAY)), by_tag=True)
    lines = await _add_up(services, chosen, ("tag",), ("cost_nano", "requests"))
    return [
        {
            "individual_request_tag": line.group[0],
            "log_count": line.sums.requests,
            "total_spend": dollars_from_nano(line.sums.cost_nano),
        }
        for line in sorted(lines, key=lambda line: -line.sums.cost_nano)
    ]


async def show_total(services: Services, caller: Caller) -> View:
    """What the whole installation spent in the last 30 days, today among them, and its budget."""
    await services.store.journal.flush()
    last = today(services) + 1
    lines = await _add_up(services, ReportFilter(since=last - _MONTH_DAYS, until=last), (), _COST)
    installation = caller.scope("installation")
    limits = [window.limit for window in installation.budgets] if installation is not None else []
    return {
        "spend": dollars_from_nano(sum(line.sums.cost_nano for line in lines)),
        "max_budget": dollars_from_nano(limits[0]) if limits else None,
    }


async def _report(
    services: Services, caller: Caller, days: Days, wanted: Owners, *, with_teams: bool = False
) -> list[View]:
    if not sees_everything(caller):
        wanted = await narrow_owners(services, caller, wanted)
    elif wanted == Owners():
        raise InvalidRequest("Say whose spend: name a key, user, team or organisation.")
    await services.store.journal.flush()
    return await _report_keys(services, report_filter(wanted, days), with_teams=with_teams)


async def _report_keys(services: Services, wanted: ReportFilter, *, with_teams: bool = False) -> list[View]:
    """Spend by key, the costliest first, each with its models: all keys, and the models of those that cost most."""
    by = ("key_hash", "served_model", *(("team_id",) if with_teams else ()))
    totals = await _add_up(services, wanted, ("key_hash",), _SHOWN)
    totals.sort(key=lambda line: -line.sums.cost_nano)
    detailed = wanted
    if len(totals) > _MOST_DETAILED:
        keys = tuple(line.group[0] for line in totals[:_MOST_DETAILED])
        detailed = msgspec.structs.replace(wanted, keys=keys)
    details: defaultdict[str, list[Line]] = defaultdict(list)
    for line in await _add_up(services, detailed, by, _SHOWN):
        details[line.group[0]].append(line)
    return [_key_view(total, details[total.group[0]], with_teams=with_teams) for total in totals]


async def _add_up(services: Services, wanted: ReportFilter, by: Sequence[str], kinds: Sequence[str]) -> list[Line]:
    return require_few(await services.store.reports.add_up(wanted, by, limit=MOST_LINES + 1, kinds=kinds))


async def _names_of(services: Services, group: Group, ids: set[str]) -> dict[str, str | None]:
    """The aliases of teams or organisations."""
    if group == "team":
        return {team.team_id: team.team_alias for team in await services.store.teams.get_many(sorted(ids))}
    if group == "organization":
        found = await services.store.organizations.get_many(sorted(ids))
        return {record.organization_id: record.organization_alias for record in found}
    return {}


def _owner_view(group: Group, names: dict[str, str | None], total: Line, parts: list[Line]) -> View:
    """What one team (customer, …) spent on one day. LiteLLM names teams by their alias, and so the id stands beside."""
    owner: str = total.group[1]
    view: View = {
        "total_spend": dollars_from_nano(total.sums.cost_nano),
        "metadata": [_part_view(line) for line in parts],
    }
    if group in {"customer", "user"}:
        return {group: owner, **view}
    name = names.get(owner) or owner or f"Unassigned {group.capitalize()}"
    return {f"{group}_name": name, _COLUMNS[group]: owner or None, **view}


def _part_view(line: Line) -> View:
    return {
        "model": line.group[2],
        "api_key": line.group[3],
        "spend": dollars_from_nano(line.sums.cost_nano),
        "total_tokens": line.sums.prompt + line.sums.output,
    }


def _key_view(total: Line, parts: list[Line], *, with_teams: bool) -> View:
    """What a key spent, and on which models."""
    details = [
        {"model": line.group[1], **_totals(line.sums), **({"team_id": line.group[2] or None} if with_teams else {})}
        for line in parts
    ]
    return {"api_key": total.group[0], **_totals(total.sums), "model_details": details}


def _totals(sums: Sums) -> dict[str, Any]:
    return {
        "total_cost": dollars_from_nano(sums.cost_nano),
        "total_input_tokens": sums.prompt,
        "total_output_tokens": sums.output,
    }


def _first(line: Line) -> Any:
    return line.group[0]
