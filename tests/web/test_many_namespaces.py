"""Pages neither grow nor need more queries with the number of namespaces."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from exporters.configuration.reloader import reloader
from exporters.scraping import last_reading
from tests.support import company
from tests.support.permissions import pages_of

# Pages that list everything on purpose (files, and the objects deleted with a team) or show the result of a read.
WHOLE = ("?export", "/sd", "/-/", "/team/{team}/delete/", "/entities/", "/exposition/")
FEW, MANY = 120, 400


@pytest.fixture(autouse=True)
def _nothing_in_memory(db: None) -> Iterator[None]:
    reloader.forget()
    yield
    reloader.forget()


def _measured(namespaces: int, who: str) -> dict[str, tuple[int, int]]:
    """Return the size and the number of queries of each page, by address, with `namespaces` namespaces."""
    found = {}
    with transaction.atomic():
        ids = company.fill(company.Company(namespaces=namespaces, teams=2, records=1, changes=1, ruled=1))
        client = Client()
        user = User.objects.get(username=ids["users"][who])
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        names = {name: f"{{{name}}}" for name in ids}
        for path in pages_of(who, names):
            if any(part in path for part in WHOLE):
                continue
            address = path.format(**ids)
            client.get(address)  # fills what a process reads only once
            with CaptureQueriesContext(connection) as captured:
                answer = client.get(address)
            assert answer.status_code == 200, path
            found[path] = len(answer.content), len(captured)
        transaction.set_rollback(True)
    reloader.forget()
    last_reading.forget()
    return found


@pytest.mark.parametrize("who", ["administrator", "owner", "viewer"])
def test_no_page_grows_with_the_number_of_namespaces(who: str) -> None:
    few, many = _measured(FEW, who), _measured(MANY, who)
    assert {"/admin/", "/admin/exporters/namespace/"} <= set(few)
    larger = {
        path: (few[path], many[path])
        for path in few
        if many[path][0] > 1.05 * few[path][0] + 1000 or many[path][1] > few[path][1]
    }
    assert larger == {}
