"""Tags with limits."""

from sekisho.core.clock import Clock
from sekisho.store.database import Database
from sekisho.store.entities import EntityRepository
from sekisho.store.records import TagRecord
from sekisho.store.tables import tags


class TagRepository(EntityRepository[TagRecord]):
    """Reads and writes tags. What an unknown one has spent stays with it when it is made known."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database, clock, tags, TagRecord, "tag", keeps_spend=True)
