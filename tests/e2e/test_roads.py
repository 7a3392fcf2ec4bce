"""A coding agent at work while its roads fail, one kind of failure after the other.

Three AWS accounts with roles of a real STS, two regions with a counterpart of Bedrock each. Whichever account the agent
has been sent to is used up by others in the middle of the task; then the region in which it goes on dies; then the role
by which it goes on is revoked. Nothing of that depends on when it happens: each blow falls while an answer is on its
way, before its last byte.
"""

import asyncio
import contextlib
import errno
import json
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.clients.cline import install_cline, run_cline
from tests.support.gateway import call, run_gateway
from tests.support.moto import ACCOUNTS, EXTERNAL_ID, HUB, Moto, make_client, make_role, role_arn, run_moto
from tests.support.servers import serve_app

from sekisho.core.clock import SystemClock
from sekisho.simulator.app import build_simulator
from sekisho.simulator.settings import Limit, SimulatorSettings

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
REGIONS = ("us-east-1", "us-west-2")
FILES = ("one", "two", "three", "four", "five", "six", "seven", "eight")
PROMPT = " ".join(f"Create a file named `{name}.txt` with the content `{name} is written`." for name in FILES)
CALLS_OF_A_MINUTE = 15
"""The quota of each account in each region: more than the task takes in all."""

Rows = list[dict[str, Any]]


class _OneMinute(SystemClock):
    """True time for signatures, and a minute that never ends for quotas."""

    def monotonic(self) -> float:
        return 0.0


