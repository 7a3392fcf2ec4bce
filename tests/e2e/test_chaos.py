"""Many clients, several workers, budgets that run out, hang-ups and killed workers: at the end all books agree."""

import json
import os
import random
import signal
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec import Struct
from tests.e2e.conftest import CONFIG
from tests.support.admin import hash_of, start_postgres
from tests.support.gateway import Gateway, Simulator, run_gateway
from tests.support.usage import check_books, read_leases
from tests.support.workers import find_workers

from sekisho.store.database import Database

WORKERS = 4
CLIENTS = 64
CALLS = 400
KILL_EVERY = 100
"""One worker is killed when so many calls more have begun."""
HANG_UP_CHANCE = 0.2
STREAMS = 8
SEED = 2_026
SETTLE_SECONDS = 60.0
"""How long taking over from dead workers may need on a busy machine."""


class Level(Struct, frozen=True):
    """A level of the hierarchy: where its spend is shown, and its budget in nano-dollars."""

    kind: str
    id: str
    alias: str
    budget: int | None


class Company(Struct, frozen=True):
    """An organisation with teams and users, and others beside it. `keys` are secrets by alias."""

    keys: dict[str, str]
    levels: list[Level]


class Order(Struct, frozen=True):
    """What one client does: it hangs up after so many bytes of the answer (0: before it), unless that is None."""

    number: int
    key: str
    words: int
    model: str = "sonnet"
    stream: bool = True
    hang_up_after: int | None = None
    end_user: str | None = None


class Outcome(Struct, frozen=True):
    """What a client saw. Nothing, when its worker was killed first."""

    order: Order
    status: int | None = None
    call_id: str | None = None
    body: bytes = b""


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_all_books_agree_after_hangups_and_killed_workers(
    kind: str, tmp_path: Path, simulator: Simulator
) -> None:
    with ExitStack() as stack:
        database_url = start_postgres(stack) if kind == "postgres" else str(tmp_path / "home" / "sekisho.db")
        environment = {**simulator.environment, **({"DATABASE_URL": database_url} if kind == "postgres" else {})}
        with run_gateway(tmp_path / "home", CONFIG, environment, workers=WORKERS) as gateway:
            company = found_company(gateway)
            simulator.fault({"region": "us-west-2"}, {"kind": "throttle"}, times=5)
            simulator.fault({}, {"kind": "slow", "event_ms": 10})
            outcomes = play(gateway, list(company.keys.values()))
            kill_all_at_work(gateway, company.keys["of others"])
            rows = wait_until_settled(gateway, simulator, outcomes)
            check_refusals(outcomes, company, gateway.errors())
            check_rows(rows, simulator, outcomes)
            check_levels(gateway, company, rows)
            assert "Traceback" not in gateway.errors()
        database = Database(database_url)
        await check_books(database)
        assert await read_leases(database) == {}, "a lease is stuck"
        await database.close()


def found_company(gateway: Gateway) -> Company:
    """Levels whose budgets run out one after the other, and one key that has none and outlives them."""
    levels: list[Level] = []
    keys: dict[str, str] = {}

    def make(kind: str, path: str, name: str, budget: float | None, **fields: object) -> str:
        limit = {} if budget is None else {"max_budget": budget}
        answer = gateway.post(path, {**fields, **limit})
        assert answer.status == 200, answer.body
        identity: str = answer.json()[name]
        alias = str(fields.get(f"{kind}_alias", identity))
        levels.append(Level(kind, identity, alias, None if budget is None else round(budget * 1e9)))
        if kind == "key":
            keys[alias] = identity
        return identity

    acme = make("organization", "/organization/new", "organization_id", 0.03, organization_alias="Acme")
    poor = make("team", "/team/new", "team_id", 0.008, team_alias="poor", organization_id=acme)
    rich = make("team", "/team/new", "team_id", None, team_alias="rich", organization_id=acme)
    other = make("team", "/team/new", "team_id", 5, team_alias="other")
    bo = make("user", "/user/new", "user_id", 0.008, user_alias="Bo", auto_create_key=False)
    al = make("user", "/user/new", "user_id", None, user_alias="Al", auto_create_key=False)
    make("customer", "/customer/new", "user_id", 0.005, user_id="client-of-ours")
    window = {"budget_duration": "1d", "max_budget": 4}
    for alias, budget, fields in (
        ("small", 0.004, {"team_id": rich, "user_id": al}),
        ("of Bo", None, {"team_id": rich, "user_id": bo}),
        ("also of Bo", 1, {"team_id": other, "user_id": bo}),
        ("of the poor", None, {"team_id": poor}),
        ("of the poor too", 0.3, {"team_id": poor, "user_id": al}),
        ("of the rich", 0.5, {"team_id": rich, "budget_limits": [window]}),
        ("of others", None, {"team_id": other}),
        ("free", None, {"user_id": al}),
    ):
        make("key", "/key/generate", "key", budget, key_alias=alias, **fields)
    return Company(keys, levels)


