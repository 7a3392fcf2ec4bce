"""The admin API over a real store, served over real HTTP in a thread of the test's process."""

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI

from sekisho.control.api.app import build_control
from sekisho.control.services.context import Services
from sekisho.core.catalogue import ModelEntry
from sekisho.core.clock import ManualClock
from sekisho.core.ids import new_id
from sekisho.core.model import ModelFacts
from sekisho.core.money import Price, Rates, Tier
from sekisho.core.usage import Usage
from sekisho.identity.authenticate import Identity
from sekisho.policy.access import may_use
from sekisho.store.engine import Store, open_store
from sekisho.store.records import UsageRow
from tests.support.gateway import Answer, call
from tests.support.postgres import create_database, run_server, skip_or_fail
from tests.support.servers import serve_app

MASTER_KEY = "sk-master-of-the-tests-0123456789"
ENDPOINTS = {
    *("/key/generate", "/key/info", "/key/update", "/key/delete", "/key/list", "/key/block", "/key/unblock"),
    "/key/aws_credentials",
    *("/team/new", "/team/info", "/team/list", "/team/update", "/team/member_add"),
    *("/user/new", "/user/info", "/user/list"),
    *("/models", "/v1/models", "/anthropic/v1/models", "/model/info", "/v1/model/info", "/spend/logs"),
    *("/models/{model}", "/v1/models/{model}", "/anthropic/v1/models/{model}"),
}

_SONNET = ModelEntry(
    model_name="sonnet",
    deployment_id="deployment-1",
    upstream_model="us.anthropic.claude-sonnet",
    provider="bedrock",
    facts=ModelFacts(
        max_input_tokens=200_000,
        max_output_tokens=64_000,
        vision=True,
        thinking="budget",
        cache=frozenset({"system", "messages"}),
    ),
    price=Price(
        "2026-11",
        Rates(3 * 10**9, 15 * 10**9, 3 * 10**8, 375 * 10**7, 6 * 10**9),
        (Tier(200_000, Rates(6 * 10**9, 225 * 10**8, 6 * 10**8, 75 * 10**8, 12 * 10**9)),),
    ),
    params={"model": "bedrock/us.anthropic.claude-sonnet", "aws_region_name": "us-east-1"},
)
_MYSTERY = ModelEntry(
    model_name="mystery",
    deployment_id="deployment-2",
    upstream_model="nobody.knows",
    provider="bedrock",
    facts=ModelFacts(tools=False, tool_choice=False, sampling="none", stop_sequences=False),
    price=None,
    params={"model": "bedrock/nobody.knows"},
)


class _Catalogue:
    def entries(self) -> list[ModelEntry]:
        return [_SONNET, _MYSTERY]


@dataclass
class Admin:
    """A running admin API. Called with the master key unless told otherwise."""

    clock: ManualClock
    url: str = ""
    changes: list[tuple[str, str]] = field(default_factory=list)
    _store: Store | None = None
    _control: FastAPI | None = None
    _loop: asyncio.AbstractEventLoop | None = None

    def get(self, path: str, *, by: str | None = MASTER_KEY, **query: object) -> Answer:
        return call(f"{self.url}{path}?{urlencode(query)}", key=by)

    def post(self, path: str, body: object, *, by: str | None = MASTER_KEY, **headers: str) -> Answer:
        return call(f"{self.url}{path}", body, by, headers)

    def read(self, path: str, *, by: str = MASTER_KEY, **query: object) -> Any:
        """The body of an answer that must be a success."""
        answer = self.get(path, by=by, **query)
        assert answer.status == 200, answer.body
        return answer.json()

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
        row = UsageRow(cost_nano=cost, **{**known, **fields})

        async def record() -> None:
            assert self._store is not None
            self._store.journal.record(row)

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
            self._control = build_control(self._services(self._store, identity))
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await identity.close()
            await self._store.close()
            await send({"type": "lifespan.shutdown.complete"})

        with serve_app(app) as self.url:
            yield self

    def _services(self, store: Store, identity: Identity) -> Services:
        return Services(
            store=store,
            identity=identity,
            clock=self.clock,
            catalogue=_Catalogue(),
            may_use=may_use,
            version="1.2.3",
            on_change=(lambda kind, changed: self.changes.append((kind, changed)),),
        )


@contextmanager
def run_admin(database_url: str) -> Iterator[Admin]:
    """Serve the admin API over an empty database, at a time that stands still."""
    with Admin(ManualClock()).serve(database_url) as admin:
        yield admin


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
