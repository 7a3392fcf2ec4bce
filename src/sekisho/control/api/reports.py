"""Endpoints of spend reports and daily activity."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from sekisho.control.api.answers import answer_at_once
from sekisho.control.api.gate import caller_of
from sekisho.control.api.requests import Name, Text
from sekisho.control.services import reports
from sekisho.control.services.context import Services
from sekisho.control.services.keys import hash_of
from sekisho.control.services.reports_daily import Activity, Entity, show_activity
from sekisho.control.services.spend_scope import Owners, parse_days
from sekisho.core.errors import InvalidRequest

_TIMEZONE = "Minutes from local time to UTC, as in JavaScript: -540 for Tokyo. Days begin at the local midnight then"
Timezone = Annotated[int, Query(ge=-14 * 60, le=12 * 60, description=_TIMEZONE)]
Page = Annotated[int, Query(ge=1, le=1_000)]
Size = Annotated[int, Query(ge=1, le=1_000)]
_MOST_NAMES = 100


def add_routes(router: APIRouter, services: Services) -> None:
    """Add the endpoints of reports."""
    _add_reports(router, services)
    _add_totals(router, services)
    _add_activity(router, services)


def _add_reports(router: APIRouter, services: Services) -> None:
    @router.get("/key/spend/report", tags=["reports"])
    async def report_keys(
        request: Request, start_date: str | None = None, end_date: str | None = None, api_key: Name | None = None
    ) -> list[dict[str, Any]]:
        """Show what a key spent on each model, the caller's own without `api_key`."""
        keys = None if api_key is None else [hash_of(api_key)]
        return await reports.report_keys(services, caller_of(request), parse_days(start_date, end_date), keys)

    @router.get("/user/spend/report", tags=["reports"])
    async def report_user(
        request: Request,
        start_date: str | None = None,
        end_date: str | None = None,
        internal_user_id: Name | None = None,
        user_id: Name | None = None,
    ) -> list[dict[str, Any]]:
        """Show what a user spent by key and model, the caller itself without `user_id` (or `internal_user_id`)."""
        days = parse_days(start_date, end_date)
        return await reports.report_user(services, caller_of(request), days, user_id or internal_user_id)

    @router.get("/team/spend/report", tags=["reports"])
    async def report_team(
        request: Request, start_date: str | None = None, end_date: str | None = None, team_id: Name | None = None
    ) -> list[dict[str, Any]]:
        """Show what a team spent by key and model; who is no administrator of it sees only the own share."""
        return await reports.report_team(services, caller_of(request), parse_days(start_date, end_date), team_id)

    @router.get("/organization/spend/report", tags=["reports"])
    async def report_organization(
        request: Request,
        start_date: str | None = None,
        end_date: str | None = None,
        organization_id: Name | None = None,
    ) -> list[dict[str, Any]]:
        """Show what an organisation spent by key, model and team."""
        days = parse_days(start_date, end_date)
        return await reports.report_organization(services, caller_of(request), days, organization_id)


def _add_totals(router: APIRouter, services: Services) -> None:
    @router.get("/global/spend", tags=["reports"])
    async def show_total(request: Request) -> dict[str, Any]:
        """Show what everybody together spent in the last 30 days."""
        return await reports.show_total(services, caller_of(request))

    @router.get("/global/spend/report", tags=["reports"], response_model=list[dict[str, Any]])
    async def report_global(
        response: Response,
        start_date: str | None = None,
        end_date: str | None = None,
        group_by: reports.Group = "team",
        api_key: Name | None = None,
        internal_user_id: Name | None = None,
        team_id: Name | None = None,
        organization_id: Name | None = None,
        customer_id: Name | None = None,
    ) -> Response:
        """Show spend by day and team (customer, organization, user), or by key; by key too when narrowed to one."""
        wanted = Owners(
            keys=None if api_key is None else (hash_of(api_key),),
            users=None if internal_user_id is None else (internal_user_id,),
            teams=None if team_id is None else (team_id,),
            organizations=None if organization_id is None else (organization_id,),
        )
        days = parse_days(start_date, end_date)
        return answer_at_once(await reports.report_global(services, wanted, customer_id, days, group_by), response)

    @router.get("/spend/tags", tags=["reports"])
    async def list_tags(
        request: Request, start_date: str | None = None, end_date: str | None = None
    ) -> list[dict[str, Any]]:
        """Show calls and spend by tag, of all time without dates. A call with two tags counts for both."""
        days = None if start_date is None and end_date is None else parse_days(start_date, end_date)
        return await reports.list_tags(services, caller_of(request), days)


def _add_activity(router: APIRouter, services: Services) -> None:
    async def show(
        request: Request,
        response: Response,
        entity: Entity,
        names: tuple[str, ...] | None,
        dates: tuple[str | None, str | None],
        api_key: str | None,
        **rest: Any,
    ) -> Response:
        keys = None if api_key is None else (hash_of(api_key),)
        asked = Activity(entity=entity, names=names, days=parse_days(*dates), keys=keys, **rest)
        return answer_at_once(await show_activity(services, caller_of(request), asked), response)

    @router.get("/user/daily/activity", tags=["reports"], response_model=dict[str, Any])
    async def show_user(
        request: Request,
        response: Response,
        start_date: str | None = None,
        end_date: str | None = None,
        user_id: Name | None = None,
        api_key: Name | None = None,
        model: Name | None = None,
        timezone: Timezone = 0,
        page: Page = 1,
        page_size: Size = 50,
    ) -> Response:
        """Show by day what a user used, or everybody, by model, provider, key and user; the newest day first."""
        names, dates = None if user_id is None else (user_id,), (start_date, end_date)
        rest = {"model": model, "offset": timezone, "page": page, "size": page_size}
        return await show(request, response, "user", names, dates, api_key, **rest)

    def add(entity: Entity, path: str, what: str) -> None:
        async def show_names(
            request: Request,
            response: Response,
            names: Annotated[Text | None, Query(alias=what, max_length=4_000)] = None,
            start_date: str | None = None,
            end_date: str | None = None,
            api_key: Name | None = None,
            model: Name | None = None,
            timezone: Timezone = 0,
            page: Page = 1,
            page_size: Size = 50,
        ) -> Response:
            rest = {"model": model, "offset": timezone, "page": page, "size": page_size}
            return await show(request, response, entity, _split(names, what), (start_date, end_date), api_key, **rest)

        note = f"Show by day what was used, by model, provider, key and {entity}; of these {entity}s (with commas)."
        router.add_api_route(
            path, show_names, methods=["GET"], tags=["reports"], description=note, response_model=dict[str, Any]
        )

    add("team", "/team/daily/activity", "team_ids")
    add("organization", "/organization/daily/activity", "organization_ids")
    add("customer", "/customer/daily/activity", "end_user_ids")
    add("tag", "/tag/daily/activity", "tags")


def _split(names: str | None, param: str) -> tuple[str, ...] | None:
    if names is None:
        return None
    found = tuple(name.strip() for name in names.split(",") if name.strip())
    if not 0 < len(found) <= _MOST_NAMES:
        raise InvalidRequest(f"{param}: give 1 to {_MOST_NAMES} of them, separated by commas.", param=param)
    return found
