"""Every fault as it arrives on the wire."""

import http.client
import socket
import ssl
import time
from collections.abc import Iterator

import pytest

from simulator import SimulatedNamespace, Simulator

from .asking import connection, get, listing

LISTING = "/$Resources/queues?api-version=2021-05"


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def simulator(certificates: str, request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """Run on both event loops, because faults reach down to the transports, which differ."""
    with Simulator(directory=certificates, fast=request.param).running() as simulator:
        yield simulator


@pytest.fixture
def namespace(namespace: SimulatedNamespace) -> SimulatedNamespace:
    for number in range(250):
        namespace.add_queue(f"queue-{number:03}", active=number)
    namespace.add_topic("events").add_subscription("billing")
    return namespace


def _works(namespace: SimulatedNamespace) -> bool:
    return get(namespace, LISTING).status == 200


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("throttle", 429),
        ("unavailable", 503),
        ("unauthorized", 401),
        ("forbidden", 403),
        ("not_found", 404),
        ("server_error", 500),
    ],
)
def test_a_status_comes_with_the_services_error_body(
    namespace: SimulatedNamespace, kind: str, status: int
) -> None:
    namespace.faults.set(kind)
    reply = get(namespace, LISTING)
    assert reply.status == status
    assert reply.value("Code") == str(status)
    assert "Retry-After" not in reply.headers
    assert namespace.requests.by_status == {status: 1}


def test_a_status_can_come_bare_or_as_a_page_or_with_a_retry_after(namespace: SimulatedNamespace) -> None:
    namespace.faults.set("unauthorized", body="empty", times=1)
    namespace.faults.set("unavailable", body="html", retry_after=7, times=1)
    namespace.faults.set("status", status=418, detail="Short and stout.", times=1)
    bare = get(namespace, LISTING)
    assert (bare.status, bare.body) == (401, b"")
    page = get(namespace, LISTING)
    assert (page.status, page.headers["Retry-After"]) == (503, "7")
    assert page.body.startswith(b"<!DOCTYPE html>")
    assert (get(namespace, LISTING).value("Detail") or "").startswith("Short and stout.")
    assert _works(namespace)


def test_a_fault_holds_for_a_path_and_a_number_of_requests(namespace: SimulatedNamespace) -> None:
    fault = namespace.faults.set("server_error", path="/*/Subscriptions", times=2, after=1)
    path = "/events/subscriptions?api-version=2021-05"
    assert _works(namespace)
    assert [get(namespace, path).status for _ in range(4)] == [200, 500, 500, 200]
    assert fault.hits == 2


def test_faults_are_removed_by_kind_or_altogether(namespace: SimulatedNamespace) -> None:
    namespace.faults.set("throttle")
    namespace.faults.set("forbidden")
    namespace.faults.clear("throttle")
    assert get(namespace, LISTING).status == 403
    namespace.faults.clear()
    assert _works(namespace)


def test_a_refused_connection(namespace: SimulatedNamespace) -> None:
    port = namespace.own_port()
    with connection(namespace, host=namespace.own_host) as open_before:
        open_before.connect()
        namespace.faults.set("refuse")
        with pytest.raises(ConnectionRefusedError):
            get(namespace, LISTING, host=namespace.own_host)
    namespace.faults.clear()
    assert namespace.own_port() == port
    assert get(namespace, LISTING, host=namespace.own_host).status == 200


def test_a_connection_that_hangs_before_the_handshake(namespace: SimulatedNamespace) -> None:
    namespace.own_port()
    namespace.faults.set("hang_handshake")
    with pytest.raises(TimeoutError, match="handshake"):
        get(namespace, LISTING, host=namespace.own_host, timeout=0.5)
    namespace.faults.clear()
    assert get(namespace, LISTING, host=namespace.own_host).status == 200


@pytest.mark.parametrize("kind", ["refuse", "hang_handshake"])
def test_a_shared_port_can_neither_refuse_nor_hang(namespace: SimulatedNamespace, kind: str) -> None:
    with pytest.raises(ValueError, match="own_port"):
        namespace.faults.set(kind)
    assert _works(namespace)


