"""Customers: the end users whom callers say that they call for."""

from sekisho.core.clock import Clock
from sekisho.store.database import Database
from sekisho.store.entities import EntityRepository
from sekisho.store.records import CustomerRecord
from sekisho.store.tables import customers


class CustomerRepository(EntityRepository[CustomerRecord]):
    """Reads and writes customers. What an unknown one has spent stays with it when it is made known."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database, clock, customers, CustomerRecord, "customer", keeps_spend=True)
