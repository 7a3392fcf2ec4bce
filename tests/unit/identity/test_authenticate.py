import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sekisho.core.caller import BudgetWindow, ModelLimits, Scope
from sekisho.core.clock import ManualClock
from sekisho.core.errors import AccessDenied, InvalidRequest, StoreUnavailable, Unauthenticated
from sekisho.identity.authenticate import Identity
from sekisho.identity.credential import find_credential, find_key
from sekisho.identity.keys import hash_key, make_key, mask_key
from sekisho.policy.access import may_use
from sekisho.store.engine import Store, open_store
from sekisho.store.keys import KeyRepository
from sekisho.store.records import (
    Access,
    BudgetRecord,
    CustomerRecord,
    KeyRecord,
    OrganizationMember,
    OrganizationRecord,
    ProjectRecord,
    TagRecord,
    TeamMember,
    TeamRecord,
    UserRecord,
)

MASTER = "sk-master-key-of-the-tests"


@pytest_asyncio.fixture
async def identity(store: Store, clock: ManualClock) -> AsyncIterator[Identity]:
    identity = Identity(store, clock, MASTER)
    await identity.start()
    yield identity
    await identity.close()


def bearer(key: str) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"x"), (b"authorization", b"Bearer " + key.encode())]


async def add_key(store: Store, **fields: Any) -> str:
    key = make_key()
    own: dict[str, Any] = {"key_hash": hash_key(key), "key_name": mask_key(key), "account_id": hash_key(key)}
    record = KeyRecord(**own, **fields)
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


async def test_the_master_key_is_bound_by_the_installation_alone(identity: Identity) -> None:
    caller = await identity.authenticate(bearer(MASTER))
    assert (caller.role, caller.key_hash) == ("proxy_admin", None)
    assert [scope.kind for scope in caller.scopes] == ["installation"]


async def add_company(store: Store) -> str:
    """A key with everything above it."""
    await store.organizations.insert(OrganizationRecord(organization_id="o", organization_alias="O", tpd_limit=9))
    await store.users.insert(
        UserRecord(user_id="u", user_alias="U", user_role="internal_user_viewer", tpm_limit=7, max_budget=70)
    )
    window = BudgetWindow(limit=3, duration="1d", resets_at=1_800_000_000.0)
    limits = {"a": ModelLimits(budgets=(BudgetWindow(limit=2),), rpm_limit=1)}
    await store.teams.create(
        TeamRecord(
            team_id="t",
            team_alias="T",
            organization_id="o",
            models=("a", "b"),
            max_budget=5,
            budget_limits=(window,),
            model_limits=limits,
        ),
        [TeamMember(team_id="t", user_id="u", max_budget=4)],
        [],
    )
    await store.projects.insert(ProjectRecord(project_id="p", team_id="t", max_parallel_requests=6))
    return await add_key(
        store, user_id="u", team_id="t", project_id="p", models=("all-team-models",), rpm_limit=3, tags=("x",)
    )


async def test_a_key_has_the_limits_of_all_that_it_belongs_to(store: Store, identity: Identity) -> None:
    key = await add_company(store)
    caller = await identity.authenticate(bearer(key))
    assert (caller.role, caller.key_hash, caller.tags) == ("internal_user_viewer", hash_key(key), ("x",))
    assert (caller.user_id, caller.team_id, caller.project_id, caller.organization_id) == ("u", "t", "p", "o")
    assert [(scope.kind, scope.id, scope.alias, scope.models) for scope in caller.scopes] == [
        ("key", hash_key(key), None, ("a", "b")),
        ("member", "t/u", "U", ()),
        ("user", "u", "U", ()),
        ("project", "p", None, ()),
        ("team", "t", "T", ("a", "b")),
        ("organization", "o", "O", ()),
        ("installation", "all", None, ()),
    ]
    a_key, member, user, project, team, organization, _ = caller.scopes
    assert (a_key.rpm_limit, user.tpm_limit, organization.tpd_limit, project.max_parallel_requests) == (3, 7, 9, 6)
    assert [window.limit for scope in (member, user) for window in scope.budgets] == [4, 70]
    assert [(window.limit, window.duration) for window in team.budgets] == [(5, None), (3, "1d")]
    assert team.model_limits["a"].rpm_limit == 1


async def test_a_temporary_increase_ends_by_itself(store: Store, identity: Identity, clock: ManualClock) -> None:
    expiry = clock.now() + 10
    key = await add_key(store, max_budget=100, temp_budget_increase=50, temp_budget_expiry=expiry)
    assert (await identity.authenticate(bearer(key))).scopes[0].budgets[0].limit == 150
    clock.advance(10)
    assert (await identity.authenticate(bearer(key))).scopes[0].budgets[0].limit == 100


