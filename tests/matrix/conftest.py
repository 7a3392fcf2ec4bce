from collections.abc import Iterator

import pytest
import yaml

from tests.matrix.cell import record_bodies
from tests.matrix.upstreams import write_config
from tests.support.gateway import Gateway, Simulator, run_gateway, run_simulator


@pytest.fixture(scope="session")
def matrix_simulator() -> Iterator[Simulator]:
    with run_simulator() as simulator:
        record_bodies(simulator)
        yield simulator


@pytest.fixture(scope="session")
def matrix_gateway(matrix_simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    home = tmp_path_factory.mktemp("matrix")
    config = yaml.safe_dump(write_config(matrix_simulator.url))
    with run_gateway(home, config, matrix_simulator.environment) as gateway:
        yield gateway
