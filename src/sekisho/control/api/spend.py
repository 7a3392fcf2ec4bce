"""Endpoints of spend."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request

from sekisho.control.api.gate import caller_of
from sekisho.control.api.requests import Name
from sekisho.control.services import spend
from sekisho.control.services.context import Services
from sekisho.control.services.keys import hash_of
from sekisho.store.usage import UsageFilter

_SUMMARY = "Only with both dates; `summarize=false` gives the calls themselves"


def add_routes(router: APIRouter, services: Services) -> None:
    """Add the endpoints under `/spend`."""

    @router.get("/spend/logs", tags=["spend"])
    async def list_logs(
        request: Request,
        api_key: Name | None = None,
        user_id: Name | None = None,
        request_id: Name | None = None,
        start_date: str | None = None,
        end_date: str | None = None,
        summarize: Annotated[bool, Query(description=_SUMMARY)] = True,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
        offset: Annotated[int, Query(ge=0, le=2**40)] = 0,
    ) -> list[dict[str, Any]]:
        """List calls, the newest first; or, given both dates and nothing else, spend by day."""
        if request_id is not None and not _is_uuid(request_id):
            return []
        wanted = UsageFilter(
            request_id=request_id,
            key_hash=None if api_key is None else hash_of(api_key),
            user_id=user_id,
            since=None if start_date is None else spend.parse_day(start_date, "start_date", end=False),
            until=None if end_date is None else spend.parse_day(end_date, "end_date", end=True),
        )
        caller = caller_of(request)
        narrowed = api_key is not None or user_id is not None or request_id is not None
        if summarize and start_date is not None and end_date is not None and not narrowed:
            return await spend.summarise_logs(services, caller, wanted)
        return await spend.list_logs(services, caller, wanted, limit=limit, offset=offset)


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
