from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.bedrock import aws_client, call
from tests.support.servers import serve_app

from sekisho.core.clock import SystemClock
from sekisho.simulator.app import build_simulator
from sekisho.simulator.settings import KeyPair, Limit, Match, SimulatorSettings

OTHER_KEY = KeyPair(access_key="AKIAOTHERACCOUNT0001", secret_key="other-secret", account="222222222222")
SETTINGS = SimulatorSettings(
    key_pairs=(OTHER_KEY,),
    external_ids={"arn:aws:iam::333333333333:role/guarded": "the-id"},
    limits=(
        Limit(match=Match(region="eu-west-1"), rpm=2),
        Limit(match=Match(region="eu-central-1"), tpm=1000),
    ),
    cache_min_tokens=50,
)


class _OneMinute(SystemClock):
    """True time for signatures, and a minute that never ends for quotas."""

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture(scope="session")
def shared_simulator() -> Iterator[str]:
    with serve_app(build_simulator(SETTINGS, _OneMinute())) as url:
        yield url


@pytest.fixture
def simulator(shared_simulator: str) -> str:
    """The URL of a simulator without faults and calls."""
    call("DELETE", f"{shared_simulator}/_simulator/faults")
    call("DELETE", f"{shared_simulator}/_simulator/calls")
    return shared_simulator


@pytest.fixture
def runtime(simulator: str) -> Any:
    """boto3's client for bedrock-runtime."""
    return aws_client("bedrock-runtime", simulator)
