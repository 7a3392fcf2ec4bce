from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.gateway import Gateway, Simulator, run_gateway, run_simulator

CONFIG = """
model_list:
  - model_name: sonnet
    litellm_params:
      model: bedrock/converse/us.anthropic.claude-sonnet-4-5-20250929-v1:0
      aws_region_name: us-east-1
  - model_name: spread
    litellm_params:
      model: bedrock/converse/us.anthropic.claude-sonnet-4-5-20250929-v1:0
      aws_region_name: us-west-2
      order: 1
  - model_name: spread
    litellm_params:
      model: bedrock/converse/us.anthropic.claude-sonnet-4-5-20250929-v1:0
      aws_region_name: eu-west-1
      order: 2
  - model_name: haiku
    litellm_params:
      model: bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0
      aws_region_name: us-east-1
  - model_name: nova
    litellm_params:
      model: us.amazon.nova-pro-v1:0
      aws_region_name: us-east-1
  - model_name: unpriced
    litellm_params:
      model: bedrock/converse/nobody.knows-this-v9:0
      aws_region_name: us-east-1
litellm_settings:
  fallbacks:
    - sonnet: [haiku]
router_settings:
  num_retries: 1
  default_model: sonnet
general_settings:
  max_request_size_mb: 2
"""


@pytest.fixture(scope="session")
def running_simulator() -> Iterator[Simulator]:
    with run_simulator() as simulator:
        yield simulator


@pytest.fixture
def simulator(running_simulator: Simulator) -> Simulator:
    """The counterpart, with nothing of an earlier test."""
    running_simulator.reset()
    return running_simulator


@pytest.fixture(scope="module")
def running_gateway(running_simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    home: Path = tmp_path_factory.mktemp("home")
    with run_gateway(home, CONFIG, running_simulator.environment) as gateway:
        yield gateway


@pytest.fixture
def gateway(running_gateway: Gateway, simulator: Simulator) -> Gateway:
    """A gateway in front of the counterpart, shared by the tests of a module."""
    return running_gateway
