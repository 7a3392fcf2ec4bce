import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sekisho.core.caller import Caller
from sekisho.core.clock import ManualClock
from sekisho.core.errors import StoreUnavailable, Unauthenticated
from sekisho.identity import authenticate
from sekisho.identity.authenticate import Identity, find_key
from sekisho.identity.keys import hash_key, make_key, mask_key
from sekisho.store.engine import Store, open_store
from sekisho.store.keys import KeyRepository
from sekisho.store.records import Access, KeyRecord, TeamMember, TeamRecord, UserRecord

MASTER = "sk-master-key-of-the-tests"


@pytest_asyncio.fixture
async def identity(store: Store, clock: ManualClock) -> AsyncIterator[Identity]:
    identity = Identity(store, clock, MASTER)
    await identity.start()
    yield identity
    await identity.close()


def bearer(key: str) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"x"), (b"authorization", b"Bearer " + key.encode())]


async def add_key(store: Store, **fields: object) -> str:
    key = make_key()
    record = KeyRecord(key_hash=hash_key(key), key_name=mask_key(key), **fields)  # type: ignore[arg-type]  # of a test
    await store.keys.insert(record)
    return key


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ([(b"authorization", b"Bearer sk-1")], "sk-1"),
        ([(b"authorization", b"bearer  sk-1 ")], "sk-1"),
        ([(b"authorization", b"sk-1")], "sk-1"),
        ([(b"x-api-key", b"sk-1")], "sk-1"),
        ([(b"api-key", b"sk-1")], "sk-1"),
        ([(b"x-goog-api-key", b"sk-1")], "sk-1"),
        ([(b"ocp-apim-subscription-key", b"sk-1")], "sk-1"),
        ([(b"x-api-key", b"sk-2"), (b"authorization", b"Bearer sk-1")], "sk-1"),
        ([(b"authorization", b"Bearer sk-2"), (b"x-litellm-api-key", b"Bearer sk-1")], "sk-1"),
        ([(b"authorization", b""), (b"x-api-key", b"sk-1")], "sk-1"),
        ([(b"authorization", b"  ")], None),
        ([(b"cookie", b"sk-1")], None),
        ([], None),
    ],
)
def test_where_a_key_may_stand(headers: list[tuple[bytes, bytes]], key: str | None) -> None:
    assert find_key(headers) == key


def test_a_new_key_has_the_form_of_litellms() -> None:
    keys = {make_key() for _ in range(100)}
    assert len(keys) == 100
    assert {len(key) for key in keys} == {25}
    assert all(key.startswith("sk-") for key in keys)


async def test_the_master_key_is_an_administrator_without_limits(identity: Identity) -> None:
    assert await identity.authenticate(bearer(MASTER)) == Caller(role="proxy_admin")


async def test_a_key_has_the_limits_of_its_user_and_team(store: Store, identity: Identity) -> None:
    await store.users.insert(UserRecord(user_id="u", user_role="internal_user_viewer", tpm_limit=7))
    await store.teams.insert(
        TeamRecord(team_id="t", team_alias="T", models=("a", "b"), max_budget=5, spend=2),
        [TeamMember(team_id="t", user_id="u")],
        [],
    )
    key = await add_key(store, user_id="u", team_id="t", models=("all-team-models",), rpm_limit=3, tags=("x",))
    caller = await identity.authenticate(bearer(key))
    assert (caller.role, caller.key_hash, caller.user_id, caller.team_id, caller.tags) == (
        "internal_user_viewer",
        hash_key(key),
        "u",
        "t",
        ("x",),
    )
    assert [(scope.kind, scope.id, scope.models) for scope in caller.scopes] == [
        ("key", hash_key(key), ("a", "b")),
        ("user", "u", ()),
        ("team", "t", ("a", "b")),
    ]
    team = caller.scope("team")
    assert team is not None
    assert (team.max_budget, team.spend, team.alias) == (5, 2, "T")


async def test_all_proxy_models_is_no_restriction(store: Store, identity: Identity) -> None:
    caller = await identity.authenticate(bearer(await add_key(store, models=("all-proxy-models",))))
    assert caller.scopes[0].models == ()


async def refusal(identity: Identity, headers: list[tuple[bytes, bytes]]) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as refused:
        await identity.authenticate(headers)
    return refused.value


