"""Who used what and what it cost."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from sekisho.control.services.context import Services
from sekisho.control.services.views import View, iso
from sekisho.core.caller import Caller
from sekisho.core.errors import AccessDenied, InvalidRequest
from sekisho.core.money import dollars_from_nano
from sekisho.identity.rights import sees_everything
from sekisho.store.records import UsageRow
from sekisho.store.usage import DaySpend, UsageFilter

_DAY_SECONDS: Final = 86_400


def parse_day(text: str, param: str, *, end: bool) -> int:
    """Milliseconds since the epoch of a date (its beginning, or its end if `end`) or of a date and time, in UTC.

    Raises:
        InvalidRequest: it is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(f"{param} must be a date such as 2026-11-23, not {text[:40]!r}.", param=param) from None
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    try:
        moment += timedelta(days=1) if end and len(text) <= len("2026-11-23") else timedelta()
    except OverflowError:
        raise InvalidRequest(f"{param} is too far away: {text[:40]!r}.", param=param) from None
    return int(moment.timestamp() * 1000)


async def list_logs(services: Services, caller: Caller, wanted: UsageFilter, *, limit: int, offset: int) -> list[View]:
    """The calls that the caller may see, the newest first."""
    visible = _narrow(caller, wanted)
    await services.store.journal.flush()
    return [_log_view(row) for row in await services.store.usage.find(visible, limit=limit, offset=offset)]


async def summarise_logs(services: Services, caller: Caller, wanted: UsageFilter) -> list[View]:
    """Spend by day with its users, models and keys, the oldest day first."""
    visible = _narrow(caller, wanted)
    await services.store.journal.flush()
    return _days(await services.store.usage.by_day(visible))


def _narrow(caller: Caller, wanted: UsageFilter) -> UsageFilter:
    """Leave what the caller may see: everything, or the calls of its user, or else of its key."""
    if sees_everything(caller):
        return wanted
    if caller.user_id is None:
        if wanted.user_id is not None or wanted.key_hash not in {None, caller.key_hash}:
            raise AccessDenied("You may see only the calls of your own key.")
        return msgspec.structs.replace(wanted, key_hash=caller.key_hash)
    if wanted.user_id not in {None, caller.user_id}:
        raise AccessDenied("You may see only your own calls.")
    return msgspec.structs.replace(wanted, user_id=caller.user_id)


def _days(rows: Sequence[DaySpend]) -> list[View]:
    """Added up in nano-dollars, shown in dollars."""
    days: dict[int, dict[str, dict[str, int]]] = {}
    for row in rows:
        day = days.setdefault(row.day, {"keys": {}, "users": {}, "models": {}})
        for group, name in (("keys", row.key_hash), ("users", row.user_id), ("models", row.model)):
            day[group][name or ""] = day[group].get(name or "", 0) + row.cost_nano
    return [
        {
            **_dollars(day["keys"]),
            "startTime": datetime.fromtimestamp(number * _DAY_SECONDS, UTC).date().isoformat(),
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
        "call_type": row.call_type,
        "api_key": row.key_hash or "",
        "spend": None if row.cost_nano is None else dollars_from_nano(row.cost_nano),
        "total_tokens": row.usage.total,
        "prompt_tokens": row.usage.prompt,
        "completion_tokens": row.usage.output,
        "startTime": iso(row.started_at / 1000),
        "endTime": iso(row.ended_at / 1000),
        "request_duration_ms": row.ended_at - row.started_at,
        "completionStartTime": first_token,
        "model": row.upstream_model or row.model,
        "model_id": row.deployment_id or "",
        "model_group": row.model_group or row.model,
        "custom_llm_provider": row.provider or "",
        "api_base": "",
        "user": row.user_id or "",
        "metadata": _metadata(row),
        "cache_hit": "False",
        "cache_key": "",
        "request_tags": list(row.tags),
        "team_id": row.team_id,
        "organization_id": None,
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
        "user_api_key": row.key_hash,
        "user_api_key_alias": row.key_alias,
        "user_api_key_user_id": row.user_id,
        "user_api_key_team_id": row.team_id,
        "agent": row.agent,
        "agent_version": row.agent_version,
        "agent_id": row.agent_id,
        "parent_id": row.parent_id,
        "status": row.status,
        "http_status": row.http_status,
        "error_class": row.error_class,
        "model_asked": row.model,
        "usage": msgspec.structs.asdict(row.usage),
        "cost_nano": row.cost_nano,
        "price_version": row.price_version,
        "ttft_ms": row.ttft_ms,
        "account": row.account,
        "region": row.region,
        "simulated": row.simulated,
        "estimated": row.estimated,
        "streamed": row.streamed,
        "retries": row.retries,
        "fallbacks": row.fallbacks,
    }
