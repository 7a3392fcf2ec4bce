"""Calls, one by one and added up by day."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from sekisho.control.services.context import Services
from sekisho.control.services.spend_scope import Owners, narrow_owners, report_filter, show_day
from sekisho.control.services.views import View, iso
from sekisho.core.caller import Caller
from sekisho.core.errors import InvalidRequest
from sekisho.core.money import dollars_from_nano
from sekisho.store.records import UsageRow
from sekisho.store.reports import Line
from sekisho.store.usage import UsageFilter

_DEEPEST: Final = 100_000
"""How many calls a page may lie behind the newest: what is skipped must be read all the same."""
MOST_LINES: Final = 100_000


async def list_logs(services: Services, caller: Caller, wanted: UsageFilter, *, limit: int, offset: int) -> list[View]:
    """The calls that the caller may see, the newest first."""
    visible = await _narrow(services, caller, wanted)
    await services.store.journal.flush()
    return [_log_view(row) for row in await services.store.usage.find(visible, limit=limit, offset=offset)]


async def page_logs(services: Services, caller: Caller, wanted: UsageFilter, *, page: int, size: int) -> View:
    """One page of the calls that the caller may see, the newest first, and how many there are.

    Raises:
        InvalidRequest: the page lies too deep.
    """
    offset = (page - 1) * size
    if offset > _DEEPEST:
        raise InvalidRequest(f"There are no pages behind the first {_DEEPEST} calls. Ask for fewer days.", param="page")
    visible = await _narrow(services, caller, wanted)
    await services.store.journal.flush()
    total = await services.store.usage.count(visible)
    rows = await services.store.usage.find(visible, limit=size, offset=offset)
    return {
        "data": [_log_view(row) for row in rows],
        "total": total,
        "page": page,
        "page_size": size,
        "total_pages": -(-total // size),
    }


async def summarise_logs(services: Services, caller: Caller, days: tuple[int, int]) -> list[View]:
    """Spend by day with its users, models and keys, the oldest day first."""
    owners = await narrow_owners(services, caller, Owners())
    await services.store.journal.flush()
    wanted = report_filter(owners, days)

    async def add_up(*by: str) -> list[Line]:
        lines = await services.store.reports.add_up(wanted, by, limit=MOST_LINES + 1, kinds=("cost_nano",))
        return require_few(lines)

    by_owner, by_model = await add_up("day", "key_hash", "user_id"), await add_up("day", "model")
    # Model calls in this process need not wait until so much is put together.
    return await asyncio.to_thread(_days, by_owner, by_model)


def require_few(lines: list[Line]) -> list[Line]:
    """The lines of a report, unless they are more than anybody reads.

    Raises:
        InvalidRequest: they are too many.
    """
    if len(lines) > MOST_LINES:
        message = f"The report would have more than {MOST_LINES} lines. Ask for fewer days, or for one team or user."
        raise InvalidRequest(message, param="end_date")
    return lines


async def _narrow(services: Services, caller: Caller, wanted: UsageFilter) -> UsageFilter:
    """Leave what the caller may see."""
    asked = Owners(
        keys=_some(wanted.key_hash),
        users=_some(wanted.user_id),
        teams=_some(wanted.team_id),
        organizations=_some(wanted.organization_id),
    )
    owners = await narrow_owners(services, caller, asked)
    return msgspec.structs.replace(wanted, key_hash=_only(owners.keys), user_id=_only(owners.users))


def _some(name: str | None) -> tuple[str, ...] | None:
    return None if name is None else (name,)


def _only(names: tuple[str, ...] | None) -> str | None:
    return None if names is None else names[0]


def _days(by_owner: Sequence[Line], by_model: Sequence[Line]) -> list[View]:
    """Added up in nano-dollars, shown in dollars; both kinds of lines are of the same days, in their order."""
    days: dict[int, dict[str, dict[str, int]]] = {}
    for line in by_owner:
        number, key_hash, user_id = line.group
        day = days.setdefault(number, {"keys": {}, "users": {}, "models": {}})
        for group, name in (("keys", key_hash), ("users", user_id)):
            day[group][name] = day[group].get(name, 0) + line.sums.cost_nano
    for line in by_model:
        number, model = line.group
        days[number]["models"][model] = line.sums.cost_nano
    return [
        {
            **_dollars(day["keys"]),
            "startTime": show_day(number),
            "spend": dollars_from_nano(sum(day["models"].values())),
            "users": _dollars(day["users"]),
            "models": _dollars(day["models"]),
        }
        for number, day in days.items()
    ]


def _dollars(amounts: dict[str, int]) -> dict[str, float]:
    return {name: dollars_from_nano(nano) for name, nano in amounts.items()}


def _log_view(row: UsageRow) -> View:
    """A usage row in the names of LiteLLM's log; what those cannot say stands in `metadata`."""
    first_token = None if row.ttft_ms is None else iso((row.started_at + row.ttft_ms) / 1000)
    return {
        "request_id": row.id,
        "litellm_call_id": row.id,
        "call_type": row.road.call_type,
        "api_key": row.caller.key_hash or "",
        "spend": None if row.cost_nano is None else dollars_from_nano(row.cost_nano),
        "total_tokens": row.usage.total,
        "prompt_tokens": row.usage.prompt,
        "completion_tokens": row.usage.output,
        "startTime": iso(row.started_at / 1000),
        "endTime": iso(row.ended_at / 1000),
        "request_duration_ms": row.ended_at - row.started_at,
        "completionStartTime": first_token,
        "model": row.road.upstream_model or row.model,
        "model_id": row.road.deployment_id or "",
        "model_group": row.road.model_group or row.model,
        "custom_llm_provider": row.road.provider or "",
        "api_base": "",
        "user": row.caller.user_id or "",
        "metadata": _metadata(row),
        "cache_hit": "False",
        "cache_key": "",
        "request_tags": list(row.tags),
        "team_id": row.caller.team_id,
        "organization_id": row.caller.organization_id,
        "end_user": row.end_user,
        "requester_ip_address": row.requester_ip,
        "messages": {},
        "response": {},
        "proxy_server_request": {},
        "session_id": row.session_id,
        "agent": row.agent,
        "agent_version": row.agent_version,
        "status": row.status,
    }


def _metadata(row: UsageRow) -> dict[str, Any]:
    return {
        "user_api_key": row.caller.key_hash,
        "user_api_key_alias": row.caller.key_alias,
        "user_api_key_user_id": row.caller.user_id,
        "user_api_key_team_id": row.caller.team_id,
        "agent": row.agent,
        "agent_version": row.agent_version,
        "agent_id": row.agent_id,
        "parent_id": row.parent_id,
        "user_api_key_org_id": row.caller.organization_id,
        "user_api_key_project_id": row.caller.project_id,
        "status": row.status,
        "http_status": row.http_status,
        "error_class": row.error_class,
        "model_asked": row.model,
        "usage": msgspec.structs.asdict(row.usage),
        "cost_nano": row.cost_nano,
        "overrun_nano": row.overrun_nano,
        "price_version": row.road.price_version,
        "ttft_ms": row.ttft_ms,
        "queue_ms": row.queued_ms,
        "account": row.road.account,
        "region": row.road.region,
        "simulated": row.road.simulated,
        "estimated": row.estimated,
        "streamed": row.streamed,
        "retries": row.retries,
        "fallbacks": row.fallbacks,
        "attempts": [msgspec.to_builtins(msgspec.structs.asdict(attempt)) for attempt in row.attempts],
    }
