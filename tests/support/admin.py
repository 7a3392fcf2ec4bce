"""The admin API over a real store, served over real HTTP in a thread of the test's process."""

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from fastapi import FastAPI

from sekisho.control.api.app import build_control
from sekisho.control.services.context import Services
from sekisho.core.accounts import member_id
from sekisho.core.caller import ScopeKind
from sekisho.core.clock import ManualClock
from sekisho.core.ids import new_id
from sekisho.core.usage import Usage
from sekisho.gateway.catalogue import Catalogue
from sekisho.gateway.traffic import Traffic
from sekisho.gateway.worlds import WorldKeeper
from sekisho.identity.authenticate import Identity
from sekisho.identity.rights import RIGHTS
from sekisho.policy.access import may_use
from sekisho.store.balances import account_names
from sekisho.store.engine import Store, open_store
from sekisho.store.records import Budgeted, UsageRow
from tests.support.gateway import Answer, call
from tests.support.offered import FineHealth, SameFiles, keep_offered
from tests.support.postgres import create_database, run_server, skip_or_fail
from tests.support.servers import serve_app
from tests.support.usage import make_usage

Result = TypeVar("Result")

MASTER_KEY = "sk-master-of-the-tests-0123456789"
ENDPOINTS = frozenset(RIGHTS)


@dataclass
class Admin:
    """A running admin API. Called with the master key unless told otherwise."""

    clock: ManualClock
    url: str = ""
    _store: Store | None = None
    _control: FastAPI | None = None
    _loop: asyncio.AbstractEventLoop | None = None

    def run(self, work: Callable[[Store], Coroutine[Any, Any, Result]]) -> Result:
        """What `work` finds in the store."""
        assert self._loop is not None
        assert self._store is not None
        return asyncio.run_coroutine_threadsafe(work(self._store), self._loop).result(10)

    def get(self, path: str, *, by: str | None = MASTER_KEY, **query: object) -> Answer:
        return call(f"{self.url}{path}?{urlencode(query)}", key=by)

    def post(self, path: str, body: object, *, by: str | None = MASTER_KEY, **headers: str) -> Answer:
        return call(f"{self.url}{path}", body, by, headers)

    def read(self, path: str, *, by: str = MASTER_KEY, **query: object) -> Any:
        """The body of an answer that must be a success."""
        answer = self.get(path, by=by, **query)
        assert answer.status == 200, answer.body
        return answer.json()

    def send(self, method: str, path: str, body: object, *, by: str | None = MASTER_KEY) -> Answer:
        """A request of any method."""
        return call(f"{self.url}{path}", body, by, method=method)

    def make(self, path: str, body: object, *, by: str = MASTER_KEY) -> Any:
        """The body of an answer that must be a success."""
        answer = self.post(path, body, by=by)
        assert answer.status == 200, answer.body
        return answer.json()

    def new_key(self, **fields: object) -> str:
        key: str = self.make("/key/generate", fields)["key"]
        return key

    def record(self, cost: int | None, **fields: Any) -> UsageRow:
        """Let a call be recorded as the gateway does, without waiting for it to be written."""
        now = self.clock.now()
        known = {
            "id": new_id(now),
            "call_type": "acompletion",
            "started_at": int(now * 1000),
            "ended_at": int(now * 1000) + 1_500,
            "model": "sonnet",
            "status": "success",
            "http_status": 200,
            "usage": Usage(input=10, output=20, cache_read=5),
        }
        row = make_usage(cost_nano=cost, **{**known, **fields})

        async def record() -> None:
            assert self._store is not None
            self._store.journal.record(row, await book(self._store, row, self.clock.now()))

        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(record(), self._loop).result(10)
        return row

    @contextmanager
    def serve(self, database_url: str) -> Iterator["Admin"]:
        """Serve over the database at this address."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "lifespan":
                assert self._control is not None
                await self._control(scope, receive, send)
                return
            await receive()
            self._loop = asyncio.get_running_loop()
            self._store = await open_store(database_url, self.clock)
            identity = Identity(self._store, self.clock, MASTER_KEY)
            await identity.start()
            worlds = keep_offered(self._store, identity)
            await worlds.start()
            self._control = build_control(self._services(self._store, identity, worlds))
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await worlds.close()
            await identity.close()
            await self._store.close()
            await send({"type": "lifespan.shutdown.complete"})

        with serve_app(app) as self.url:
            yield self

    def _services(self, store: Store, identity: Identity, worlds: WorldKeeper) -> Services:
        return Services(
            store=store,
            identity=identity,
            clock=self.clock,
            catalogue=Catalogue(lambda: worlds.world, Traffic(self.clock)),
            worlds=worlds,
            reloader=SameFiles(),
            health=FineHealth(),
            may_use=may_use,
            version="1.2.3",
        )


@contextmanager
def run_admin(database_url: str) -> Iterator[Admin]:
    """Serve the admin API over an empty database, at a time that stands still."""
    with Admin(ManualClock()).serve(database_url) as admin:
        yield admin


async def book(store: Store, row: UsageRow, now: float) -> dict[str, bool]:
    """The accounts that the gateway books a call on: of every level it belongs to, in every window that is open."""
    caller = row.caller
    owners: list[tuple[ScopeKind, str, Budgeted | None]] = []
    if caller.key_hash is not None and (key := await store.keys.get(caller.key_hash)) is not None:
        owners.append(("key", key.account_id, key))
    if caller.user_id is not None:
        owners.append(("user", caller.user_id, await store.users.get(caller.user_id)))
    if caller.team_id is not None:
        owners.append(("team", caller.team_id, await store.teams.get(caller.team_id)))
    if caller.team_id is not None and caller.user_id is not None:
        member = await store.teams.member(caller.team_id, caller.user_id)
        owners.append(("member", member_id(caller.team_id, caller.user_id), member))
    if caller.project_id is not None:
        owners.append(("project", caller.project_id, await store.projects.get(caller.project_id)))
    if caller.organization_id is not None:
        owners.append(("organization", caller.organization_id, await store.organizations.get(caller.organization_id)))
    if row.end_user is not None:
        owners.append(("customer", row.end_user, await store.customers.get(row.end_user)))
    owners += [("tag", tag, await store.tags.get(tag)) for tag in row.tags]
    empty = Budgeted()
    return {name: False for kind, name, record in owners for name in account_names(kind, name, record or empty, now)}


def hash_of(key: str) -> str:
    """What is stored of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def error_of(answer: Answer, status: int) -> dict[str, Any]:
    """The error in an answer, which must have this status and LiteLLM's shape."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body.keys() == {"error"}
    error: dict[str, Any] = body["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["code"] == str(status)
    assert error["message"]
    return error


def serve_on_each_database(kind: str, folder: Path) -> Iterator[Admin]:
    """The admin API over an empty SQLite file in `folder`, or over a PostgreSQL server of its own."""
    with ExitStack() as stack:
        url = start_postgres(stack) if kind == "postgres" else str(folder / "sekisho.db")
        yield stack.enter_context(run_admin(url))


def start_postgres(stack: ExitStack) -> str:
    """The address of an empty database on a server of its own, that stops with `stack`."""
    try:
        return create_database(stack.enter_context(run_server()))
    except (RuntimeError, OSError) as error:
        skip_or_fail(f"PostgreSQL cannot be started: {error}")
