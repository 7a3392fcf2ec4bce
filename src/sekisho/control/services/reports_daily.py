"""Daily activity: what was used by day, and how it breaks down by model, provider, key and team (user, tag, …)."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct, field

from sekisho.control.services.context import Services
from sekisho.control.services.spend import MOST_LINES, require_few
from sekisho.control.services.spend_scope import (
    Owners,
    narrow_owners,
    own_organizations,
    own_teams,
    report_filter,
    show_day,
)
from sekisho.control.services.views import View
from sekisho.core.caller import Caller
from sekisho.core.errors import InvalidRequest
from sekisho.core.money import dollars_from_nano
from sekisho.store.records import KeyRecord
from sekisho.store.reports import Line, ReportFilter, Sums

Entity = Literal["user", "team", "organization", "tag"]

MOST_KEYS: Final = 100
"""The keys that are shown one by one; the others are in all sums."""
_MOST_ENTITIES: Final = 250
"""The users (teams, …) that are shown when all of them would be too many; the others are in the sums."""
_COLUMNS: Final[dict[Entity, str]] = {
    "user": "user_id",
    "team": "team_id",
    "organization": "organization_id",
    "tag": "tag",
}
_BREAKDOWNS: Final = ("entities", "models", "model_groups", "providers")
_ELSEWHERE: Final = ("mcp_servers", "endpoints")
"""Breakdowns that LiteLLM has and the roll-ups know nothing of."""
_MODELS: Final = ("served_model", "model_group", "provider")
_MOST_ROWS: Final = 200_000
_DAY_MS: Final = 86_400_000


class Activity(Struct, frozen=True, kw_only=True):
    """What is asked for; `names` are the entities, None for all that the caller may see.

    days: counted from the epoch, the end not included. offset: minutes from local time to UTC, 0 for days of UTC.
    """

    entity: Entity
    names: tuple[str, ...] | None
    days: tuple[int, int]
    keys: tuple[str, ...] | None = None
    model: str | None = None
    offset: int = 0
    page: int = 1
    size: int = 50


class _Bucket(Struct):
    """Sums of something, and of it by key."""

    sums: Sums = Sums()
    keys: dict[str, Sums] = {}

    def add_key(self, key: str, sums: Sums) -> None:
        """Add what was used with a key."""
        known = self.keys.get(key)
        self.keys[key] = sums if known is None else known + sums


class _Day(Struct):
    """One day and its breakdowns: by their kind, then by name."""

    whole: _Bucket = field(default_factory=_Bucket)
    breakdowns: dict[str, dict[str, _Bucket]] = field(default_factory=lambda: {name: {} for name in _BREAKDOWNS})

    def of(self, breakdown: str, name: str) -> _Bucket:
        """The bucket of this name."""
        buckets, name = self.breakdowns[breakdown], name or "Unassigned"
        bucket = buckets.get(name)
        if bucket is None:
            bucket = buckets[name] = _Bucket()
        return bucket


class _Parts(Struct, frozen=True):
    """What a page is made of: lines by day and entity; by day and model; and the same together, of some keys only."""

    entities: list[Line]
    models: list[Line]
    keys: list[Line]


async def show_activity(services: Services, caller: Caller, asked: Activity) -> View:
    """One page of days, the newest first, with their breakdowns; the totals are those of the page.

    Raises:
        AccessDenied: what is asked for is somebody else's.
        InvalidRequest: the days cannot be cut at the local midnight, or the report would be too long.
    """
    since, until = asked.days
    last = until - (asked.page - 1) * asked.size
    wanted = await _narrow(services, caller, asked, (max(since, last - asked.size), max(since, last)))
    await services.store.journal.flush()
    if wanted.offset:
        await _require_rows(services, wanted)
    keys, total_keys = await services.store.reports.costliest(wanted, "key_hash", MOST_KEYS)
    parts = await _read_parts(services, wanted, asked.entity, keys)
    described = {record.key_hash: record for record in await services.store.keys.get_many(keys)}
    # Adding up and showing take their time, which model calls in this process need not wait for.
    results, total = await asyncio.to_thread(_show_days, parts, described)
    pages = -(-(until - since) // asked.size)
    totals = {f"total_{name.removeprefix('total_')}": value for name, value in _metrics(total).items()}
    return {
        "results": results,
        "metadata": {
            **totals,
            "page": asked.page,
            "total_pages": pages,
            "has_more": asked.page < pages,
            "api_key_limit": MOST_KEYS,
            "total_api_keys": total_keys,
        },
    }


async def _read_parts(services: Services, wanted: ReportFilter, entity: Entity, keys: Sequence[str]) -> _Parts:
    async def add_up(chosen: ReportFilter, *by: str) -> list[Line]:
        return await services.store.reports.add_up(chosen, by, limit=MOST_LINES + 1)

    column = _COLUMNS[entity]
    entities = await add_up(wanted, "day", column)
    if len(entities) > MOST_LINES:
        names, _ = await services.store.reports.costliest(wanted, column, _MOST_ENTITIES)
        entities = await add_up(msgspec.structs.replace(wanted, **{f"{entity}s": tuple(names)}), "day", column)
    of_keys = msgspec.structs.replace(wanted, keys=tuple(keys))
    return _Parts(
        entities=entities,
        models=require_few(await add_up(wanted, "day", *_MODELS)),
        keys=require_few(await add_up(of_keys, "day", column, *_MODELS, "key_hash")),
    )


async def _narrow(services: Services, caller: Caller, asked: Activity, days: tuple[int, int]) -> ReportFilter:
    names = asked.names
    if asked.entity == "team" and names is None:
        names = await own_teams(services, caller)
    elif asked.entity == "organization" and names is None:
        names = await own_organizations(services, caller)
    owners = Owners(
        keys=asked.keys,
        users=names if asked.entity == "user" else None,
        teams=names if asked.entity == "team" else None,
        organizations=names if asked.entity == "organization" else None,
    )
    wanted = report_filter(await narrow_owners(services, caller, owners), days)
    of_tags = asked.entity == "tag"
    return msgspec.structs.replace(
        wanted, offset=asked.offset, model=asked.model, by_tag=of_tags, tags=names if of_tags else None
    )


async def _require_rows(services: Services, wanted: ReportFilter) -> None:
    """Refuse local days whose usage rows are no longer kept, or are too many to be added up one by one."""
    in_utc = msgspec.structs.replace(wanted, offset=0, since=wanted.since - 1, until=wanted.until + 1)
    (rows,) = await services.store.reports.add_up(in_utc, (), limit=1)
    if rows.sums.requests > _MOST_ROWS:
        message = f"Local days are added up call by call, {_MOST_ROWS} at most: ask for fewer days, or in UTC."
        raise InvalidRequest(message, param="timezone")
    oldest = await services.store.reports.oldest_row()
    kept_from = wanted.until if oldest is None else oldest // _DAY_MS
    gone = msgspec.structs.replace(in_utc, since=wanted.since, until=min(kept_from, wanted.until))
    (lost,) = await services.store.reports.add_up(gone, (), limit=1)
    if lost.sums.requests:
        message = f"Calls before {show_day(kept_from)} are no longer kept one by one; without timezone days are of UTC."
        raise InvalidRequest(message, param="timezone")


def _show_days(parts: _Parts, keys: dict[str, KeyRecord]) -> tuple[list[View], Sums]:
    days: defaultdict[int, _Day] = defaultdict(_Day)
    for line in parts.entities:
        number, entity = line.group
        days[number].of("entities", entity).sums += line.sums
    for line in parts.models:
        number, *names = line.group
        day = days[number]
        day.whole.sums += line.sums
        for bucket in _model_buckets(day, *names):
            bucket.sums += line.sums
    for line in parts.keys:
        number, entity, *names, key = line.group
        day = days[number]
        if key:  # calls with the master key have none
            for bucket in (day.whole, day.of("entities", entity), *_model_buckets(day, *names)):
                bucket.add_key(key, line.sums)
    results = [_show_day(number, day, keys) for number, day in sorted(days.items(), reverse=True)]
    return results, sum((day.whole.sums for day in days.values()), Sums())


def _model_buckets(day: _Day, model: str, group: str, provider: str) -> tuple[_Bucket, ...]:
    return (
        day.of("models", model),
        day.of("model_groups", group or model),
        day.of("providers", provider or "unknown"),
    )


def _show_day(number: int, day: _Day, keys: dict[str, KeyRecord]) -> View:
    breakdowns: dict[str, Any] = {
        name: {
            of: {"metrics": _metrics(bucket.sums), "metadata": {}, "api_key_breakdown": _show_keys(bucket, keys)}
            for of, bucket in buckets.items()
        }
        for name, buckets in day.breakdowns.items()
    }
    breakdowns |= {"api_keys": _show_keys(day.whole, keys), **{name: {} for name in _ELSEWHERE}}
    return {"date": show_day(number), "metrics": _metrics(day.whole.sums), "breakdown": breakdowns}


def _show_keys(bucket: _Bucket, keys: dict[str, KeyRecord]) -> View:
    return {key: {"metrics": _metrics(sums), "metadata": _describe(keys.get(key))} for key, sums in bucket.keys.items()}


def _describe(record: KeyRecord | None) -> View:
    """Whose key it is; nothing is known of one that was deleted."""
    if record is None:
        return {"key_alias": None, "team_id": None, "user_id": None, "key_exists": False}
    return {
        "key_alias": record.key_alias,
        "team_id": record.team_id,
        "user_id": record.user_id,
        "key_exists": True,
    }


def _metrics(sums: Sums) -> dict[str, Any]:
    prompt = sums.prompt
    return {
        "spend": dollars_from_nano(sums.cost_nano),
        "prompt_tokens": prompt,
        "completion_tokens": sums.output,
        "cache_read_input_tokens": sums.cache_read,
        "cache_creation_input_tokens": sums.cache_write,
        "total_tokens": prompt + sums.output,
        "successful_requests": sums.successes,
        "failed_requests": sums.failures,
        "api_requests": sums.requests,
    }
