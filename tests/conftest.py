"""Fixtures shared by the tests of several folders: a simulator over TLS, and a hub that may read it."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from exporters import shared_state
from exporters.scraping import last_uses, scrape_records
from simulator import SimulatedNamespace, Simulator

# A test is slow if it uses one of these fixtures, or if its module imports one of these modules.
_SLOW_FIXTURES = {"admin_client", "client", "live_server", "simulator"}
_SLOW_MODULES = {
    "django.test.client",
    "simulator",
    "socketserver",
    "subprocess",
    "tests.access.people",
    "tests.support.hubs",
    "tests.support.programs",
    "tests.support.run_command",
    "tests.support.servers",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as `fast` what starts no server or program, requests no page, and is not marked as `slow`."""
    for item in items:
        slow = (
            item.get_closest_marker("e2e")
            or item.get_closest_marker("slow")
            or _SLOW_FIXTURES & set(getattr(item, "fixturenames", ()))
            or _SLOW_MODULES & set(_imported(item.module))
        )
        if not slow:
            item.add_marker("fast")


def _imported(module: ModuleType) -> Iterator[str]:
    """Yield the names of the modules that a module imports, itself or by a name from them."""
    for value in vars(module).values():
        name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        if isinstance(name, str):
            yield from (name, name.split(".")[0])


@pytest.fixture(autouse=True)
def _no_writing_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write scrape records only when a test flushes them: a thread's transaction would conflict with the test's own.

    Other data that a flush writes, such as token uses, is discarded together with the test that created it.
    """
    monkeypatch.setattr(scrape_records, "recorder", scrape_records.Recorder(in_background=False))
    last_uses.tokens.forget()


@pytest.fixture(autouse=True)
def _nothing_shared_with_other_tests(
    settings: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Give each test its own results and budgets, because a reused port would bring back another test's namespace."""
    settings.HUB_DATA_DIR = tmp_path_factory.mktemp("data")
    shared_state.forget()
    yield
    shared_state.forget()


@pytest.fixture(autouse=True)
def _quick_passwords(settings: Any) -> None:
    """Hash passwords quickly, because the default takes a quarter of a second on purpose."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One CA for the whole run, because generating keys is slow."""
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture
def simulator(certificates: Any) -> Iterator[Simulator]:
    """A running simulator without namespaces."""
    simulator = Simulator(directory=certificates)
    with simulator.running():
        yield simulator


@pytest.fixture
def bus(simulator: Simulator) -> SimulatedNamespace:
    """A small namespace: two queues, a topic with two subscriptions."""
    namespace = simulator.add_namespace("payments", sku="Standard")
    namespace.add_queue("orders", active=3, dead_letter=1)
    namespace.add_queue("team/invoices", active=7)
    topic = namespace.add_topic("events")
    topic.add_subscription("billing", active=2)
    topic.add_subscription("audit", dead_letter=4)
    return namespace


@pytest.fixture(autouse=True)
def _nobody_has_guessed() -> None:
    """Reset the counts of wrong tokens, because all tests use one address and would count each other's."""
    from exporters.access.rate_limit import guessing

    guessing.forget()