class Region:
    """A counterpart of Bedrock on a port of its own, which can die. `after_answer` is called before an answer's end."""

    def __init__(self, name: str, moto: Moto, after_answer: "Callable[[Region], None]") -> None:
        self.name = name
        settings = SimulatorSettings(issuer=moto.find_keys, limits=(Limit(rpm=CALLS_OF_A_MINUTE),))
        self._simulator = build_simulator(settings, _OneMinute())
        self._after_answer = after_answer
        self._served = contextlib.ExitStack()
        self.url = self._served.enter_context(serve_app(self._answer))
        self._death = threading.Thread(target=self._served.close)

    def calls(self) -> list[dict[str, Any]]:
        """The calls of the agent so far."""
        calls = call(f"{self.url}/_simulator/calls").json()["calls"]
        return [each for each in calls if each["operation"] == "ConverseStream"]

    def die(self) -> None:
        """From now on it refuses connections; what it is answering, it still answers."""
        self._death.start()
        port = int(self.url.rpartition(":")[2])
        refused = False
        while not refused:
            with socket.socket() as client:
                refused = client.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED

    def close(self) -> None:
        if not self._death.ident:
            self._death.start()
        self._death.join()

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        status = 0

        async def tell(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            is_last = message["type"] == "http.response.body" and not message.get("more_body")
            if is_last and status == 200 and scope["path"].endswith("/converse-stream"):
                await asyncio.to_thread(self._after_answer, self)
            await send(message)

        await self._simulator(scope, receive, tell)


class Country:
    """Three accounts in two regions, and the blows that fall upon them: which account, region and role they were."""

    def __init__(self, moto: Moto) -> None:
        self._moto = moto
        self.regions = {name: Region(name, moto, self._strike) for name in REGIONS}
        self.calls: list[dict[str, Any]] = []
        self.used_up = self.dead = self.revoked = ""

    def write_config(self) -> str:
        """A model with a deployment in every account and region."""
        deployments = [
            {
                "model": f"bedrock/converse/{CLAUDE}",
                "aws_region_name": region.name,
                "aws_bedrock_runtime_endpoint": region.url,
                "aws_role_name": role_arn(account),
                "aws_external_id": EXTERNAL_ID,
            }
            for account in ACCOUNTS
            for region in self.regions.values()
        ]
        return json.dumps({"model_list": [{"model_name": "sonnet", "litellm_params": each} for each in deployments]})

    def _strike(self, region: Region) -> None:
        """After every second answer a blow falls on the road by which it has come."""
        self.calls.append(region.calls()[-1])
        account = self.calls[-1]["account"]
        match len(self.calls):
            case 2:
                self.used_up = account
                self._use_up(account)
            case 4:
                self.dead = region.name
                region.die()
            case 6:
                self.revoked = account
                self._moto.revoke_role(account)

    def _use_up(self, account: str) -> None:
        """Somebody else's calls leave nothing of an account's quotas."""
        keys = self._moto.assume_role(account)
        for region in self.regions.values():
            bedrock = make_client("bedrock-runtime", region.url, keys, region.name)
            messages = [{"role": "user", "content": [{"text": "hello"}]}]
            with contextlib.suppress(bedrock.exceptions.ThrottlingException):
                while True:
                    bedrock.converse(modelId=CLAUDE, messages=messages)


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    with run_moto(lambda moto, user: make_role(moto, HUB, trusted=user)) as running:
        yield running


@pytest.fixture(scope="module")
def country(moto: Moto) -> Iterator[Country]:
    made = Country(moto)
    with contextlib.ExitStack() as stack:
        for region in made.regions.values():
            stack.callback(region.close)
        yield made


def test_the_agent_finishes_its_task_by_the_roads_that_are_left(tmp_path: Path, moto: Moto, country: Country) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    subprocess.run(["git", "init", "--quiet", str(repository)], check=True)
    with run_gateway(tmp_path / "home", country.write_config(), moto.environment) as gateway:
        key = gateway.make_key(key_alias="agent", max_budget=5)
        done = run_cline(
            install_cline(), workdir=repository, home=tmp_path / "agent-home", base_url=gateway.url, api_key=key,
            model="sonnet", prompt=PROMPT,
        )  # fmt: skip
        rows = gateway.get(f"/spend/logs?api_key={key}").json()[::-1]
        models = gateway.get("/v1/model/info").json()["data"]
        health = gateway.get("/health").json()
        spent = gateway.get(f"/key/info?key={key}").json()["info"]["spend"]
        assert done.exit_code == 0, done.stderr + done.stdout + gateway.errors()
    written = {name: (repository / f"{name}.txt").read_text().strip() for name in FILES}
    assert written == {name: f"{name} is written" for name in FILES}
    check_roads(rows, country)
    check_money(rows, spent)
    check_states(models, country)
    check_health(health, country)


def check_roads(rows: Rows, country: Country) -> None:
    """The rows tell the same roads as the counterparts, and why they were left."""
    roads = [(row["metadata"]["account"], row["metadata"]["region"]) for row in rows]
    assert roads == [road_of(each) for each in country.calls]
    assert len(roads) == len(FILES) + 1
    first, second, third, last = stretches = roads[0], roads[2], roads[4], roads[6]
    assert roads == [first] * 2 + [second] * 2 + [third] * 2 + [last] * 3  # it stays where its cache is warm
    assert (first[0], second[1], third[0]) == (country.used_up, country.dead, country.revoked)
    assert country.used_up not in {account for account, _ in stretches[1:]}
    assert country.dead not in {region for _, region in stretches[2:]}
    assert last[0] != country.revoked
    assert {row["status"] for row in rows} == {"success"}
    assert [at for at, row in enumerate(rows) if row["metadata"]["retries"]] == [2, 4, 6]
    assert len({row["session_id"] for row in rows}) == 1


def check_money(rows: Rows, spent: float) -> None:
    """What was used is booked once, and nothing but a change of roads has written the cache anew."""
    reads = [row["metadata"]["usage"]["cache_read"] > 0 for row in rows]
    assert reads == [False, True, False, True, False, True, False, True, True]
    assert round(spent * 1e9) == sum(row["metadata"]["cost_nano"] for row in rows) > 0


def check_states(models: Rows, country: Country) -> None:
    """An administrator sees what has happened to which road."""
    states = {(state["account"], state["region"]): state for state in (one["model_info"]["state"] for one in models)}
    first, second, third, last = (states[road_of(country.calls[at])] for at in (0, 2, 4, 6))
    assert "rate limit" in first["last_error"]
    assert "Could not connect" in second["last_error"]
    assert third["rest"] == "set_aside"
    assert "security token" in third["rest_reason"]
    assert (last["rest"], last["last_error"]) == ("free", None)


def check_health(health: dict[str, Rows], country: Country) -> None:
    """Calls to all roads show the one that is left."""
    (healthy,) = health["healthy_endpoints"]
    last_account, last_region = road_of(country.calls[-1])
    assert (healthy["aws_role_name"], healthy["aws_region_name"]) == (role_arn(last_account), last_region)
    errors = {(one["aws_role_name"], one["aws_region_name"]): one["error"] for one in health["unhealthy_endpoints"]}
    used_up, revoked = role_arn(country.used_up), role_arn(country.revoked)
    assert "rate limit" in errors[used_up, last_region]
    assert "Could not connect" in errors[used_up, country.dead]
    assert "Could not connect" in errors[role_arn(last_account), country.dead]
    # The keys that are void are replaced only when they are some seconds old.
    assert re.search("security token .* is invalid|AWS STS refuses keys", errors[revoked, last_region])


def road_of(called: dict[str, Any]) -> tuple[str, str]:
    return called["account"], called["region"]
