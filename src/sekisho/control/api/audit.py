"""Endpoints of the audit trail."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from sekisho.control.api.requests import Name
from sekisho.control.services import audit
from sekisho.control.services.context import Services
from sekisho.control.services.spend_scope import parse_moment
from sekisho.store.audit import AuditFilter


def add_routes(router: APIRouter, services: Services) -> None:
    """Add the endpoint that shows the audit trail."""

    @router.get("/audit", tags=["audit"])
    async def list_records(
        page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
        page_size: Annotated[int, Query(ge=1, le=100)] = 10,
        changed_by: Name | None = None,
        action: Annotated[str | None, Query(pattern="^(created|updated|deleted)$")] = None,
        table_name: Name | None = None,
        object_id: Name | None = None,
        start_date: str | None = None,
        end_date: str | None = None,
    ) -> dict[str, Any]:
        """List administrative changes, the newest first: who, what, before, after, and from where."""
        wanted = AuditFilter(
            actor=changed_by,
            action=action,
            object_kind=table_name,
            object_id=object_id,
            since=None if start_date is None else parse_moment(start_date, "start_date", end=False),
            until=None if end_date is None else parse_moment(end_date, "end_date", end=True),
        )
        return await audit.list_records(services, wanted, page=page, size=page_size)
