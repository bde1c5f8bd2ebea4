import pytest
from django.test import Client


def test_healthy_answers_anyone_under_any_host() -> None:
    assert Client().get("/-/healthy", headers={"Host": "10.1.2.3:9580"}).status_code == 200


@pytest.mark.usefixtures("hub")
def test_ready_tells_each_check() -> None:
    response = Client().get("/-/ready")
    assert response.status_code == 200
    assert response.json() == {
        "ready": True,
        "degraded": [],
        "checks": {"configuration": "ok", "database": "ok", "keys": "ok", "shared_state": "ok"},
    }


def test_the_landing_page_names_the_ways_on() -> None:
    response = Client().get("/")
    assert response.status_code == 200
    assert "/admin/" in response.content.decode()
    assert "default-src 'none'" in response["Content-Security-Policy"]


def test_the_web_pages_are_bound_to_the_allowed_hosts() -> None:
    assert Client().get("/", headers={"Host": "evil.example"}).status_code == 400