@pytest.mark.parametrize(
    ("kind", "message"),
    [("unknown_ca", "unable to get local issuer|self-signed"), ("wrong_host", "Hostname mismatch")],
)
@pytest.mark.parametrize("own", [False, True])
def test_a_certificate_that_must_not_be_trusted(
    simulator: Simulator, namespace: SimulatedNamespace, kind: str, message: str, own: bool
) -> None:
    other = simulator.add_namespace("other")
    host = namespace.own_host if own else namespace.host
    namespace.faults.set(kind)
    with pytest.raises(ssl.SSLCertVerificationError, match=message):
        get(namespace, LISTING, host=host)
    assert get(other, LISTING).status == 200
    namespace.faults.clear()
    assert get(namespace, LISTING, host=host).status == 200


def test_a_reset_connection(namespace: SimulatedNamespace) -> None:
    namespace.faults.set("reset", times=1)
    with pytest.raises(ConnectionResetError):
        get(namespace, LISTING)
    assert namespace.requests.by_status == {0: 1}
    assert _works(namespace)


def test_a_connection_closed_without_an_answer(namespace: SimulatedNamespace) -> None:
    namespace.faults.set("disconnect", times=1)
    with pytest.raises(http.client.RemoteDisconnected, match="without response"):
        get(namespace, LISTING)
    assert _works(namespace)


def test_an_answer_that_never_comes(namespace: SimulatedNamespace) -> None:
    namespace.faults.set("hang", times=1)
    with pytest.raises(TimeoutError):
        get(namespace, LISTING, timeout=0.5)
    assert _works(namespace)


def test_an_html_page_an_empty_body_and_a_bomb(namespace: SimulatedNamespace) -> None:
    namespace.faults.set("html", times=1)
    namespace.faults.set("empty", times=1)
    namespace.faults.set("bomb", times=1)
    page = get(namespace, LISTING)
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert get(namespace, LISTING).body == b""
    bomb = get(namespace, LISTING).body
    assert b"<!DOCTYPE" in bomb
    assert bomb.count(b"<!ENTITY") == 10
    assert len(bomb) < 2000


def test_a_cut_body_breaks_its_promise(namespace: SimulatedNamespace) -> None:
    whole = len(get(namespace, LISTING).body)
    namespace.faults.set("cut", at=0.3)
    with pytest.raises(http.client.IncompleteRead) as caught:
        get(namespace, LISTING)
    assert len(caught.value.partial) == int(whole * 0.3)


def test_a_truncated_body_is_whole_http_and_half_xml(namespace: SimulatedNamespace) -> None:
    whole = len(get(namespace, LISTING).body)
    namespace.faults.set("truncated")
    reply = get(namespace, LISTING)
    assert reply.status == 200
    assert abs(len(reply.body) - whole / 2) < 20
    assert not reply.body.endswith(b"</feed>")


def test_an_endless_body(namespace: SimulatedNamespace) -> None:
    namespace.faults.set("endless")
    with connection(namespace) as opened:
        opened.request("GET", LISTING, headers={"Authorization": namespace.shared_access_signature()})
        response = opened.getresponse()
        assert len(response.read(3_000_000)) == 3_000_000
        response.close()
    namespace.faults.clear()
    assert _works(namespace)


def test_a_trickled_body_arrives_byte_by_byte(namespace: SimulatedNamespace) -> None:
    namespace.faults.set("trickle", chunk=1, interval=0.05)
    with connection(namespace, timeout=5) as opened:
        opened.request("GET", LISTING, headers={"Authorization": namespace.shared_access_signature()})
        response = opened.getresponse()
        begun = time.monotonic()
        assert response.read(10) == b"<feed xmln"
        assert time.monotonic() - begun > 0.3
        response.close()


def test_a_late_answer(namespace: SimulatedNamespace) -> None:
    namespace.faults.set("delay", seconds=0.5, times=1)
    begun = time.monotonic()
    assert _works(namespace)
    assert time.monotonic() - begun > 0.45


