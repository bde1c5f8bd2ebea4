"""HUB_EXTERNAL_URL becomes one origin in the form that browsers send; unsupported values are refused."""

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.http.request import host_validation_re
from hypothesis import given
from hypothesis import strategies as st

from hub import urls
from hub.addresses import OWN_SEGMENTS, UnsupportedAddressError, allowed_host, external_url


@pytest.mark.parametrize(
    ("given", "normalised"),
    [
        ("http://localhost:9580", "http://localhost:9580"),
        ("https://LocalHost", "https://localhost"),
        ("HTTPS://Hub.Example.COM/", "https://hub.example.com"),
        ("https://hub.example.com:443", "https://hub.example.com"),
        ("https://hub.example.com:", "https://hub.example.com"),
        ("http://hub.example.com:80/", "http://hub.example.com"),
        ("http://hub.example.com:443", "http://hub.example.com:443"),
        ("https://hub.example.com.", "https://hub.example.com"),
        ("http://[FD00::0005]:9580", "http://[fd00::5]:9580"),
        ("https://[::1]", "https://[::1]"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("https://BÜCHER.example", "https://xn--bcher-kva.example"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("http://10.0.0.7:9580", "http://10.0.0.7:9580"),
        ("http://host:8080/monitoring/hub", "http://host:8080/monitoring/hub"),
        ("http://host/Hub.v1_x~y//", "http://host/Hub.v1_x~y"),
        (" https://hub.example.com ", "https://hub.example.com"),
    ],
)
def test_an_address_has_one_form(given: str, normalised: str) -> None:
    assert external_url(given) == normalised
    assert external_url(normalised) == normalised


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("hub.example.com", "doesn't begin with https://"),
        ("ftp://hub.example.com", "doesn't begin with https://"),
        ("javascript:alert(1)", "doesn't begin with https://"),
        ("", "doesn't begin with https://"),
        ("https://", "host"),
        ("https:///hub", "host"),
        ("https://:9580", "host"),
        ("https://[hub", "host or port"),
        ("https://[fd00::5%25eth0]", "host"),
        ("https://fd00::5", "host or port"),
        ("https://hub_1.example.com", "host"),
        ("https://-hub.example.com", "host"),
        ("https://hub..example.com", "host"),
        ("https://256.1.1.1", "host"),
        ("https://127.1", "host"),
        ("https://" + "a" * 64 + ".example.com", "host"),
        ("https://straße.example", "xn--"),
        ("https://hub.example.com:port", "host or port"),
        ("https://hub.example.com:65536", "host or port"),
        ("https://hub.example.com:0", "port is 0"),
        ("https://user@hub.example.com", "username"),
        ("https://user:word@hub.example.com", "username"),
        ("https://@hub.example.com", "username"),
        ("https://hub.example.com?", "query"),
        ("https://hub.example.com/?team=x", "query"),
        ("https://hub.example.com/#top", "fragment"),
        ("https://hub.example.com/a//b", "path"),
        ("https://hub.example.com/../hub", "path"),
        ("https://hub.example.com/h%75b", "path"),
        ("https://hub.example.com/büro", "path"),
        ("https://hub.example.com/metrics", "/metrics, which is a path of the hub"),
        ("https://hub.example.com/admin/hub", "/admin, which is a path of the hub"),
        ("https://hub.example.com/a b", "white space"),
        ("https://hub.exa\tmple.com", "white space"),
        ("https://hub.example.com\\@evil.example", "username"),
    ],
)
def test_an_address_that_is_not_supported_is_refused_with_the_reason(given: str, why: str) -> None:
    with pytest.raises(UnsupportedAddressError) as refused:
        external_url(given)
    assert why in str(refused.value)
    assert "word" not in str(refused.value).replace("password", "")


@given(
    st.text(max_size=60)
    | st.tuples(
        st.sampled_from(["http://", "https://", "HTTP://", "//", ""]),
        st.text(st.sampled_from("aZ09.-_[]:@%é/?#\\"), max_size=20),
        st.sampled_from(["", ":80", ":443", ":9580", "/hub", "/a/b/"]),
    ).map("".join)
)
def test_whatever_is_taken_fits_django_and_stays_as_it_is(text: str) -> None:
    try:
        url = external_url(text)
    except UnsupportedAddressError:
        return
    assert external_url(url) == url
    assert host_validation_re.fullmatch(urlsplit(url).netloc)
    assert url == url.lower() or urlsplit(url).path


