"""The audit trail: what a change leaves in it, and that nobody can alter it unseen."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from sekisho.core.author import Author, acting_as
from sekisho.core.clock import ManualClock
from sekisho.core.errors import StoreUnavailable
from sekisho.store.audit import AuditFilter, AuditRepository
from sekisho.store.audit_chain import GENESIS, AuditRecord, seal
from sekisho.store.database import Database
from sekisho.store.tables import audit, audit_head, metadata, team_members, teams, users

ALICE = Author(name="alice", role="proxy_admin", source_ip="192.0.2.7", request="POST /team/update")


@pytest_asyncio.fixture
async def database(database_url: str, clock: ManualClock) -> AsyncIterator[Database]:
    database = Database(database_url, clock)
    async with database.write() as connection:
        await connection.run_sync(metadata.create_all)
    yield database
    await database.close()


@pytest.fixture
def trail(database: Database) -> AuditRepository:
    return AuditRepository(database)


def row(table: sa.Table, **given: object) -> dict[str, Any]:
    """A row with something in every column that must have it."""
    kinds: dict[type, object] = {bool: False, float: 0.0, str: "x", int: 0}
    needed = [column for column in table.columns if not column.nullable and column.name not in given]
    filled = {c.name: {} if isinstance(c.type, sa.JSON) else kinds[c.type.python_type] for c in needed}
    return {**filled, **given}


async def make_team(database: Database, team_id: str, **given: object) -> None:
    async with database.change() as connection:
        await connection.execute(sa.insert(teams).values(row(teams, team_id=team_id, **given)))


async def all_of(trail: AuditRepository) -> list[AuditRecord]:
    """Every record, the oldest first."""
    return (await trail.find(AuditFilter(), limit=10_000))[0][::-1]


def told(record: AuditRecord) -> tuple[str, str, str, Any, Any]:
    before, after = (None if text is None else json.loads(text) for text in (record.before, record.after))
    return record.action, record.object_kind, record.object_id, before, after


async def test_a_change_is_recorded_with_its_author(
    database: Database, trail: AuditRepository, clock: ManualClock
) -> None:
    with acting_as(ALICE):
        await make_team(database, "t", team_alias="Blue")
    (record,) = await all_of(trail)
    assert (record.actor, record.actor_role, record.source_ip) == ("alice", "proxy_admin", "192.0.2.7")
    assert (record.request, record.at, record.seq) == ("POST /team/update", int(clock.now() * 1000), 1)
    action, kind, identity, before, after = told(record)
    assert (action, kind, identity, before) == ("created", "teams", "t", None)
    assert after["team_alias"] == "Blue"
    assert "max_budget" not in after, "what is not set is not told"


async def test_what_nobody_asked_for_is_the_gateways_own(database: Database, trail: AuditRepository) -> None:
    await make_team(database, "t")
    (record,) = await all_of(trail)
    assert (record.actor, record.actor_role, record.source_ip) == ("sekisho", "system", None)


async def test_an_update_tells_what_changed_and_nothing_else(database: Database, trail: AuditRepository) -> None:
    await make_team(database, "t", max_budget=5, team_alias="Blue")
    async with database.change() as connection:
        change = sa.update(teams).where(teams.c.team_id == "t").values(max_budget=None, blocked=True, team_alias="Blue")
        updated = (await connection.execute(change.returning(teams.c.blocked))).scalar_one()
        await connection.execute(sa.update(teams).where(teams.c.team_id == "other").values(blocked=True))
    assert updated is True
    assert [told(record) for record in (await all_of(trail))[1:]] == [
        ("updated", "teams", "t", {"blocked": False, "max_budget": 5}, {"blocked": True, "max_budget": None})
    ]


async def test_a_new_name_is_told_with_the_old_one(database: Database, trail: AuditRepository) -> None:
    await make_team(database, "old")
    async with database.change() as connection:
        await connection.execute(sa.update(teams).where(teams.c.team_id == "old").values(team_id="new"))
    assert told((await all_of(trail))[1]) == ("updated", "teams", "old", {"team_id": "old"}, {"team_id": "new"})


async def test_rows_that_go_with_others_are_recorded_too(database: Database, trail: AuditRepository) -> None:
    await make_team(database, "t")
    async with database.change() as connection:
        await connection.execute(sa.insert(users), [row(users, user_id=name) for name in ("a", "b")])
        members = [row(team_members, team_id="t", user_id=name, role="user") for name in ("a", "b")]
        await connection.execute(sa.insert(team_members).values(members))
    async with database.change() as connection:
        await connection.execute(sa.delete(teams).where(teams.c.team_id == "t"))
    told_of = [told(record)[:3] for record in await all_of(trail)]
    assert told_of[3:5] == [("created", "team_members", "t/a"), ("created", "team_members", "t/b")]
    assert sorted(told_of[5:]) == [
        ("deleted", "team_members", "t/a"),
        ("deleted", "team_members", "t/b"),
        ("deleted", "teams", "t"),
    ]


async def test_an_upsert_tells_which_rows_are_new(database: Database, trail: AuditRepository) -> None:
    await make_team(database, "t")
    await make_team(database, "same")

    async def put(*team_ids: str, alias: str) -> None:
        statement = database.insert(teams)
        alias_only = {"team_alias": statement.excluded.team_alias}
        statement = statement.on_conflict_do_update(index_elements=["team_id"], set_=alias_only)
        async with database.change() as connection:
            rows = [row(teams, team_id=team_id, team_alias=alias) for team_id in team_ids]
            await connection.execute(statement, rows)

    await put("t", "u", alias="A")
    await put("t", alias="A")
    assert [told(record)[:3] for record in (await all_of(trail))[2:]] == [
        ("updated", "teams", "t"),
        ("created", "teams", "u"),
    ]


async def test_many_rows_of_one_statement_are_each_recorded(database: Database, trail: AuditRepository) -> None:
    async with database.change() as connection:
        await connection.execute(sa.insert(users), [row(users, user_id=f"u{number}") for number in range(1_203)])
    async with database.change() as connection:
        who: sa.BindParameter[str] = sa.bindparam("who")
        block = sa.update(users).where(users.c.user_id == who).values(blocked=True)
        await connection.execute(block, [{"who": "u1"}, {"who": "u2"}])
    async with database.change() as connection:
        await connection.execute(sa.delete(users).where(users.c.user_id.in_(["u1", "u3"])))
    records = await all_of(trail)
    assert len({record.object_id for record in records[:1_203]}) == 1_203
    assert [told(record)[:3] for record in records[1_203:]] == [
        ("updated", "users", "u1"),
        ("updated", "users", "u2"),
        ("deleted", "users", "u1"),
        ("deleted", "users", "u3"),
    ]
    assert (await trail.verify()).records == 1_207


async def test_secrets_in_free_json_are_hidden(database: Database, trail: AuditRepository) -> None:
    secret = "do-not-tell"
    hidden = {"slack": {"Api_Key": secret}, "extra_headers": secret, "hooks": [{"client_secret": secret, "size": 7}]}
    await make_team(database, "t", metadata={**hidden, "colour": "red", "max_tokens": 5})
    (record,) = await all_of(trail)
    assert record.after is not None
    assert secret not in record.after
    shown = json.loads(record.after)["metadata"]
    assert (shown["colour"], shown["max_tokens"], shown["hooks"][0]["size"]) == ("red", 5, 7)


async def test_a_change_that_fails_leaves_no_record(database: Database, trail: AuditRepository) -> None:
    await make_team(database, "t")
    with pytest.raises(sa.exc.IntegrityError):
        await make_team(database, "t")

    async def break_off() -> None:
        async with database.change() as connection:
            await connection.execute(sa.update(teams).values(blocked=True))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await break_off()
    assert len(await all_of(trail)) == 1
    assert (await trail.verify()).problem is None


async def test_what_cannot_be_audited_is_refused(database: Database, trail: AuditRepository) -> None:
    await make_team(database, "t")
    copy = sa.insert(teams).from_select(["team_id"], sa.select(sa.literal("u")))
    for statement in (sa.text("UPDATE teams SET blocked = true"), copy):
        with pytest.raises(TypeError, match="audited"):
            async with database.change() as connection:
                await connection.execute(statement)
    assert len(await all_of(trail)) == 1


async def test_the_trail_is_filtered_and_paged(database: Database, trail: AuditRepository, clock: ManualClock) -> None:
    for number in range(5):
        with acting_as(Author(name=f"a{number % 2}", role="proxy_admin")):
            await make_team(database, f"t{number}")
        clock.advance(10)
    page, total = await trail.find(AuditFilter(actor="a0"), limit=2)
    assert ([record.object_id for record in page], total) == (["t4", "t2"], 3)
    page, _ = await trail.find(AuditFilter(actor="a0"), limit=2, offset=2)
    assert [record.object_id for record in page] == ["t0"]
    start = int(ManualClock().now() * 1000)
    page, _ = await trail.find(AuditFilter(since=start + 10_000, until=start + 30_000), limit=9)
    assert [record.object_id for record in page] == ["t2", "t1"]
    assert (await trail.find(AuditFilter(object_kind="teams", object_id="t3", action="created"), limit=9))[1] == 1
    assert (await trail.find(AuditFilter(action="deleted"), limit=9)) == ([], 0)


# The chain


async def test_an_empty_trail_is_whole(trail: AuditRepository) -> None:
    verdict = await trail.verify()
    assert (verdict.records, verdict.head, verdict.problem) == (0, GENESIS, None)


async def test_a_hash_that_was_noted_must_stay(database: Database, trail: AuditRepository) -> None:
    heads = []
    for number in range(3):
        await make_team(database, f"t{number}")
        heads.append((await trail.verify()).head)
    assert (await trail.verify([heads[0].upper(), heads[2]])).problem is None
    assert "no record has the hash" in str((await trail.verify(["ab" * 32])).problem)


def forge(record: AuditRecord) -> AuditRecord:
    """A record that is sealed again after it was altered."""
    return seal(AuditRecord(**{**{name: getattr(record, name) for name in record.__struct_fields__}, "actor": "bob"}))


def altered(**values: object) -> Callable[[list[AuditRecord]], list[sa.Executable]]:
    return lambda _: [sa.update(audit).where(audit.c.seq == 3).values(**values)]


def removed(*numbers: int) -> Callable[[list[AuditRecord]], list[sa.Executable]]:
    return lambda _: [sa.delete(audit).where(audit.c.seq.in_(numbers))]


TAMPERING: dict[str, tuple[Callable[[list[AuditRecord]], list[sa.Executable]], str]] = {
    **{
        f"{name} altered": (altered(**{name: value}), "record 3 is not what was written")
        for name, value in {
            "at": 1,
            "actor": "bob",
            "actor_role": "proxy_admin",
            "source_ip": "198.51.100.1",
            "request": "POST /team/new",
            "action": "deleted",
            "object_kind": "keys",
            "object_id": "t9",
            "before": "{}",
            "after": None,
            "hash": "ab" * 32,
        }.items()
    },
    "previous hash altered": (altered(previous_hash="ab" * 32), "record 3 does not follow"),
    "first record gone": (removed(1), "record 1 is missing"),
    "middle record gone": (removed(3), "record 3 is missing"),
    "last record gone": (removed(5), "after 4 are missing: the head says that there are 5"),
    "all records gone": (removed(1, 2, 3, 4, 5), "after 0 are missing"),
    "forged in the middle": (
        lambda records: [sa.update(audit).where(audit.c.seq == 3).values(hash=forge(records[2]).hash, actor="bob")],
        "record 4 does not follow",
    ),
    "forged at the end": (
        lambda records: [sa.update(audit).where(audit.c.seq == 5).values(hash=forge(records[4]).hash, actor="bob")],
        "record 5 is not the one that the head knows",
    ),
    "head moved back": (lambda _: [sa.update(audit_head).values(seq=4)], "records after 4, which the head does not"),
    "head gone": (lambda _: [sa.delete(audit_head)], "records after 0, which the head does not"),
}


@pytest.mark.parametrize("how", TAMPERING)
async def test_tampering_is_found(database: Database, trail: AuditRepository, how: str) -> None:
    for number in range(5):
        await make_team(database, f"t{number}")
    tamper, problem = TAMPERING[how]
    async with database.write() as connection:
        for statement in tamper(await all_of(trail)):
            await connection.execute(statement)
    assert problem in str((await trail.verify()).problem)


async def test_a_database_without_a_trail_is_said_to_have_none(database_url: str) -> None:
    database = Database(database_url)
    with pytest.raises(StoreUnavailable, match="no audit trail"):
        await AuditRepository(database).verify()
    await database.close()


async def test_writers_at_the_same_time_make_one_chain(
    database: Database, trail: AuditRepository, database_url: str, clock: ManualClock
) -> None:
    other = Database(database_url, clock)

    async def write(who: int) -> None:
        with acting_as(Author(name=f"w{who}", role="proxy_admin")):
            for number in range(10):
                await make_team(database if who % 2 else other, f"t{who}-{number}")

    await asyncio.gather(*(write(who) for who in range(6)))
    await other.close()
    assert (await trail.verify()).problem is None
    for who in range(6):
        page, total = await trail.find(AuditFilter(actor=f"w{who}"), limit=100)
        assert total == 10
        assert [record.object_id for record in page] == [f"t{who}-{number}" for number in reversed(range(10))]