def test_latency_concerns_every_answer(namespace: SimulatedNamespace) -> None:
    namespace.latency = 0.3
    begun = time.monotonic()
    assert _works(namespace)
    assert time.monotonic() - begun > 0.25


def test_a_redirect_to_another_host(namespace: SimulatedNamespace) -> None:
    namespace.faults.set("redirect")
    reply = get(namespace, LISTING)
    assert reply.status == 307
    assert reply.headers["Location"].startswith("https://elsewhere.example/$Resources/queues")


def test_missing_counts(namespace: SimulatedNamespace) -> None:
    namespace.faults.set("no_counts", times=1)
    reply = get(namespace, LISTING)
    assert len(reply.titles) == 100
    assert reply.value("CountDetails") is None
    assert reply.value("MessageCount") is not None
    assert b"CountDetails" in get(namespace, LISTING).body


def test_entities_that_repeat_or_are_skipped_between_pages(namespace: SimulatedNamespace) -> None:
    assert len(listing(namespace, "/$Resources/queues")) == 250
    namespace.faults.set("shifted", by=2)
    titles = listing(namespace, "/$Resources/queues")
    assert titles[98:102] == ["queue-098", "queue-099", "queue-098", "queue-099"]
    namespace.faults.clear()
    namespace.faults.set("shifted", by=-2)
    titles = listing(namespace, "/$Resources/queues")
    assert titles[98:102] == ["queue-098", "queue-099", "queue-102", "queue-103"]


def test_queues_that_are_recreated_between_pages(namespace: SimulatedNamespace) -> None:
    namespace.faults.set("recreated", number=120)
    first, second = get(namespace, LISTING).titles, get(namespace, LISTING).titles
    assert (len(first), len(second)) == (100, 100)
    assert set(first).isdisjoint(second)
    namespace.faults.clear()
    assert get(namespace, LISTING).titles == second


def test_a_next_link_to_another_host(namespace: SimulatedNamespace) -> None:
    namespace.faults.set("next_link", host="evil.example")
    link = get(namespace, LISTING).next_link
    assert link is not None
    assert link.startswith("https://evil.example/$Resources/queues?%24skip=100")


def test_a_topic_deleted_between_the_listing_and_its_subscriptions(namespace: SimulatedNamespace) -> None:
    namespace.faults.set("delete_topic", topic="events", times=1)
    assert get(namespace, "/$Resources/topics?api-version=2021-05").titles == ["events"]
    assert get(namespace, "/events/subscriptions?api-version=2021-05").status == 404
    assert get(namespace, "/$Resources/topics?api-version=2021-05").titles == []


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("explode", {}, "unknown fault 'explode'; known are bomb, cut"),
        (
            "throttle",
            {"retry_afer": 3},
            "no option retry_afer; its options: status, body, retry_after, detail",
        ),
        ("unknown_ca", {"path": "/x"}, "before a path is known"),
        ("delete_topic", {}, "needs the option topic"),
    ],
)
def test_a_fault_that_can_not_be_set_says_why(
    namespace: SimulatedNamespace, kind: str, options: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        namespace.faults.set(kind, **options)  # type: ignore[arg-type]
    assert not list(namespace.faults)


def test_a_stopped_simulator_lets_go_of_hanging_clients(certificates: str) -> None:
    simulator = Simulator(directory=certificates)
    namespace = simulator.add_namespace("payments")
    namespace.faults.set("hang")
    with connection(namespace, timeout=10) as waiting:
        with simulator.running():
            waiting.request("GET", LISTING)
            half_open = socket.create_connection(("127.0.0.1", simulator.port))
            while not namespace.requests.in_flight:
                time.sleep(0.01)
            begun = time.monotonic()
        assert time.monotonic() - begun < 5
        half_open.close()
        with pytest.raises((ConnectionError, http.client.HTTPException, ssl.SSLError)):
            waiting.getresponse()
