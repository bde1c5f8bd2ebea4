"""Oversized requests are refused before they are read: every kind of body at every address of a real hub."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client

from hub.limits import MAX_IMPORT_BYTES, MAX_REQUEST_BYTES
from tests.support.run_command import Running

ADDRESSES = (
    "/admin/login/",
    "/admin/exporters/namespace/import/",
    "/",
    "/metrics",
    "/metrics/x",
    "/sd",
    "/-/healthy",
)
IMPORT = "/admin/exporters/namespace/import/"
BOUNDARY = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Path]]:
    folder = tmp_path_factory.mktemp("uploads")
    temporary = folder / "temporary"
    temporary.mkdir()
    with Running(folder / "data", variables={"TMPDIR": str(temporary), "HUB_WORKERS": "1"}) as hub:
        yield hub, temporary


def _ask(hub: Running, head: str, pieces: list[bytes]) -> str:
    """Send a request until it is answered or the connection ends; return the first line of the response."""
    with socket.create_connection(("127.0.0.1", hub.port), timeout=20) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n")
        try:
            for piece in pieces:
                connection.sendall(piece)
        except OSError:
            pass  # the hub has answered and closed the connection
        try:
            return connection.recv(4096).decode(errors="replace").partition("\r\n")[0]
        except ConnectionResetError:
            return "reset"


@pytest.mark.e2e
@pytest.mark.parametrize("method", ["POST", "GET", "PUT"])
@pytest.mark.parametrize("address", ADDRESSES)
def test_a_body_of_400_mib_is_refused_before_it_is_stored(
    running: tuple[Running, Path], address: str, method: str
) -> None:
    hub, temporary = running
    before = set(temporary.rglob("*"))
    kind = "multipart/form-data; boundary=b"
    head = (
        f"{method} {address} HTTP/1.1\nHost: localhost\nContent-Type: {kind}\nContent-Length: {400 * 2**20}"
    )
    answer = _ask(hub, head, [BOUNDARY, b"x" * 40_000])
    assert answer.split()[1] == "413"
    assert set(temporary.rglob("*")) <= before | set(temporary.glob("hub-metrics-*/*"))


@pytest.mark.e2e
@pytest.mark.parametrize("address", ADDRESSES)
def test_a_body_in_chunks_is_refused(running: tuple[Running, Path], address: str) -> None:
    hub, _ = running
    head = f"POST {address} HTTP/1.1\nHost: localhost\nTransfer-Encoding: chunked"
    assert _ask(hub, head, [b"10000\r\n" + b"x" * 65536 + b"\r\n"]).split()[1] == "411"


@pytest.mark.e2e
def test_a_client_that_goes_on_sending_is_cut_off_and_the_hub_answers_others(
    running: tuple[Running, Path],
) -> None:
    hub, _ = running
    head = f"POST /admin/login/ HTTP/1.1\nHost: localhost\nContent-Length: {400 * 2**20}"
    answer = _ask(hub, head, [b"x" * 2**20] * 400)
    assert answer == "reset" or answer.split()[1] == "413"
    assert hub.get("/-/healthy")[0] == 200


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("head", "status"),
    [
        (f"GET /{'a' * 5000} HTTP/1.1", "414"),
        (f"GET / HTTP/1.1\nX-Long: {'a' * 9000}", "431"),
        ("GET / HTTP/1.1" + "".join(f"\nX-{number}: a" for number in range(101)), "431"),
    ],
)
def test_a_long_address_and_long_headers_are_refused(
    running: tuple[Running, Path], head: str, status: str
) -> None:
    assert _ask(running[0], head, []).split()[1] == status


def _sign_in(name: str) -> Client:
    browser = Client()
    browser.force_login(User.objects.get(username=name), backend="django.contrib.auth.backends.ModelBackend")
    return browser


def test_only_the_import_of_a_platform_administrator_takes_more(db: None) -> None:
    User.objects.create_superuser("root")
    text = "#" + "x" * (2 * MAX_REQUEST_BYTES) + "\nteams: [{name: billing}]\n"
    anybody, root = Client(), _sign_in("root")
    assert anybody.post(IMPORT, {"text": text, "do": "plan"}).status_code == 413
    assert anybody.post("/admin/login/", {"username": text}).status_code == 413
    answer = root.post(IMPORT, {"text": text, "do": "plan"})
    assert answer.status_code == 200
    assert root.post(IMPORT, {"text": "x" * MAX_IMPORT_BYTES, "do": "plan"}).status_code == 413
    assert root.post("/admin/", {"text": text}).status_code == 413


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "²", "9" * 30, "1 2"])
def test_a_length_that_is_no_number_is_refused(db: None, length: str) -> None:
    answer = Client().post("/admin/login/", {}, CONTENT_LENGTH=length)
    assert answer.status_code in {400, 413}
