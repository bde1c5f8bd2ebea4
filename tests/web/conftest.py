"""A hub in this process, configured to read the simulator."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from exporters.configuration.reloader import reloader
from exporters.models import Credential, Namespace, ScrapeToken, Team
from exporters.scraping import last_uses, reading
from simulator import SimulatedNamespace, Simulator


@pytest.fixture
def hub(db: None, simulator: Simulator, settings: Any) -> Iterator[None]:
    """Settings that let this process connect to the simulator, and a fresh configuration and client."""
    settings.HUB_ALLOW_LOOPBACK = True
    settings.HUB_CA_FILE = str(simulator.ca_file)
    reading.close()
    reloader.forget()
    last_uses.tokens.forget()
    yield
    reading.close()
    reloader.forget()
    # Otherwise, a later test without a database would write them.
    last_uses.tokens.forget()


@pytest.fixture
def team(hub: None) -> Team:
    return Team.objects.create(name="payments")


AddTarget = Callable[..., Namespace]


@pytest.fixture
def add_target(team: Team) -> AddTarget:
    """Store a namespace, with a credential, for a simulated one."""

    def add(bus: SimulatedNamespace, connection_string: str | None = None, **fields: Any) -> Namespace:
        name = fields.pop("name", bus.name)
        credential = Credential.objects.create(
            name=f"{name}-key", team=team, secret=connection_string or bus.connection_string
        )
        return Namespace.objects.create(
            name=name, team=fields.pop("team", team), credential=credential, **fields
        )

    return add


@pytest.fixture
def token(team: Team) -> str:
    secret = ScrapeToken.generate()
    stored = ScrapeToken(name="prometheus", team=team, scope="team")
    stored.set_token(secret)
    stored.save()
    return secret


@pytest.fixture
def scraper(token: str) -> Client:
    """A client that sends the team's token."""
    return Client(headers={"Authorization": f"Bearer {token}"})
