"""Every metric of a namespace, declared once: name, help, labels, group, and how to get its value from a snapshot."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

# A namespace can switch off all groups except `messages` (counts by state, sizes) and `scrape`.
MESSAGES = "messages"
SCRAPE = "scrape"
COUNTS = "counts"
TIMES = "times"
STATE = "state"
SETTINGS = "settings"
INFO = "info"
NAMESPACE = "namespace"
GROUPS = (COUNTS, TIMES, STATE, SETTINGS, INFO, NAMESPACE)
DEFAULT_GROUPS = frozenset(GROUPS) - {INFO}

QUEUE = "queue"
TOPIC = "topic"
SUBSCRIPTION = "subscription"

ENTITY_LABELS = {QUEUE: ("name",), TOPIC: ("name",), SUBSCRIPTION: ("name", "topic_name")}


@dataclass(frozen=True, slots=True)
class EntityMetric:
    """A gauge with one sample for each entity of a kind for which the service reported the value."""

    name: str
    help: str
    kind: str
    group: str
    read: Callable[[Any], Any]  # from the entity, or from its Counts if `of_counts`; None: no sample
    absent: str  # when there is no sample
    of_counts: bool = False
    # Labels in addition to the entity's own. None: no sample.
    extra_labels: Callable[[Any], dict[str, str] | None] | None = None
    extra_label_names: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        return (*ENTITY_LABELS[self.kind], *self.extra_label_names)


@dataclass(frozen=True, slots=True)
class ScrapeMetric:
    """A gauge about the namespace as a whole or about the scrape itself; the collector makes its samples."""

    name: str
    help: str
    group: str
    labels: tuple[str, ...] = ()
    absent: str = "never"


_STATES = (
    ("active", "Number of messages ready to be received."),
    ("dead_letter", "Number of messages in the dead-letter queue."),
    ("scheduled", "Number of messages scheduled for later delivery."),
    ("transfer", "Number of messages pending transfer to another entity (auto-forwarding, send via)."),
    ("transfer_dead_letter", "Number of messages that could not be transferred to another entity."),
)
_NO_COUNTS = "Service Bus omitted the counts, as it does while throttling"


def _one(entity: Any) -> int:
    return 1


def _status_labels(entity: Any) -> dict[str, str] | None:
    return {"status": entity.status} if entity.status else None


def _info_labels(entity: Any) -> dict[str, str]:
    labels = {}
    for name in ("forward_to", "forward_dead_lettered_messages_to"):
        if hasattr(entity, name):
            labels[name] = getattr(entity, name) or ""
    for name in ("requires_session", "partitioned"):
        if hasattr(entity, name):
            value = getattr(entity, name)
            labels[name] = "" if value is None else str(value).lower()
    return labels


_INFO_LABELS = {
    QUEUE: ("forward_to", "forward_dead_lettered_messages_to", "requires_session", "partitioned"),
    TOPIC: ("partitioned",),
    SUBSCRIPTION: ("forward_to", "forward_dead_lettered_messages_to", "requires_session"),
}


def _declare(kind: str) -> list[EntityMetric]:
    prefix, of = f"servicebus_{kind}", f"of the {kind}"
    stores = kind in {QUEUE, TOPIC}
    receives = kind in {QUEUE, SUBSCRIPTION}
    unsaid = "Service Bus did not return it"

    def field(name: str, help_text: str, group: str, attribute: str, absent: str = unsaid) -> EntityMetric:
        return EntityMetric(f"{prefix}_{name}", help_text, kind, group, attrgetter(attribute), absent)

    declared = [
        EntityMetric(
            f"{prefix}_{state}_messages", text, kind, MESSAGES, attrgetter(state), _NO_COUNTS, of_counts=True
        )
        for state, text in _STATES
    ]
    if stores:
        declared += [
            field("size_bytes", f"Size {of} in bytes.", MESSAGES, "size_bytes"),
            field("max_size_bytes", f"Maximum size {of} in bytes.", MESSAGES, "max_size_bytes"),
        ]
    if receives:
        declared.append(
            field(
                "messages",
                "Number of messages in all states, as totalled by Service Bus (MessageCount).",
                COUNTS,
                "messages",
            )
        )
    else:
        declared.append(
            field("subscriptions", "Number of subscriptions of the topic.", COUNTS, "subscription_count")
        )
    declared += [
        field(
            "created_timestamp_seconds", f"Time when the {kind} was created, in Unix time.", TIMES, "created"
        ),
        field(
            "updated_timestamp_seconds",
            f"Time when the settings {of} were last changed, in Unix time.",
            TIMES,
            "updated",
        ),
        field(
            "accessed_timestamp_seconds",
            f"Time of the last send to or receive from the {kind}, in Unix time.",
            TIMES,
            "accessed",
            "it was never accessed",
        ),
        EntityMetric(
            f"{prefix}_status",
            f"Status {of} as a label (active, disabled, send_disabled, receive_disabled, ...); always 1.",
            kind,
            STATE,
            _one,
            unsaid,
            extra_labels=_status_labels,
            extra_label_names=("status",),
        ),
    ]
    if receives:
        declared += [
            # The service calls it MaxDeliveryCount; promtool reserves the suffix _count for histograms and summaries.
            field(
                "max_deliveries",
                "Number of deliveries after which a message is dead-lettered.",
                SETTINGS,
                "max_delivery_count",
            ),
            field(
                "lock_duration_seconds",
                "Time for which a received message is locked.",
                SETTINGS,
                "lock_duration_seconds",
            ),
        ]
    declared += [
        field(
            "default_message_ttl_seconds",
            "Default time to live of a message.",
            SETTINGS,
            "default_message_ttl_seconds",
            "messages never expire",
        ),
        EntityMetric(
            f"{prefix}_info",
            f"Settings {of} as labels; always 1.",
            kind,
            INFO,
            _one,
            "never",
            extra_labels=_info_labels,
            extra_label_names=_INFO_LABELS[kind],
        ),
    ]
    return declared


ENTITY_METRICS: tuple[EntityMetric, ...] = tuple(
    metric for kind in (QUEUE, TOPIC, SUBSCRIPTION) for metric in _declare(kind)
)

UP = ScrapeMetric(
    "servicebus_up",
    "Whether the scrape read everything (1) or not (0). Whatever was read is exported in either case.",
    SCRAPE,
)
DURATION = ScrapeMetric("servicebus_scrape_duration_seconds", "Duration of the read in seconds.", SCRAPE)
COLLECTOR_SUCCESS = ScrapeMetric(
    "servicebus_scrape_collector_success",
    "Whether this collector (namespace, queues, topics, subscriptions) read everything (1) or not (0).",
    SCRAPE,
    ("collector",),
    "the collector is not enabled",
)
REQUESTS = ScrapeMetric(
    "servicebus_scrape_requests", "Number of management requests made by the read.", SCRAPE
)
THROTTLED_REQUESTS = ScrapeMetric(
    "servicebus_scrape_throttled_requests",
    "Number of management requests answered with status 429 or 503.",
    SCRAPE,
)
AGE = ScrapeMetric(
    "servicebus_scrape_age_seconds",
    "Age of the read in seconds; 0 unless it was made for an earlier scrape.",
    SCRAPE,
)
OLDEST = ScrapeMetric(
    "servicebus_scrape_oldest_sample_age_seconds",
    "Age of the oldest values in seconds. Exceeds the age of the read if the budget does not allow reading all "
    "subscriptions each time, so that some are carried over.",
    SCRAPE,
    (),
    "nothing was read",
)
BUDGET = ScrapeMetric(
    "servicebus_scrape_budget_requests_per_second",
    "Current limit on management requests per second for the namespace; reduced while Service Bus throttles.",
    SCRAPE,
    (),
    "the read never began",
)
ERROR = ScrapeMetric(
    "servicebus_scrape_error",
    "Reason why something could not be read, as a label; always 1.",
    SCRAPE,
    ("reason",),
    "everything was read",
)
NAMESPACE_INFO = ScrapeMetric(
    "servicebus_namespace_info",
    "SKU of the namespace as a label; always 1.",
    NAMESPACE,
    ("sku",),
    "it was not read",
)
MESSAGING_UNITS = ScrapeMetric(
    "servicebus_namespace_messaging_units",
    "Number of messaging units of a Premium namespace.",
    NAMESPACE,
    (),
    "not Premium",
)
ENTITIES = ScrapeMetric(
    "servicebus_entities",
    "Number of exported entities by kind (queue, topic, subscription).",
    NAMESPACE,
    ("kind",),
    "this kind was not read completely",
)
ENTITIES_LIMIT = ScrapeMetric(
    "servicebus_entities_limit",
    "Maximum number of entities to export, of all kinds (max_entities).",
    NAMESPACE,
)
ENTITIES_DROPPED = ScrapeMetric(
    "servicebus_entities_dropped",
    "Number of entities not exported, by reason: the include and exclude patterns (filtered), a label rule (rule), "
    "listed twice (not counting the overlap of pages) or with a series that label rules made identical to another "
    "(duplicate), above max_entities (limit), or labels above the limits (label_limit).",
    NAMESPACE,
    ("reason",),
    "nothing was read completely",
)
SCRAPE_METRICS: tuple[ScrapeMetric, ...] = (
    UP,
    DURATION,
    COLLECTOR_SUCCESS,
    REQUESTS,
    THROTTLED_REQUESTS,
    AGE,
    OLDEST,
    BUDGET,
    ERROR,
    NAMESPACE_INFO,
    MESSAGING_UNITS,
    ENTITIES,
    ENTITIES_LIMIT,
    ENTITIES_DROPPED,
)

# The names of all labels of a namespace's metrics. A target label with one of these names would hide them.
METRIC_LABELS = frozenset(
    [label for metric in ENTITY_METRICS for label in metric.labels]
    + [label for metric in SCRAPE_METRICS for label in metric.labels]
)