def play(gateway: Gateway, keys: list[str]) -> list[Outcome]:
    """Let all clients call at once, kill workers meanwhile, and return what they saw."""
    chance = random.Random(SEED)  # chance, not secrecy
    orders = [draw_order(chance, number, keys) for number in range(CALLS)]
    victims = [chance.random() for _ in orders]

    def run(order: Order) -> Outcome:
        if order.number % KILL_EVERY == KILL_EVERY // 2:
            workers = find_workers(gateway, 1)
            with suppress(ProcessLookupError):
                os.kill(workers[int(victims[order.number] * len(workers))], signal.SIGKILL)
        return send(gateway.url, order)

    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(run, orders))


def draw_order(chance: random.Random, number: int, keys: list[str]) -> Order:
    stream = chance.random() < 0.7
    hangs_up = chance.random() < HANG_UP_CHANCE
    return Order(
        number=number,
        key=chance.choice(keys),
        words=chance.randint(10, 120),
        model=chance.choice(["sonnet", "sonnet", "spread", "haiku"]),
        stream=stream,
        hang_up_after=chance.choice([0, *range(1, 4_000, 400)]) if hangs_up else None,
        end_user=chance.choice([None, None, None, "client-of-ours"]),
    )


def send(url: str, order: Order) -> Outcome:
    """Send one call, and leave early if the order says so."""
    with closing(HTTPConnection(urlsplit(url).netloc, timeout=60)) as connection:
        try:
            begin(connection, order)
            if order.hang_up_after == 0:
                return Outcome(order)
            with closing(connection.getresponse()) as response:
                call_id = response.getheader("x-litellm-call-id")
                return Outcome(order, response.status, call_id, response.read(order.hang_up_after))
        except (OSError, HTTPException):
            return Outcome(order)


def kill_all_at_work(gateway: Gateway, key: str) -> None:
    """Kill every worker at once, while answers come out of some."""
    workers = find_workers(gateway, WORKERS)
    with ExitStack() as stack:
        for number in range(STREAMS):
            order = Order(number, key, words=3_000)
            connection = stack.enter_context(closing(HTTPConnection(urlsplit(gateway.url).netloc, timeout=60)))
            begin(connection, order)
            assert stack.enter_context(closing(connection.getresponse())).read(1) == b"d"
        for worker in workers:
            os.kill(worker, signal.SIGKILL)