async def test_end_users_and_tags_come_between_the_organisation_and_the_installation(
    store: Store, identity: Identity
) -> None:
    await store.customers.insert(CustomerRecord(user_id="acme", alias="Acme", max_budget=5, models=("a",)))
    await store.tags.insert(TagRecord(name="x", rpm_limit=2))
    caller = await identity.authenticate(bearer(await add_key(store, tags=("x",))))
    wide = await identity.widen(caller, "acme", ["new", "x"])
    assert [(scope.kind, scope.id) for scope in wide.scopes] == [
        *[(scope.kind, scope.id) for scope in caller.scopes[:-1]],
        ("customer", "acme"),
        ("tag", "x"),
        ("tag", "new"),
        ("installation", "all"),
    ]
    customer, tag, unknown = wide.scopes[-4:-1]
    assert (customer.budgets[0].limit, customer.models, customer.alias) == (5, ("a",), "Acme")
    assert (tag.rpm_limit, unknown) == (2, Scope(kind="tag", id="new"))
    without_tags = await identity.authenticate(bearer(await add_key(store)))
    assert await identity.widen(without_tags, None, []) == without_tags


async def test_a_key_is_recalled_only_while_it_may_be_used(
    store: Store, identity: Identity, clock: ManualClock
) -> None:
    key = await add_key(store, expires=clock.now() + 10)
    credential = find_credential(bearer(key))
    assert identity.recall(credential) is None  # it was never read
    caller = await identity.recognise(credential)
    assert identity.recall(credential) is caller
    await store.keys.update(hash_key(key), {"blocked": True})
    assert identity.recall(credential) is None
    await store.keys.update(hash_key(key), {"blocked": False})
    await identity.recognise(credential)
    assert identity.recall(credential) is not None
    clock.advance(10)
    assert identity.recall(credential) is None
    assert identity.recall(find_credential([])) is None


async def test_a_customer_that_is_blocked_or_made_known_is_noticed_at_once(store: Store, identity: Identity) -> None:
    caller = await identity.authenticate(bearer(MASTER))
    await identity.widen(caller, "acme", [])
    await store.customers.insert(CustomerRecord(user_id="acme", blocked=True))
    with pytest.raises(AccessDenied, match="customer 'acme' is blocked"):
        await identity.widen(caller, "acme", [])


async def test_a_call_cannot_have_any_number_of_tags(identity: Identity) -> None:
    caller = await identity.authenticate(bearer(MASTER))
    with pytest.raises(InvalidRequest, match="at most 50 tags"):
        await identity.widen(caller, None, [f"tag-{number}" for number in range(51)])


async def test_access_groups_of_the_configuration_stand_for_their_models(store: Store, clock: ManualClock) -> None:
    identity = Identity(store, clock, None, groups={"beta": ("opus", "haiku")})
    caller = await identity.authenticate(bearer(await add_key(store, models=("beta", "nova"))))
    assert may_use(caller, "opus")
    assert may_use(caller, "nova")
    assert not may_use(caller, "sonnet")
    nothing = await identity.authenticate(bearer(await add_key(store, models=("unknown-group",))))
    assert not may_use(nothing, "opus")
    await identity.close()


async def test_access_groups_of_the_configuration_can_change(store: Store, identity: Identity) -> None:
    key = await add_key(store, models=("beta",))
    assert (await identity.authenticate(bearer(key))).scopes[0].models == ("beta",)
    identity.use_groups({"beta": ("sonnet", "haiku")})
    assert set((await identity.authenticate(bearer(key))).scopes[0].models) >= {"sonnet", "haiku"}


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


@pytest.mark.parametrize("who", ["team", "user", "project", "organization"])
async def test_whoever_a_key_belongs_to_can_be_blocked(store: Store, identity: Identity, who: str) -> None:
    organization = OrganizationRecord(organization_id="o", organization_alias="O", blocked=who == "organization")
    await store.organizations.insert(organization)
    await store.users.insert(UserRecord(user_id="u", blocked=who == "user"))
    await store.teams.create(TeamRecord(team_id="t", organization_id="o", blocked=who == "team"), [], [])
    await store.projects.insert(ProjectRecord(project_id="p", team_id="t", blocked=who == "project"))
    key = await add_key(store, user_id="u", team_id="t", project_id="p")
    assert who in (await refusal(identity, bearer(key))).message


