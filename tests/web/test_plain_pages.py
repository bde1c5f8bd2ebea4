"""Pages that anyone may see: the landing page, the not-found page, a form that can't be accepted."""

import pytest
from django.template.loader import get_template
from django.test import Client


@pytest.mark.django_db
def test_the_landing_page_names_the_version_and_no_target(settings: object) -> None:
    html = Client().get("/").content.decode()
    assert "Version " in html
    assert "/admin/" in html


@pytest.mark.django_db
def test_a_page_that_is_not_there_says_so_in_the_hubs_look() -> None:
    response = Client().get("/nothing/here/")
    assert response.status_code == 404
    assert "This page doesn't exist" in response.content.decode()


@pytest.mark.django_db
def test_a_form_without_its_cookie_says_what_to_do() -> None:
    response = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "a", "password": "b"})
    assert response.status_code == 403
    assert "submit the form again" in " ".join(response.content.decode().split())


@pytest.mark.parametrize("code", ["400", "403", "404", "429", "500"])
def test_error_pages_need_nothing_from_their_context(code: str) -> None:
    html = get_template(f"{code}.html").render()
    assert "Back to the targets" in html
    assert "exporters/hub.css" in html