def begin(connection: HTTPConnection, order: Order) -> None:
    """Send the call of an order."""
    text = f'[[sim: {{"repeat": {order.words}}}]]'
    body: dict[str, object] = {
        "model": order.model,
        "messages": [{"role": "user", "content": text}],
        "stream": order.stream,
        "metadata": {"tags": ["even" if order.number % 2 == 0 else "odd"]},
    }
    if order.end_user is not None:
        body["user"] = order.end_user
    headers = {"Authorization": f"Bearer {order.key}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)


def wait_until_settled(gateway: Gateway, simulator: Simulator, outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """The usage rows, once there is one of every call that was answered or reached the counterpart.

    Only the living have files in the spool then: what the dead left is booked.
    """
    deadline = monotonic() + SETTLE_SECONDS
    while True:
        find_workers(gateway, WORKERS)
        seen = {call["request_metadata"]["sekisho_call_id"] for call in taken_calls(simulator)}
        seen |= {outcome.call_id for outcome in outcomes if outcome.call_id is not None}
        spools = list(gateway.home.glob("spool/**/*.spool"))
        rows: list[dict[str, Any]] = gateway.get("/spend/logs?limit=10000").json()
        missing = seen - {row["request_id"] for row in rows}
        if not missing and len(spools) == WORKERS:
            return rows
        assert monotonic() < deadline, f"{len(missing)} calls have no row; {len(spools)} spools\n{gateway.errors()}"
        sleep(0.2)


def taken_calls(simulator: Simulator) -> list[dict[str, Any]]:
    """The calls that the counterpart did not refuse; what it has refused it has not read."""
    return [call for call in simulator.calls() if call["fault"] != "throttle"]


def check_refusals(outcomes: list[Outcome], company: Company, log: str) -> None:
    """Every level with a small budget has refused, by name, and nothing else went wrong."""
    statuses = Counter(outcome.status for outcome in outcomes)
    wrong = [outcome.body[:500] for outcome in outcomes if outcome.status not in (200, 402, None)]
    assert not wrong, f"{statuses}\n{wrong[:5]}\n{log[-20_000:]}"
    assert statuses[200] > CALLS // 8, statuses
    told = b"\n".join(outcome.body for outcome in outcomes if outcome.status == 402).decode()
    for level in company.levels:
        if level.budget is not None and level.budget <= 30_000_000:
            name = level.alias if level.kind != "customer" else level.id
            assert f"{level.kind} '{name}'" in told, f"{level.kind} '{name}' refused nothing"
    free = [outcome for outcome in outcomes if outcome.order.key == company.keys["free"]]
    assert all(outcome.status in (200, None) for outcome in free if outcome.order.end_user is None)


def check_rows(rows: list[dict[str, Any]], simulator: Simulator, outcomes: list[Outcome]) -> None:
    """Every call has one row, with the tokens of the counterpart; only those that were cut short are estimated."""
    assert not (twice := [name for name, count in Counter(row["request_id"] for row in rows).items() if count > 1]), (
        twice
    )
    calls: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for call in taken_calls(simulator):
        calls[call["request_metadata"]["sekisho_call_id"]].append(call)
    whole = {outcome.call_id for outcome in outcomes if outcome.status == 200 and outcome.order.hang_up_after is None}
    endings = Counter((row["status"], row["metadata"]["estimated"]) for row in rows)
    for row in rows:
        taken = calls[row["request_id"]]
        assert len(taken) <= 1, "a call was answered twice"
        if row["metadata"]["estimated"]:
            killed = row["metadata"]["error_class"] == "WorkerDied"
            assert killed or row["status"] == "client_closed", row
            assert killed or row["request_id"] not in whole, "the client had the whole answer"
            assert row["metadata"]["cost_nano"] > 0
        else:
            counted = Counter(input=0, output=0)
            for call in taken:
                assert call["complete"], (row, call)
                counted.update({kind: call["usage"][kind] for kind in ("input", "output")})
            assert (row["prompt_tokens"], row["completion_tokens"]) == (counted["input"], counted["output"]), row
            assert bool(taken) == (row["metadata"]["cost_nano"] > 0)
    assert endings["client_closed", True] > 0, endings
    assert endings["failure", True] >= STREAMS, endings


def check_levels(gateway: Gateway, company: Company, rows: list[dict[str, Any]]) -> None:
    """What every level's own page and the roll-ups say is the sum of its rows, and within its budget."""
    column = {"key": "api_key", "user": "user", "team": "team_id", "organization": "organization_id"}
    hashes = {secret: hash_of(secret) for secret in company.keys.values()}
    for level in company.levels:
        owner = hashes.get(level.id, level.id)
        own = [row for row in rows if row[column.get(level.kind, "end_user")] == owner]
        spent = cost_of(own)
        assert shown_spend(gateway, level) == spent, level
        if level.kind in ("user", "team", "organization"):
            assert rolled_up(gateway, level) == spent, level
        overrun = sum(row["metadata"]["overrun_nano"] or 0 for row in own)
        assert level.budget is None or spent <= level.budget + overrun, level
    today = datetime.now(UTC)
    days = f"start_date={today - timedelta(1):%Y-%m-%d}&end_date={today:%Y-%m-%d}"
    report = gateway.get(f"/global/spend/report?group_by=api_key&{days}").json()
    by_key = {line["api_key"]: round(line["total_cost"] * 1e9) for line in report}
    assert {owner: by_key.get(owner, 0) for owner in hashes.values()} == {
        owner: cost_of(row for row in rows if row["api_key"] == owner) for owner in hashes.values()
    }
    tags = {line["individual_request_tag"]: line["total_spend"] for line in gateway.get("/spend/tags").json()}
    for tag in ("even", "odd"):
        assert round(tags[tag] * 1e9) == cost_of(row for row in rows if tag in row["request_tags"])
    assert round(gateway.get("/global/spend").json()["spend"] * 1e9) == cost_of(rows) > 0


def cost_of(rows: Iterable[dict[str, Any]]) -> int:
    return sum(row["metadata"]["cost_nano"] for row in rows)


def shown_spend(gateway: Gateway, level: Level) -> int:
    """Nano-dollars, as the level's own page has them."""
    name, inner = {
        "key": ("key", "info"),
        "user": ("user_id", "user_info"),
        "team": ("team_id", "team_info"),
        "organization": ("organization_id", None),
        "customer": ("end_user_id", None),
    }[level.kind]
    answer = gateway.get(f"/{level.kind}/info?{name}={level.id}")
    assert answer.status == 200, answer.body
    page = answer.json()
    dollars: float = (page[inner] if inner else page)["spend"]
    return round(dollars * 1e9)


def rolled_up(gateway: Gateway, level: Level) -> int:
    """Nano-dollars, as the daily activity has them."""
    name = "user_id" if level.kind == "user" else f"{level.kind}_ids"
    today = datetime.now(UTC)
    days = f"start_date={today - timedelta(1):%Y-%m-%d}&end_date={today:%Y-%m-%d}"
    answer = gateway.get(f"/{level.kind}/daily/activity?{name}={level.id}&{days}")
    assert answer.status == 200, answer.body
    dollars: float = answer.json()["metadata"]["total_spend"]
    return round(dollars * 1e9)
