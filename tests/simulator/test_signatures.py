import time

import pytest

from simulator import SimulatedNamespace
from simulator.signatures import sign
from tests.support import programs

from .asking import get

LISTING = "/$Resources/queues?api-version=2021-05"


def _refused(namespace: SimulatedNamespace, authorization: str | None, path: str = LISTING) -> str:
    reply = get(namespace, path, authorization=authorization)
    assert reply.status == 401
    assert (reply.value("Detail") or "").startswith("claim is empty. TrackingId:")
    return list(namespace.requests)[-1].refused


def test_a_key_with_manage_reads(namespace: SimulatedNamespace) -> None:
    namespace.add_key("hub", {"Manage", "Send", "Listen"})
    assert (
        get(namespace, LISTING, authorization=namespace.shared_access_signature(key_name="hub")).status == 200
    )


def test_a_wrong_key_is_refused(namespace: SimulatedNamespace) -> None:
    header = sign(f"https://{namespace.host}/", namespace.key_name, "not the key", int(time.time()) + 60)
    assert _refused(namespace, header) == "wrong signature"


def test_an_unknown_key_name_is_refused(namespace: SimulatedNamespace) -> None:
    header = sign(f"https://{namespace.host}/", "nobody", namespace.key, int(time.time()) + 60)
    assert _refused(namespace, header) == "unknown key name"


def test_an_expired_signature_is_refused(namespace: SimulatedNamespace) -> None:
    assert _refused(namespace, namespace.shared_access_signature(lifetime=-1)) == "expired signature"


def test_an_expiry_that_was_moved_is_refused(namespace: SimulatedNamespace) -> None:
    expiry = int(time.time()) - 10
    header = sign(f"https://{namespace.host}/", namespace.key_name, namespace.key, expiry)
    assert _refused(namespace, header.replace(str(expiry), str(expiry + 1000))) == "wrong signature"


def test_a_key_without_manage_is_refused(namespace: SimulatedNamespace) -> None:
    namespace.add_key("listen-only", {"Listen"})
    header = namespace.shared_access_signature(key_name="listen-only")
    assert _refused(namespace, header) == "the key has no Manage right"


@pytest.mark.parametrize("header", [None, "Basic eDp5", "SharedAccessSignature sr=a&se=1", "Bearer x.y.z"])
def test_what_is_no_credential_is_refused(namespace: SimulatedNamespace, header: str | None) -> None:
    assert _refused(namespace, header)


def test_a_signature_holds_for_what_lies_below_its_uri(namespace: SimulatedNamespace) -> None:
    namespace.add_topic("events").add_subscription("billing")
    namespace.add_topic("events-2")
    header = namespace.shared_access_signature(path="events")
    for path in (
        "/events",
        "/events/subscriptions",
        "/events/subscriptions/billing",
        "/Events/subscriptions",
    ):
        assert get(namespace, f"{path}?api-version=2021-05", authorization=header).status == 200
    assert _refused(namespace, header) == "the signature is for another URI"
    assert _refused(namespace, header, "/events-2/subscriptions?api-version=2021-05")


def test_a_signature_for_another_namespace_is_refused(namespace: SimulatedNamespace) -> None:
    header = namespace.shared_access_signature(host="other.servicebus.localhost")
    assert _refused(namespace, header) == "the signature is for another URI"


def test_the_port_may_be_left_out_of_the_signed_uri(namespace: SimulatedNamespace) -> None:
    header = namespace.shared_access_signature(host="payments.servicebus.localhost")
    assert get(namespace, LISTING, authorization=header).status == 200


def test_an_entitys_key_reads_that_entity_and_nothing_else(namespace: SimulatedNamespace) -> None:
    namespace.add_queue("orders")
    namespace.add_queue("invoices")
    connection_string = namespace.add_key("reader", {"Manage"}, entity_path="orders")
    assert connection_string.endswith(";EntityPath=orders")
    key = namespace.queues["orders"].keys[0].key
    header = sign(f"https://{namespace.host}/", "reader", key, int(time.time()) + 60)
    assert get(namespace, "/orders?api-version=2021-05", authorization=header).status == 200
    assert _refused(namespace, header) == "unknown key name"
    assert _refused(namespace, header, "/invoices?api-version=2021-05") == "unknown key name"


def test_a_replaced_key_works_no_more(namespace: SimulatedNamespace) -> None:
    header = namespace.shared_access_signature()
    assert get(namespace, LISTING, authorization=header).status == 200
    namespace.add_key(namespace.key_name)
    assert _refused(namespace, header) == "wrong signature"
    assert get(namespace, LISTING).status == 200


def test_the_refusal_looks_like_the_recorded_one(namespace: SimulatedNamespace) -> None:
    recorded = (programs.require_recordings() / "error_401_claim_is_empty.xml").read_text()
    sent = get(namespace, "/$Resources/queues", authorization=None).body.decode()
    for text in (recorded, sent):
        assert text.startswith("<Error><Code>401</Code><Detail>claim is empty. TrackingId:")
        assert ":$Resources/queues, Timestamp:" in text
        assert text.strip().endswith("</Detail></Error>")
