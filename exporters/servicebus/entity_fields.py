"""Which elements of a queue's, a topic's and a subscription's description are read, and how they are converted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from . import values

DESCRIPTION_NS = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
COUNTS_NS = "http://schemas.microsoft.com/netservices/2011/06/servicebus"

COUNT_NAMES = (
    "ActiveMessageCount",
    "DeadLetterMessageCount",
    "ScheduledMessageCount",
    "TransferMessageCount",
    "TransferDeadLetterMessageCount",
)
# The title in the response to GET of an entity that does not exist; its status is 200.
NOT_FOUND_TITLE = "Publicly Listed Services"

# An entry as read from a page: its title, the texts of the shape's fields, then those of its counts in the order of
# COUNT_NAMES. None: there is no such element.
Texts = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """A description's element, and its child elements that are read, in the order of the entity's own fields."""

    element: str
    fields: Mapping[str, Callable[[str | None], object]]
    converters: tuple[Callable[[str | None], object], ...] = field(init=False)
    # The places in an entry's texts that can hold any character: the title, and the texts that users entered.
    free: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        converters = tuple(self.fields.values())
        free = (0, *(place for place, convert in enumerate(converters, 1) if convert is values.text))
        object.__setattr__(self, "converters", converters)
        object.__setattr__(self, "free", free)


QUEUE = Shape(
    "QueueDescription",
    {
        "Status": values.status,
        "MessageCount": values.integer,
        "SizeInBytes": values.integer,
        "MaxSizeInMegabytes": values.megabytes,
        "CreatedAt": values.timestamp,
        "UpdatedAt": values.timestamp,
        "AccessedAt": values.timestamp,
        "MaxDeliveryCount": values.integer,
        "LockDuration": values.duration,
        "DefaultMessageTimeToLive": values.duration,
        "RequiresSession": values.boolean,
        "EnablePartitioning": values.boolean,
        "ForwardTo": values.text,
        "ForwardDeadLetteredMessagesTo": values.text,
        "UserMetadata": values.text,
    },
)
TOPIC = Shape(
    "TopicDescription",
    {
        "Status": values.status,
        "SizeInBytes": values.integer,
        "MaxSizeInMegabytes": values.megabytes,
        "SubscriptionCount": values.subscription_count,
        "CreatedAt": values.timestamp,
        "UpdatedAt": values.timestamp,
        "AccessedAt": values.timestamp,
        "DefaultMessageTimeToLive": values.duration,
        "EnablePartitioning": values.boolean,
        "UserMetadata": values.text,
    },
)
SUBSCRIPTION = Shape(
    "SubscriptionDescription",
    {
        "Status": values.status,
        "MessageCount": values.integer,
        "CreatedAt": values.timestamp,
        "UpdatedAt": values.timestamp,
        "AccessedAt": values.timestamp,
        "MaxDeliveryCount": values.integer,
        "LockDuration": values.duration,
        "DefaultMessageTimeToLive": values.duration,
        "RequiresSession": values.boolean,
        "ForwardTo": values.text,
        "ForwardDeadLetteredMessagesTo": values.text,
        "UserMetadata": values.text,
    },
)
