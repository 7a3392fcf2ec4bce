"""Who changed what: the audit trail as the admin API shows it."""

from typing import Any

import msgspec

from sekisho.control.services.context import Services
from sekisho.control.services.views import View, iso
from sekisho.store.audit import AuditFilter
from sekisho.store.audit_chain import AuditRecord


async def list_records(services: Services, wanted: AuditFilter, *, page: int, size: int) -> View:
    """One page of the audit trail, the newest record first."""
    records, total = await services.store.audit.find(wanted, limit=size, offset=(page - 1) * size)
    return {
        "audit_logs": [_record_view(record) for record in records],
        "total": total,
        "page": page,
        "page_size": size,
        "total_pages": -(-total // size),
    }


def _record_view(record: AuditRecord) -> View:
    """A record in the names of LiteLLM's audit log; what those cannot say stands beside them."""
    return {
        "id": str(record.seq),
        "updated_at": iso(record.at / 1000),
        "changed_by": record.actor,
        "changed_by_role": record.actor_role,
        "source_ip": record.source_ip,
        "request": record.request,
        "action": record.action,
        "table_name": record.object_kind,
        "object_id": record.object_id,
        "before_value": _decoded(record.before),
        "updated_values": _decoded(record.after),
        "previous_hash": record.previous_hash,
        "hash": record.hash,
    }


def _decoded(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)
