"""A simulator on real sockets for every test in this folder."""

from collections.abc import Iterator

import pytest

from simulator import SimulatedNamespace, Simulator


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One CA for all tests of a run, because creating one for each test adds up."""
    return str(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def simulator(certificates: str) -> Iterator[Simulator]:
    with Simulator(directory=certificates).running() as simulator:
        yield simulator


@pytest.fixture
def namespace(simulator: Simulator) -> SimulatedNamespace:
    return simulator.add_namespace("payments")
