"""Daily activity: what was used by day, and how it breaks down by model, provider, key and team (user, tag, …)."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
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

Entity = Literal["user", "team", "organization", "customer", "tag"]

MOST_KEYS: Final = 20
"""The keys that are shown one by one; the others are in all sums."""
MOST_ENTITIES: Final = 200
"""The users (teams, …) that are shown one by one; the others are in the sums."""
_COLUMNS: Final[dict[Entity, str]] = {
    "user": "user_id",
    "team": "team_id",
    "organization": "organization_id",
    "customer": "end_user",
    "tag": "tag",
}
_NOBODY: Final = "Unassigned"
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
        buckets, name = self.breakdowns[breakdown], name or _NOBODY
        bucket = buckets.get(name)
        if bucket is None:
            bucket = buckets[name] = _Bucket()
        return bucket

    def known(self, breakdown: str, name: str) -> tuple[_Bucket, ...]:
        """The bucket of this name, if it is one of those that are shown."""
        bucket = self.breakdowns[breakdown].get(name or _NOBODY)
        return () if bucket is None else (bucket,)


class _Parts(Struct, frozen=True):
    """What a page is made of: lines by day and entity; by day and model; and the same together, of some keys only.

    total_keys, total_entities: how many there are, with those that are not shown one by one.
    """

    entities: list[Line]
    models: list[Line]
    keys: list[Line]
    shown_keys: list[str]
    total_keys: int
    total_entities: int


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
    parts = await _read_parts(services, wanted, asked.entity)
    described = {record.key_hash: record for record in await services.store.keys.get_many(parts.shown_keys)}
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
            "total_api_keys": parts.total_keys,
            "entity_limit": MOST_ENTITIES,
            "total_entities": parts.total_entities,
        },
    }


async def _read_parts(services: Services, wanted: ReportFilter, entity: Entity) -> _Parts:
    reports, column = services.store.reports, _COLUMNS[entity]

    async def add_up(chosen: ReportFilter, *by: str) -> list[Line]:
        return require_few(await reports.add_up(chosen, by, limit=MOST_LINES + 1))

    keys, total_keys = await reports.costliest(wanted, "key_hash", MOST_KEYS)
    names, total_entities = await reports.costliest(wanted, column, MOST_ENTITIES)
    shown = wanted
    if total_entities > len(names):
        shown = msgspec.structs.replace(wanted, **{f"{entity}s": tuple(names)})
    return _Parts(
        entities=await add_up(shown, "day", column),
        models=await add_up(wanted, "day", *_MODELS),
        keys=await add_up(msgspec.structs.replace(wanted, keys=tuple(keys)), "day", column, *_MODELS, "key_hash"),
        shown_keys=keys,
        total_keys=total_keys,
        total_entities=total_entities,
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
    if asked.entity == "customer":
        wanted = msgspec.structs.replace(wanted, customers=names)
    elif asked.entity == "tag":
        wanted = msgspec.structs.replace(wanted, by_tag=True, tags=names)
    return msgspec.structs.replace(wanted, offset=asked.offset, model=asked.model)


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


def _show_days(parts: _Parts, records: Mapping[str, KeyRecord]) -> tuple[list[View], Sums]:
    days: defaultdict[int, _Day] = defaultdict(_Day)
    keys = {key: _describe(records.get(key)) for key in parts.shown_keys}
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
            for bucket in (day.whole, *day.known("entities", entity), *_model_buckets(day, *names)):
                bucket.add_key(key, line.sums)
    results = [_show_day(number, day, keys) for number, day in sorted(days.items(), reverse=True)]
    return results, sum((day.whole.sums for day in days.values()), Sums())


def _model_buckets(day: _Day, model: str, group: str, provider: str) -> tuple[_Bucket, ...]:
    return (
        day.of("models", model),
        day.of("model_groups", group or model),
        day.of("providers", provider or "unknown"),
    )


def _show_day(number: int, day: _Day, keys: Mapping[str, View]) -> View:
    breakdowns: dict[str, Any] = {
        name: {
            of: {"metrics": _metrics(bucket.sums), "metadata": {}, "api_key_breakdown": _show_keys(bucket, keys)}
            for of, bucket in buckets.items()
        }
        for name, buckets in day.breakdowns.items()
    }
    breakdowns |= {"api_keys": _show_keys(day.whole, keys), **{name: {} for name in _ELSEWHERE}}
    return {"date": show_day(number), "metrics": _metrics(day.whole.sums), "breakdown": breakdowns}


def _show_keys(bucket: _Bucket, keys: Mapping[str, View]) -> View:
    return {key: {"metrics": _metrics(sums), "metadata": keys[key]} for key, sums in bucket.keys.items()}


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
