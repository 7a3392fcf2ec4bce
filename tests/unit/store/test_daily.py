"""The daily sums equal the usage rows, whatever the rows and however they come."""

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.usage import check_books, usage_row

from sekisho.core.ids import new_id
from sekisho.core.usage import Usage
from sekisho.store.booking import Bookkeeper
from sekisho.store.database import Database
from sekisho.store.engine import Store
from sekisho.store.records import UsageRow
from sekisho.store.schema import bring_up_to_date
from sekisho.store.spool import Entry

names = st.none() | st.sampled_from(["a", "b", "", "x:y"])
tokens = st.integers(0, 2**40)
rows = st.builds(
    lambda more: usage_row(**more),
    st.fixed_dictionaries(
        {
            "id": st.integers(0, 300).map(lambda number: f"00000000-0000-7000-8000-{number:012x}"),
            "cost": st.none() | st.integers(0, 2**50),
            "started_at": st.integers(1_699_999_200_000, 1_700_179_200_000) | st.just(1_700_006_400_000),
            "status": st.sampled_from(["success", "failure", "client_closed"]),
            "key_hash": st.sampled_from([None, "ab" * 32, "cd" * 32]),
            "usage": st.builds(Usage, tokens, tokens, tokens, tokens, tokens, tokens),
            "model": st.sampled_from(["a", "b", "名"]),
            "tags": st.lists(st.sampled_from(["t", "u", "", "t\0"]), max_size=4).map(tuple),
            **dict.fromkeys(
                ("user_id", "team_id", "organization_id", "project_id", "end_user", "model_group", "provider"), names
            ),
        }
    ),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=st.lists(rows, max_size=30))
def check_days(runner: asyncio.Runner, database: Database, bookkeeper: Bookkeeper, calls: list[UsageRow]) -> None:
    async def run() -> None:
        await bookkeeper.book("w1", [Entry(row, {}, True) for row in calls])
        await check_books(database)

    runner.run(run())


def test_the_days_equal_the_rows(database_url: str) -> None:
    with asyncio.Runner() as runner:
        database = Database(database_url)
        runner.run(bring_up_to_date(database))
        check_days(runner, database, Bookkeeper(database))
        runner.run(database.close())


async def test_a_call_that_its_client_left_is_neither_a_success_nor_a_failure(store: Store) -> None:
    for status in ("success", "failure", "client_closed"):
        store.journal.record(usage_row(id=new_id(1.7e9), status=status), {})
    await store.journal.flush()
    await check_books(store._database)
