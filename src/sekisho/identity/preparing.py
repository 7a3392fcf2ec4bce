"""What the database must hold before anybody calls: done once at the start, for all workers."""

import contextlib
import logging

from sekisho.core.errors import Conflict
from sekisho.identity.keys import hash_key, mask_key
from sekisho.store.engine import Store
from sekisho.store.records import KeyRecord

_log = logging.getLogger(__name__)


async def ensure_key(store: Store, key: str, now: float) -> None:
    """The starter key's record, if it is not there: a key without limits that belongs to nobody."""
    key_hash = hash_key(key)
    if await store.keys.get(key_hash) is None:
        record = KeyRecord(
            key_hash=key_hash,
            key_name=mask_key(key),
            account_id=key_hash,
            key_alias="starter",
            created_at=now,
            created_by="sekisho serve",
            updated_at=now,
        )
        with contextlib.suppress(Conflict):  # somebody gave this alias to a key of their own: theirs stays
            await store.keys.insert(record)


async def find_absent_budget(store: Store, budget_id: str | None) -> str | None:
    """What is wrong with `litellm_settings.max_end_user_budget_id`, None if nothing; it is logged, too."""
    if budget_id is None or await store.budgets.get(budget_id) is not None:
        return None
    problem = (
        f"`litellm_settings.max_end_user_budget_id`: there is no budget {budget_id!r}, and until it is made with "
        "/budget/new end users are not limited by it"
    )
    _log.warning("%s", problem)
    return problem