async def test_a_local_change_counts_at_once(store: Store, identity: Identity) -> None:
    key = await add_key(store)
    await identity.authenticate(bearer(key))
    await store.keys.update(hash_key(key), {"blocked": True})
    await refusal(identity, bearer(key))


async def test_a_change_by_another_process_is_noticed(
    database_url: str, store: Store, identity: Identity, clock: ManualClock
) -> None:
    unknown, key = make_key(), await add_key(store)
    await identity.authenticate(bearer(key))
    await refusal(identity, bearer(unknown))
    other = await open_store(database_url, clock)
    await other.keys.update(hash_key(key), {"blocked": True})
    await other.keys.insert(KeyRecord(key_hash=hash_key(unknown), key_name="sk-...", account_id="new"))
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


async def test_followers_are_told_of_changes_by_other_processes(
    database_url: str, store: Store, identity: Identity, clock: ManualClock
) -> None:
    told = asyncio.Event()
    identity.follow(told.set)
    other = await open_store(database_url, clock)
    await add_key(other)
    await other.close()
    async with asyncio.timeout(10):
        await told.wait()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hashes of the keys that are read from the store."""
    found: list[str] = []
    original = KeyRepository.access

    async def counted(self: KeyRepository, key_hash: str) -> Access | None:
        found.append(key_hash)
        return await original(self, key_hash)

    monkeypatch.setattr(KeyRepository, "access", counted)
    return found


async def test_a_key_is_read_once_for_many_calls(store: Store, identity: Identity, reads: list[str]) -> None:
    key = await add_key(store)
    await asyncio.gather(*(identity.authenticate(bearer(key)) for _ in range(20)))
    await identity.authenticate(bearer(key))
    assert len(reads) == 1
    await asyncio.gather(*(refusal(identity, bearer("sk-no")) for _ in range(20)))
    assert len(reads) == 2


async def test_a_change_lets_only_the_keys_that_it_concerns_be_read_again(
    store: Store, clock: ManualClock, reads: list[str]
) -> None:
    identity = Identity(store, clock, MASTER)  # not started: it is told of its own process's changes all the same
    await store.budgets.insert(BudgetRecord(budget_id="b", max_budget=1))
    full = await add_company(store)
    member = OrganizationMember(organization_id="o", user_id="u")
    await store.organizations.put_members([member], [])
    other = await add_key(store, key_alias="other")

    async def read_again() -> list[str]:
        reads.clear()
        for key in (full, other, full, other):
            await identity.authenticate(bearer(key))
        return reads

    assert await read_again() == [hash_key(full), hash_key(other)]
    assert await read_again() == []
    changes: list[Callable[[], Awaitable[object]]] = [
        lambda: store.keys.update(hash_key(full), {"rpm_limit": 1}),
        lambda: store.users.update("u", {"rpm_limit": 1}),
        lambda: store.teams.update("t", {"rpm_limit": 1}),
        lambda: store.projects.update("p", {"rpm_limit": 1}),
        lambda: store.organizations.update("o", {"rpm_limit": 1}),
        lambda: store.teams.update_member("t", "u", {"rpm_limit": 1}),
        lambda: store.organizations.remove_members("o", ["u"]),
        lambda: store.organizations.put_members([member], []),
    ]
    for change in changes:
        await change()
        assert await read_again() == [hash_key(full)]
    await store.customers.insert(CustomerRecord(user_id="acme"))
    await add_key(store, key_alias="new")
    assert await read_again() == []
    await store.budgets.update("b", {"max_budget": 2})
    assert await read_again() == [hash_key(full), hash_key(other)]
    await identity.close()


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
    late = asyncio.create_task(identity.authenticate(bearer(key)))
    go_on.set()
    await asyncio.wait([early, late])
    assert isinstance(late.exception(), Unauthenticated)
    assert early.exception() is None


async def test_known_keys_work_on_while_the_database_is_away(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "s.db"
    store = await open_store(str(path), clock)
    identity = Identity(store, clock, None)
    key = await add_key(store)
    caller = await identity.authenticate(bearer(key))
    await store._database.close()  # drops the connections; the next one finds a folder where the file was
    path.rename(tmp_path / "away.db")
    path.mkdir()
    for number in range(3):
        identity.use_groups({"changed": (str(number),)})  # which makes everything doubtful
        clock.advance(10_000)
        assert await identity.authenticate(bearer(key)) == caller
    with pytest.raises(StoreUnavailable):
        await identity.authenticate(bearer(make_key()))
    await identity.close()
    await store.close()
    # aiosqlite's threads of connections that could not be opened end by themselves, but need the loop for it.
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            await asyncio.to_thread(thread.join, 10)
