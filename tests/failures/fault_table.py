"""Every way in which a scrape can fail, each with its real fault: what Prometheus sees, and what to do.

`python -m tests.failures.fault_table` prints the table of docs/failures.md.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from simulator import SimulatedNamespace, Simulator

Prepare = Callable[[SimulatedNamespace], None]


@dataclass(frozen=True)
class Row:
    name: str  # of the namespace with this fault
    fault: str
    reason: str  # empty: no failure
    log: str  # the hub's log message after "Scrapes of <namespace> fail: "
    to_do: str
    prepare: Prepare = lambda bus: None
    shown: str = "nothing else"  # in addition to servicebus_up and servicebus_scrape_*
    own_port: bool = False  # a connection fault applies to a whole port
    host: str = ""  # replaces the simulated one
    limits: dict[str, Any] = field(default_factory=dict)
    entra: bool = False  # a client secret instead of the key


def fault(kind: str, **options: Any) -> Prepare:
    def prepare(bus: SimulatedNamespace) -> None:
        bus.faults.set(kind, **options)

    return prepare


def token_endpoint(kind: str) -> Prepare:
    def prepare(bus: SimulatedNamespace) -> None:
        bus.identity.faults.set(kind)

    return prepare


_HOST = "Check the host; a proxy in between may be answering instead of the namespace."
_KEY = "Enter a valid key with the Manage right in the credential (docs/azure-permissions.md)."
_SLOW = "Look at Azure's status page. The hub retries at the next scrape; no other namespace is delayed."
_THROTTLED = (
    "Lower requests per second, scrape less often, or leave entities out. The hub has slowed down by itself."
)
_PARTS = "queues and topics, and the subscriptions that were read"

ROWS = (
    Row(
        "no-such-name",
        "the host's name doesn't resolve",
        "dns",
        "does not resolve",
        "Check the spelling, and the private DNS zone of a private endpoint.",
        host="no-such-name-anywhere.servicebus.windows.net",
    ),
    Row(
        "refused",
        "the connection is refused",
        "connection",
        "can't be reached",
        "Check firewalls, the port and the private endpoint.",
        fault("refuse"),
        own_port=True,
    ),
    Row(
        "reset",
        "the connection is reset",
        "connection",
        "closed the connection without a response",
        "Check firewalls and proxies in between.",
        fault("reset"),
    ),
    Row(
        "unknown-ca",
        "the certificate's CA is not known",
        "tls",
        "was rejected",
        "Behind a TLS proxy, set HUB_CA_FILE to a file with its CA certificate. Certificates are always verified.",
        fault("unknown_ca"),
        own_port=True,
    ),
    Row(
        "wrong-host",
        "the certificate is another host's",
        "tls",
        "was rejected",
        "Check the host; it must be the namespace's own name, even with a private endpoint.",
        fault("wrong_host"),
        own_port=True,
    ),
    Row("refused-key", "401", "unauthorized", "rejected the credential (401)", _KEY, fault("unauthorized")),
    Row(
        "refused-key-bare",
        "401 without a body",
        "unauthorized",
        "rejected the credential (401)",
        _KEY,
        fault("unauthorized", body="empty"),
    ),
    Row(
        "forbidden",
        "403",
        "forbidden",
        "denied access (403)",
        "Assign the identity a role on the namespace, or allow the hub's address in its firewall.",
        fault("forbidden"),
    ),
    Row(
        "no-namespace",
        "404 of the namespace",
        "not_found",
        "The namespace or entity doesn't exist (404)",
        "Check the host and the connection string's EntityPath; the namespace may have been deleted.",
        fault("not_found"),
    ),
    Row(
        "topic-gone",
        "a topic is deleted between the listing and its subscriptions",
        "",
        "",
        "Nothing: the topic no longer has series either.",
        fault("delete_topic", topic="events"),
        shown="everything else; `servicebus_up` stays 1",
    ),
    Row(
        "throttled",
        "429 with Retry-After",
        "throttled",
        "Service Bus is throttling requests",
        _THROTTLED,
        fault("throttle", retry_after=30),
    ),
    Row(
        "throttled-bare",
        "429 without Retry-After",
        "throttled",
        "Service Bus is throttling requests",
        _THROTTLED,
        fault("throttle"),
    ),
    Row(
        "unavailable",
        "503",
        "throttled",
        "Service Bus is throttling requests",
        _THROTTLED,
        fault("unavailable"),
    ),
    Row(
        "fault-500",
        "500",
        "server_error",
        "returned a server error (status 500)",
        _SLOW,
        fault("server_error"),
    ),
    Row(
        "only-subscriptions",
        "500 for subscriptions alone",
        "server_error",
        "returned a server error (status 500)",
        _SLOW,
        fault("server_error", path="*/subscriptions"),
        shown="queues and topics",
    ),
    Row("html", "HTML instead of XML", "malformed", "", _HOST, fault("html")),
    Row(
        "redirect",
        "a redirect",
        "malformed",
        "sent a redirect (status 307)",
        _HOST,
        fault("redirect"),
    ),
    Row("empty", "an empty body", "malformed", "", _HOST, fault("empty")),
    Row("truncated", "XML that stops in the middle", "malformed", "", _HOST, fault("truncated")),
    Row(
        "cut",
        "the connection ends in the middle of a body",
        "connection",
        "in the middle of a response",
        "Check firewalls and proxies in between.",
        fault("cut"),
    ),
    Row(
        "endless",
        "an endless body",
        "too_large",
        "is larger than",
        _HOST,
        fault("endless"),
    ),
    Row(
        "odd-count",
        "a count that is negative, or a value or an amount that Service Bus never sends (docs/limits.md)",
        "malformed",
        "has an entity with a value that can't be read",
        _HOST,
        lambda bus: bus.topics["news"].update(active=-5),
        shown="everything but topics and subscriptions",
    ),
    Row("bomb", "XML whose entities expand to gigabytes", "malformed", "", _HOST, fault("bomb")),
    Row(
        "gzip-bomb", "a compressed body that expands to gigabytes", "malformed", "", _HOST, fault("gzip_bomb")
    ),
    Row(
        "trickle",
        "a body that comes byte by byte",
        "timeout",
        "The read was not complete at the deadline",
        _SLOW,
        fault("trickle", path="*/subscriptions"),
        shown=_PARTS,
    ),
    Row(
        "hang",
        "no answer after the handshake",
        "timeout",
        "The read was not complete at the deadline",
        _SLOW,
        fault("hang"),
    ),
    Row(
        "hang-handshake",
        "no answer before the handshake",
        "timeout",
        "The read was not complete at the deadline",
        "Check firewalls that silently drop packets, and the private endpoint.",
        fault("hang_handshake"),
        own_port=True,
    ),
    Row(
        "recreated",
        "all queues are deleted and created under other names between two pages of their listing, again and again",
        "changed",
        "Entities were added or deleted so fast that a listing could not be read completely",
        "Scrape again when the deployment or clean-up is over. A few changes at a time do no harm.",
        fault("recreated"),
        shown="topics and subscriptions, and the queues that were read",
    ),
    Row(
        "no-token",
        "the token endpoint is down",
        "credential",
        "the token endpoint can't be reached",
        "Let the hub reach the login host (Entra ID), and look at Azure's status page.",
        token_endpoint("disconnect"),
        entra=True,
    ),
    Row(
        "no-budget",
        "the budget doesn't allow a complete read in time",
        "budget",
        "budget for management requests does not allow more",
        "Raise requests per second, leave entities out, or scrape less often.",
        shown="what the budget did allow",
        limits={"requests_per_second": 0.1, "burst": 1},
    ),
    Row(
        "no-counts",
        "entities without CountDetails, which Service Bus omits while it throttles",
        "",
        "",
        "Nothing: the counts are back with the next scrape.",
        fault("no_counts"),
        shown="everything but the counts that are not known; `servicebus_up` stays 1",
    ),
)

# Tested separately, because it needs its own hub.
OVERLOADED = Row(
    "overloaded",
    "the hub has more to read than it can finish in time",
    "overloaded",
    "Refusing scrapes (overloaded)",
    "Give it more CPU, add a replica, scrape less often, or set `cache_seconds` where several servers scrape the same "
    "namespaces.",
)


def _limits(row: Row) -> dict[str, Any]:
    # Less than Prometheus's timeout by more than a busy machine takes to answer.
    return {"limits": {"timeout_seconds": 12, **row.limits}}


def build(simulator: Simulator, rows: tuple[Row, ...] = ROWS) -> tuple[dict[str, Any], dict[str, str]]:
    """Add a namespace for each row to the simulator; return a hub.yaml for them and its environment variables."""
    config: dict[str, Any] = {"teams": [{"name": "load"}], "credentials": [], "namespaces": [], "tokens": []}
    variables: dict[str, str] = {}
    for number, row in enumerate(rows):
        bus = simulator.add_namespace(row.name)
        bus.add_queue("orders", active=3)
        bus.add_topic("events").add_subscription("billing", active=2)
        bus.add_topic("news").add_subscription("all")
        secret = bus.own_connection_string if row.own_port else bus.connection_string
        if row.host:
            secret = secret.replace(bus.host, row.host)
        credential: dict[str, Any] = {
            "name": row.name,
            "team": "load",
            "kind": "connection_string",
            "secret": {"env": f"MATRIX_{number}"},
        }
        if row.entra:
            application = simulator.identity.add_application()
            bus.grant(application)
            secret = application.add_secret()
            credential |= {
                "kind": "client_secret",
                "tenant_id": simulator.identity.tenant,
                "client_id": application.client_id,
                "authority": simulator.identity.authority.removeprefix("https://"),
                "hosts": [bus.host],
            }
        variables[f"MATRIX_{number}"] = secret
        host = {"host": bus.host} if row.entra else {}  # otherwise the connection string's
        config["credentials"].append(credential)
        config["namespaces"].append(
            {"name": row.name, "team": "load", "credential": row.name, **host, **_limits(row)}
        )
        row.prepare(bus)
    config["tokens"].append({"name": "prometheus", "scope": "all_teams", "token": {"env": "MATRIX_TOKEN"}})
    return config, variables


def table() -> str:
    """Return the matrix as the Markdown table of docs/failures.md."""
    lines = [
        "| fault | reason | what else Prometheus gets | the log says | what to do |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in (*ROWS, OVERLOADED):
        reason = f"`{row.reason}`" if row.reason else "none"
        log = f"… {row.log} …" if row.log else "why the page was rejected" if row.reason else "nothing"
        lines.append(f"| {row.fault} | {reason} | {row.shown} | {log} | {row.to_do} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")  # noqa: T201
