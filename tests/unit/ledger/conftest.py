"""Fixtures for the tests of the ledger: a store of each kind."""

from tests.support.databases import database_url, postgres_folder
from tests.support.stores import clock, store

__all__ = ["clock", "database_url", "postgres_folder", "store"]