def test_every_path_of_the_hub_is_known_as_its_own() -> None:
    first = {str(each.pattern).split("/")[0] for each in urls.urlpatterns}
    machine = {str(each.pattern).split("/")[0] for each in urls.urlpatterns[-1].url_patterns}
    assert (first | machine | {"static"}) - {""} == OWN_SEGMENTS


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("*", "*"),
        (".Example.com", ".example.com"),
        ("HUB", "hub"),
        ("fd00::5", "[fd00::5]"),
        ("[fd00::5]", "[fd00::5]"),
        ("bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_allowed_hosts_have_the_form_that_requests_have(given: str, taken: str) -> None:
    assert allowed_host(given) == taken


@pytest.mark.parametrize(
    "given", ["hub.example.com:443", "https://hub.example.com", "hub_1", "*.example.com", "."]
)
def test_an_allowed_host_that_no_request_can_have_is_refused(given: str) -> None:
    with pytest.raises(UnsupportedAddressError):
        allowed_host(given)


def test_one_origin_is_in_all_settings_that_need_it(tmp_path: Path) -> None:
    code = """
import json, hub.settings as s
names = ["HUB_EXTERNAL_URL", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "FORCE_SCRIPT_NAME", "STATIC_URL"]
names += ["SESSION_COOKIE_PATH", "CSRF_COOKIE_PATH"]
print(json.dumps([getattr(s, name) for name in names]))
"""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    variables = {
        "HUB_DATA_DIR": str(tmp_path),
        "HUB_EXTERNAL_URL": "http://[FD00::5]:80/monitoring/hub/",
        "HUB_ALLOWED_HOSTS": "Proxy.example",
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**kept, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout) == [
        "http://[fd00::5]/monitoring/hub",
        ["[fd00::5]", "proxy.example"],
        ["http://[fd00::5]"],
        "/monitoring/hub",
        "/monitoring/hub/static/",
        "/monitoring/hub",
        "/monitoring/hub",
    ]


# Signs in with a wrong password as a browser does; prints the statuses of the page and the form.
_SIGN_IN = """
import re, sys, django
django.setup()
from django.test import Client
host, origin, proto = sys.argv[1:]
client = Client(enforce_csrf_checks=True, headers={"host": host, "x-forwarded-proto": proto})
page = client.get("/admin/login/")
found = re.search(r'csrfmiddlewaretoken" value="([^"]+)"', page.content.decode())
form = {"username": "nobody", "password": "wrong", "csrfmiddlewaretoken": found[1] if found else ""}
print(page.status_code, client.post("/admin/login/", form, headers={"origin": origin}).status_code)
"""


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process with a migrated database."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    variables = {
        **kept,
        "DJANGO_SETTINGS_MODULE": "hub.settings",
        "HUB_DATA_DIR": str(tmp_path_factory.mktemp("data")),
        "HUB_SECRET_KEY": "a-key-of-this-test",
        "HUB_ENCRYPTION_KEYS": "A" * 43 + "=",
    }
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "-v", "0"], env=variables, check=True, timeout=300
    )
    return variables


@pytest.mark.parametrize(
    ("external", "host", "origin", "proto"),
    [
        # A proxy that forwards with the hub's own address as Host, as nginx does without proxy_set_header Host.
        ("http://hub.example.com", "127.0.0.1:9580", "http://hub.example.com", "http"),
        ("http://hub.example.com:8080", "localhost:9580", "http://hub.example.com:8080", "http"),
        ("https://hub.example.com", "127.0.0.1:9580", "https://hub.example.com", "https"),
        # A proxy that doesn't report that it terminates TLS.
        ("https://hub.example.com", "hub.example.com", "https://hub.example.com", ""),
        ("https://LocalHost", "localhost", "https://localhost", "https"),
        ("https://hub.example.com:443", "hub.example.com", "https://hub.example.com", "https"),
        ("http://[FD00::5]:9580", "[fd00::5]:9580", "http://[fd00::5]:9580", "http"),
        (
            "https://bücher.example",
            "xn--bcher-kva.example",
            "https://xn--bcher-kva.example",
            "https",
        ),
        ("http://hub.example.com/monitoring/hub", "127.0.0.1:9580", "http://hub.example.com", "http"),
    ],
)
def test_people_can_sign_in_under_each_form_of_an_address(
    migrated: dict[str, str], external: str, host: str, origin: str, proto: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _SIGN_IN, host, origin, proto],
        env={**migrated, "HUB_EXTERNAL_URL": external},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.strip() == "200 200", done.stderr[-2000:]


def test_a_form_from_another_origin_is_refused(migrated: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SIGN_IN, "hub.example.com", "https://evil.example", "https"],
        env={**migrated, "HUB_EXTERNAL_URL": "https://hub.example.com"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.strip() == "200 403"