async def test_refusals_say_why_and_never_show_the_key(store: Store, identity: Identity, clock: ManualClock) -> None:
    assert (await refusal(identity, [])).kind == "auth_error"
    unknown = await refusal(identity, bearer("sk-unknown-unknown-unknown"))
    assert (unknown.kind, unknown.param) == ("token_not_found_in_db", "key")
    assert "sk-unknown" not in unknown.message

    key = await add_key(store, expires=clock.now() + 10)
    await identity.authenticate(bearer(key))
    clock.advance(10)
    expired = await refusal(identity, bearer(key))
    assert (expired.kind, expired.param) == ("expired_key", f"sk-...{key[-4:]}")
    assert key not in expired.message

    blocked = await refusal(identity, bearer(await add_key(store, blocked=True)))
    assert (blocked.kind, "key" in blocked.message) == ("auth_error", True)


@pytest.mark.parametrize("who", ["team", "user"])
async def test_a_blocked_team_or_user_blocks_its_keys(store: Store, identity: Identity, who: str) -> None:
    await store.users.insert(UserRecord(user_id="u", blocked=who == "user"))
    await store.teams.insert(TeamRecord(team_id="t", blocked=who == "team"), [], [])
    assert who in (await refusal(identity, bearer(await add_key(store, user_id="u", team_id="t")))).message


async def test_a_local_change_counts_at_once(store: Store, identity: Identity) -> None:
    key = await add_key(store)
    await identity.authenticate(bearer(key))
    await store.keys.update(hash_key(key), {"blocked": True})
    identity.invalidate()
    await refusal(identity, bearer(key))


async def test_a_change_by_another_process_is_noticed(
    database_url: str, store: Store, identity: Identity, clock: ManualClock
) -> None:
    unknown, key = make_key(), await add_key(store)
    await identity.authenticate(bearer(key))
    await refusal(identity, bearer(unknown))
    other = await open_store(database_url, clock)
    await other.keys.update(hash_key(key), {"blocked": True})
    await other.keys.insert(KeyRecord(key_hash=hash_key(unknown), key_name="sk-..."))
    await other.close()
    async with asyncio.timeout(10):
        while True:
            try:
                await identity.authenticate(bearer(unknown))
            except Unauthenticated:
                await asyncio.sleep(0.01)
            else:
                break
    await refusal(identity, bearer(key))


async def test_a_key_is_read_once_for_many_calls(
    store: Store, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, reads = await add_key(store), 0
    original = KeyRepository.access

    async def counted(self: KeyRepository, key_hash: str) -> Access | None:
        nonlocal reads
        reads += 1
        return await original(self, key_hash)

    monkeypatch.setattr(KeyRepository, "access", counted)
    await asyncio.gather(*(identity.authenticate(bearer(key)) for _ in range(20)))
    await identity.authenticate(bearer(key))
    assert reads == 1
    await asyncio.gather(*(refusal(identity, bearer("sk-no")) for _ in range(20)))
    assert reads == 2


async def test_a_change_counts_even_while_the_key_is_being_read(
    store: Store, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, has_read, go_on = await add_key(store), asyncio.Event(), asyncio.Event()
    original = KeyRepository.access

    async def slow(self: KeyRepository, key_hash: str) -> Access | None:
        access = await original(self, key_hash)
        has_read.set()
        await go_on.wait()
        return access

    monkeypatch.setattr(KeyRepository, "access", slow)
    early = asyncio.create_task(identity.authenticate(bearer(key)))
    await has_read.wait()
    await store.keys.update(hash_key(key), {"blocked": True})
    identity.invalidate()
    late = asyncio.create_task(identity.authenticate(bearer(key)))
    go_on.set()
    await asyncio.wait([early, late])
    assert isinstance(late.exception(), Unauthenticated)
    assert early.exception() is None


async def test_the_spend_that_is_remembered_is_renewed_in_time(
    store: Store, identity: Identity, clock: ManualClock
) -> None:
    key = await add_key(store)
    await identity.authenticate(bearer(key))
    await store.keys.update(hash_key(key), {"spend": 9})
    clock.advance(authenticate.FRESH)
    async with asyncio.timeout(10):
        # Renewed in the background, which tells nobody.
        while (await identity.authenticate(bearer(key))).scopes[0].spend != 9:  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_known_keys_work_on_while_the_database_is_away(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "s.db"
    store = await open_store(str(path), clock)
    identity = Identity(store, clock, None)
    key = await add_key(store)
    caller = await identity.authenticate(bearer(key))
    await store.close()  # drops the connections; the next one finds a folder where the file was
    path.rename(tmp_path / "away.db")
    path.mkdir()
    for _ in range(3):
        identity.invalidate()
        clock.advance(1_000)
        assert await identity.authenticate(bearer(key)) == caller
    with pytest.raises(StoreUnavailable):
        await identity.authenticate(bearer(make_key()))
    await identity.close()
    await store.close()
    # aiosqlite's threads of connections that could not be opened end by themselves, but need the loop for it.
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            await asyncio.to_thread(thread.join, 10)
