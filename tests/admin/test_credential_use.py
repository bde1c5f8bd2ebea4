"""A credential's page shows what its secret is and who uses it."""

from typing import Any

from django.test import Client

from exporters.models import Namespace


def test_the_page_names_the_namespaces_that_use_it_and_the_key_it_holds(
    browser: Client, namespace: Namespace, credential: Any
) -> None:
    answer = browser.get(f"/admin/exporters/credential/{credential.pk}/change/")
    assert [each.name for each, _ in answer.context["used_by"]] == [namespace.name]
    page = answer.content.decode()
    assert f"/admin/exporters/namespace/{namespace.pk}/status/" in page
    assert "set, key RootManageSharedAccessKey" in page


def test_one_that_nothing_uses_says_so(browser: Client, credential: Any) -> None:
    page = browser.get(f"/admin/exporters/credential/{credential.pk}/change/").content.decode()
    assert "no namespaces visible to you" in page
