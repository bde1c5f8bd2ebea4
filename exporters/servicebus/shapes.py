"""Which elements of a queue's, a topic's and a subscription's description are read, in the service's own terms."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .entities import Counts

DESCRIPTION_NS = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
COUNTS_NS = "http://schemas.microsoft.com/netservices/2011/06/servicebus"

COUNT_NAMES = (
    "ActiveMessageCount",
    "DeadLetterMessageCount",
    "ScheduledMessageCount",
    "TransferMessageCount",
    "TransferDeadLetterMessageCount",
)
# What GET of an entity that does not exist answers, with status 200.
NOT_FOUND_TITLE = "Publicly Listed Services"

Fields = Mapping[str, str]
# As it is read of a page: the entity's name, its fields as texts, its counts (None: unknown).
Entry = tuple[str, Fields, Counts | None]


@dataclass(frozen=True, slots=True)
class Shape:
    """A description's element, and those in it that are read, in the order in which the service writes them."""

    element: str
    fields: tuple[str, ...]

    @property
    def tags(self) -> Iterator[tuple[str, str, int]]:
        """Yield each field with its tag and the tag's length."""
        return ((name, f"<{name}>", len(name) + 2) for name in self.fields)


QUEUE = Shape(
    "QueueDescription",
    (
        "LockDuration",
        "MaxSizeInMegabytes",
        "RequiresSession",
        "DefaultMessageTimeToLive",
        "MaxDeliveryCount",
        "SizeInBytes",
        "MessageCount",
        "Status",
        "ForwardTo",
        "UserMetadata",
        "CreatedAt",
        "UpdatedAt",
        "AccessedAt",
        "EnablePartitioning",
        "ForwardDeadLetteredMessagesTo",
    ),
)
TOPIC = Shape(
    "TopicDescription",
    (
        "DefaultMessageTimeToLive",
        "MaxSizeInMegabytes",
        "SizeInBytes",
        "Status",
        "UserMetadata",
        "CreatedAt",
        "UpdatedAt",
        "AccessedAt",
        "SubscriptionCount",
        "EnablePartitioning",
    ),
)
SUBSCRIPTION = Shape(
    "SubscriptionDescription",
    (
        "LockDuration",
        "RequiresSession",
        "DefaultMessageTimeToLive",
        "MessageCount",
        "MaxDeliveryCount",
        "Status",
        "ForwardTo",
        "UserMetadata",
        "CreatedAt",
        "UpdatedAt",
        "AccessedAt",
        "ForwardDeadLetteredMessagesTo",
    ),
)
# The only ones that can hold a character that XML escapes.
TEXT_FIELDS = frozenset({"ForwardTo", "UserMetadata", "ForwardDeadLetteredMessagesTo"})
