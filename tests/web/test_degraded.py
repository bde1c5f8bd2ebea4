"""A hub that answers scrapes but has lost something reports it on every page of the admin."""

import pytest
from django.test import Client

from exporters import shared_state
from exporters.shared_state.layered import Layered
from exporters.shared_state.memory import MemoryStore
from exporters.shared_state.store import StoreError


class Lost(MemoryStore):
    name = "redis"

    def stamp(self, key: str) -> str | None:
        raise StoreError("connection refused")


@pytest.mark.django_db
def test_a_lost_redis_is_told_on_admin_pages_and_by_readiness(
    admin_client: Client, hub: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "share reads through redis" not in admin_client.get("/admin/").content.decode()
    layered = Layered([Lost(), MemoryStore()])
    layered.do(lambda store: store.stamp("key"))
    monkeypatch.setattr(shared_state, "shared", lambda: layered)
    for path in ("/admin/", "/admin/exporters/namespace/"):
        assert "share reads through redis" in admin_client.get(path).content.decode()
        assert "redis: connection refused" in admin_client.get(path).content.decode()
    answer = admin_client.get("/-/ready")
    assert answer.status_code == 200
    assert answer.json()["degraded"] == ["shared_state"]
    # Users who are not signed in see no internals of the hub.
    assert "share nothing" not in Client().get("/admin/login/").content.decode()
