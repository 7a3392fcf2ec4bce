"""Endpoints of calls and what they cost."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from sekisho.control.api.answers import answer_at_once
from sekisho.control.api.gate import caller_of
from sekisho.control.api.requests import Name
from sekisho.control.api.spend_requests import Calculate
from sekisho.control.services import spend, spend_cost
from sekisho.control.services.context import Services
from sekisho.control.services.keys import hash_of
from sekisho.control.services.spend_scope import parse_days, parse_moment
from sekisho.core.money import nano_from_dollars
from sekisho.store.usage import UsageFilter

_SUMMARY = "Only with both dates, whose whole days (UTC) it covers; `summarize=false` gives the calls themselves"
_DOLLARS = {"ge": 0, "le": 1_000_000, "allow_inf_nan": False}


def add_routes(router: APIRouter, services: Services) -> None:
    """Add the endpoints of calls under `/spend`."""

    @router.get("/spend/logs", tags=["spend"], response_model=list[dict[str, Any]])
    async def list_logs(
        request: Request,
        response: Response,
        api_key: Name | None = None,
        user_id: Name | None = None,
        request_id: Name | None = None,
        start_date: str | None = None,
        end_date: str | None = None,
        summarize: Annotated[bool, Query(description=_SUMMARY)] = True,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
        offset: Annotated[int, Query(ge=0, le=100_000)] = 0,
    ) -> Response:
        """List calls, the newest first; or, given both dates and nothing else, spend by day."""
        if request_id is not None and not _is_uuid(request_id):
            return answer_at_once([], response)
        wanted = UsageFilter(
            request_id=request_id,
            key_hash=None if api_key is None else hash_of(api_key),
            user_id=user_id,
            since=None if start_date is None else parse_moment(start_date, "start_date", end=False),
            until=None if end_date is None else parse_moment(end_date, "end_date", end=True),
        )
        caller = caller_of(request)
        narrowed = api_key is not None or user_id is not None or request_id is not None
        if summarize and start_date is not None and end_date is not None and not narrowed:
            found = await spend.summarise_logs(services, caller, parse_days(start_date, end_date))
        else:
            found = await spend.list_logs(services, caller, wanted, limit=limit, offset=offset)
        return answer_at_once(found, response)

    @router.get("/spend/logs/v2", tags=["spend"])
    async def page_logs(
        request: Request,
        page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
        page_size: Annotated[int, Query(ge=1, le=100)] = 50,
        api_key: Name | None = None,
        user_id: Name | None = None,
        request_id: Name | None = None,
        team_id: Name | None = None,
        organization_id: Name | None = None,
        end_user: Name | None = None,
        session_id: Name | None = None,
        key_alias: Name | None = None,
        model: Name | None = None,
        status_filter: Literal["success", "failure", "client_closed"] | None = None,
        min_spend: Annotated[float | None, Query(**_DOLLARS)] = None,
        max_spend: Annotated[float | None, Query(**_DOLLARS)] = None,
        start_date: str | None = None,
        end_date: str | None = None,
    ) -> dict[str, Any]:
        """List calls page by page, the newest first, with how many there are in all."""
        if request_id is not None and not _is_uuid(request_id):
            return {"data": [], "total": 0, "page": page, "page_size": page_size, "total_pages": 0}
        wanted = UsageFilter(
            request_id=request_id,
            key_hash=None if api_key is None else hash_of(api_key),
            user_id=user_id,
            team_id=team_id,
            organization_id=organization_id,
            end_user=end_user,
            session_id=session_id,
            key_alias=key_alias,
            model=model,
            status=status_filter,
            min_cost=None if min_spend is None else nano_from_dollars(min_spend),
            max_cost=None if max_spend is None else nano_from_dollars(max_spend),
            since=None if start_date is None else parse_moment(start_date, "start_date", end=False),
            until=None if end_date is None else parse_moment(end_date, "end_date", end=True),
        )
        return await spend.page_logs(services, caller_of(request), wanted, page=page, size=page_size)

    @router.post("/spend/calculate", tags=["spend"])
    async def calculate_cost(request: Request, body: Calculate) -> dict[str, Any]:
        """Say what a call costs: from the usage of its answer, or before it is made from its messages alone."""
        return spend_cost.calculate_cost(services, caller_of(request), body.fields())


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
