"""Render entities as the Atom XML that the management endpoint sends.

Element names, XML namespaces and their order are those of recorded responses of the real service, for api-versions
2017-04 and 2021-05. Descriptions are cached per entity and pages per collection until something in them changes.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from .entities import SharedKey, SimulatedEntity, SimulatedQueue, SimulatedSubscription, SimulatedTopic
from .values import boolean, duration, moment, now, optional, second

ATOM = "http://www.w3.org/2005/Atom"
_SERVICE_BUS = (
    'xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect" '
    'xmlns:i="http://www.w3.org/2001/XMLSchema-instance"'
)
_COUNTS = 'xmlns:d2p1="http://schemas.microsoft.com/netservices/2011/06/servicebus"'
_MESSAGE_SIZE_KILOBYTES = {"Premium": 1024}  # other SKUs: 256
_PARTITIONS = 16


@dataclass(frozen=True)
class Scene:
    """The context of a response, from which its links and ids are made."""

    namespace: str
    host: str  # as the client requested it, with the port
    path: str  # decoded, with the leading slash
    query: str  # decoded, without the question mark
    api_version: str  # "" if the client named none
    sku: str
    show_counts: bool = True

    @property
    def url(self) -> str:
        return f"https://{self.host}{self.path}" + (f"?{self.query}" if self.query else "")

    @property
    def version_query(self) -> str:
        return f"?api-version={self.api_version}" if self.api_version else ""


def feed(scene: Scene, title: str, entities: Sequence[SimulatedEntity], next_link: str | None) -> bytes:
    """Render one page of a listing."""
    url = escape(scene.url)
    parts = [
        f'<feed xmlns="{ATOM}"><title type="text">{title}</title><id>{url}</id><updated>{second(now())}</updated>'
        f'<link rel="self" href={quoteattr(scene.url)}/>'
    ]
    if next_link is not None:
        parts.append(f'<link rel="next" href={quoteattr(next_link)}/>')
    base = quoteattr(scene.url)
    version = escape(scene.version_query)
    for entity in entities:
        name = escape(entity.name)
        if isinstance(entity, SimulatedSubscription):
            # In the client's spelling: the JavaScript SDK requests "Subscriptions" and looks for it in the id.
            asked = scene.path.strip("/")
            identity = f"{escape(asked)}/{name}"
            link = f"{asked.rpartition('/')[2]}/{entity.name}"
        else:
            identity, link = name, f"../{entity.name}"
        parts.append(
            f"<entry xml:base={base}><id>https://{scene.host}/{identity}{version}</id>"
            + _entry_body(scene, entity, link + scene.version_query)
        )
    parts.append("</feed>")
    return "".join(parts).encode()


def entry(scene: Scene, entity: SimulatedEntity) -> bytes:
    """Render the response to a request for one entity."""
    return (
        f'<entry xmlns="{ATOM}"><id>{escape(scene.url)}</id>' + _entry_body(scene, entity, scene.url)
    ).encode()


def namespace_info(
    scene: Scene,
    *,
    alias: str | None,
    created: dt.datetime,
    modified: dt.datetime,
    messaging_units: int | None,
) -> bytes:
    """Render `$namespaceinfo`: Standard has neither MessagingUnits nor an Alias."""
    name = escape(scene.namespace)
    url = escape(scene.url)
    return (
        f'<entry xmlns="{ATOM}"><id>{url}</id><title type="text">{name}</title><updated>{second(now())}</updated>'
        f'<author><name>{name}</name></author><link rel="self" href={quoteattr(scene.url)}></link>'
        f'<content type="application/xml"><NamespaceInfo {_SERVICE_BUS}>'
        + optional("Alias", alias)
        + f"<CreatedTime>{moment(created)}</CreatedTime><MessagingSKU>{escape(scene.sku)}</MessagingSKU>"
        + optional("MessagingUnits", messaging_units)
        + f"<ModifiedTime>{moment(modified)}</ModifiedTime><Name>{name}</Name>"
        "<NamespaceType>Messaging</NamespaceType></NamespaceInfo></content></entry>"
    ).encode()


def nothing_here() -> bytes:
    """Render the service's response, with status 200, for an entity that doesn't exist."""
    return (
        f'<feed xmlns="{ATOM}"><title type="text">Publicly Listed Services</title>'
        '<subtitle type="text">This is the list of publicly-listed services currently available.</subtitle>'
        f"<id>uuid:81f0e0cf-9549-42a0-aab3-cdaa74bf9f64;id=60741</id><updated>{second(now())}</updated>"
        "<generator>Service Bus 1.1</generator></feed>"
    ).encode()


def error(status: int, detail: str, tracker: str) -> bytes:
    """Render an error body. `tracker`: the value of the service's SystemTracker."""
    stamp = now().strftime("%Y-%m-%dT%H:%M:%S")
    return (
        f"<Error><Code>{status}</Code><Detail>{escape(detail)} "
        f"TrackingId:7f32afa8-25b8-4b18-af74-509d2745fc60_G15, SystemTracker:{escape(tracker)}, Timestamp:{stamp}"
        "</Detail></Error>"
    ).encode()


def _entry_body(scene: Scene, entity: SimulatedEntity, link: str) -> str:
    cache = entity.rendered()
    key = f"{scene.sku} {scene.api_version} {scene.host} {scene.show_counts}"
    content = cache.get(key)
    if content is None:
        content = cache[key] = _content(scene, entity)
    # In recorded responses, subscriptions have no author.
    author = "" if isinstance(entity, SimulatedSubscription) else _author(scene.namespace)
    return (
        f'<title type="text">{escape(entity.name)}</title>'
        f"<published>{second(entity.created)}</published><updated>{second(entity.updated)}</updated>{author}"
        f'<link rel="self" href={quoteattr(link)}/>{content}</entry>'
    )


def _author(namespace: str) -> str:
    return f"<author><name>{escape(namespace)}</name></author>"


def _content(scene: Scene, entity: SimulatedEntity) -> str:
    kind, describe = _DESCRIPTIONS[type(entity)]
    return (
        f'<content type="application/xml"><{kind} {_SERVICE_BUS}>{describe(scene, entity)}</{kind}></content>'
    )


def _queue(scene: Scene, queue: SimulatedQueue) -> str:
    messages = queue.total if queue.messages is None else queue.messages
    return (
        f"<LockDuration>{duration(queue.lock_duration)}</LockDuration>"
        f"<MaxSizeInMegabytes>{_max_size(queue)}</MaxSizeInMegabytes>"
        f"<RequiresDuplicateDetection>{boolean(queue.requires_duplicate_detection)}</RequiresDuplicateDetection>"
        f"<RequiresSession>{boolean(queue.requires_session)}</RequiresSession>"
        f"<DefaultMessageTimeToLive>{duration(queue.default_message_ttl)}</DefaultMessageTimeToLive>"
        f"<DeadLetteringOnMessageExpiration>{boolean(queue.dead_lettering_on_expiration)}"
        "</DeadLetteringOnMessageExpiration>"
        f"<DuplicateDetectionHistoryTimeWindow>{duration(queue.duplicate_detection_window)}"
        "</DuplicateDetectionHistoryTimeWindow>"
        f"<MaxDeliveryCount>{queue.max_delivery_count}</MaxDeliveryCount>"
        f"<EnableBatchedOperations>{boolean(queue.enable_batched_operations)}</EnableBatchedOperations>"
        f"<SizeInBytes>{queue.size_bytes}</SizeInBytes><MessageCount>{messages}</MessageCount>"
        "<IsAnonymousAccessible>false</IsAnonymousAccessible>"
        f"{_authorization_rules(queue.keys)}<Status>{escape(queue.status)}</Status>"
        f"{optional('ForwardTo', _uri(scene, queue.forward_to))}{optional('UserMetadata', queue.user_metadata)}"
        f"{_times(scene, queue)}<SupportOrdering>true</SupportOrdering>{_counts(scene, queue)}"
        f"<AutoDeleteOnIdle>{duration(queue.auto_delete_on_idle)}</AutoDeleteOnIdle>"
        f"<EnablePartitioning>{boolean(queue.partitioned)}</EnablePartitioning>"
        "<EntityAvailabilityStatus>Available</EntityAvailabilityStatus>"
        + optional("ForwardDeadLetteredMessagesTo", _uri(scene, queue.forward_dead_lettered_to))
        + f"<EnableExpress>{boolean(queue.express)}</EnableExpress>{_max_message_size(scene, queue)}"
    )


def _topic(scene: Scene, topic: SimulatedTopic) -> str:
    subscriptions = len(topic.subscriptions) if topic.subscription_count is None else topic.subscription_count
    return (
        f"<DefaultMessageTimeToLive>{duration(topic.default_message_ttl)}</DefaultMessageTimeToLive>"
        f"<MaxSizeInMegabytes>{_max_size(topic)}</MaxSizeInMegabytes>"
        f"<RequiresDuplicateDetection>{boolean(topic.requires_duplicate_detection)}</RequiresDuplicateDetection>"
        f"<DuplicateDetectionHistoryTimeWindow>{duration(topic.duplicate_detection_window)}"
        "</DuplicateDetectionHistoryTimeWindow>"
        f"<EnableBatchedOperations>{boolean(topic.enable_batched_operations)}</EnableBatchedOperations>"
        f"<SizeInBytes>{topic.size_bytes}</SizeInBytes>"
        "<FilteringMessagesBeforePublishing>false</FilteringMessagesBeforePublishing>"
        "<IsAnonymousAccessible>false</IsAnonymousAccessible>"
        f"{_authorization_rules(topic.keys)}<Status>{escape(topic.status)}</Status>{_times(scene, topic)}"
        f"<SupportOrdering>{boolean(topic.support_ordering)}</SupportOrdering>{_counts(scene, topic)}"
        f"<SubscriptionCount>{subscriptions}</SubscriptionCount>"
        f"<AutoDeleteOnIdle>{duration(topic.auto_delete_on_idle)}</AutoDeleteOnIdle>"
        f"<EnablePartitioning>{boolean(topic.partitioned)}</EnablePartitioning>"
        "<EntityAvailabilityStatus>Available</EntityAvailabilityStatus>"
        "<EnableSubscriptionPartitioning>false</EnableSubscriptionPartitioning>"
        f"<EnableExpress>{boolean(topic.express)}</EnableExpress>{optional('UserMetadata', topic.user_metadata)}"
        f"{_max_message_size(scene, topic)}"
    )


def _subscription(scene: Scene, subscription: SimulatedSubscription) -> str:
    messages = subscription.total if subscription.messages is None else subscription.messages
    return (
        f"<LockDuration>{duration(subscription.lock_duration)}</LockDuration>"
        f"<RequiresSession>{boolean(subscription.requires_session)}</RequiresSession>"
        f"<DefaultMessageTimeToLive>{duration(subscription.default_message_ttl)}</DefaultMessageTimeToLive>"
        f"<DeadLetteringOnMessageExpiration>{boolean(subscription.dead_lettering_on_expiration)}"
        "</DeadLetteringOnMessageExpiration>"
        "<DeadLetteringOnFilterEvaluationExceptions>"
        f"{boolean(subscription.dead_lettering_on_filter_errors)}"
        "</DeadLetteringOnFilterEvaluationExceptions>"
        f"<MessageCount>{messages}</MessageCount>"
        f"<MaxDeliveryCount>{subscription.max_delivery_count}</MaxDeliveryCount>"
        f"<EnableBatchedOperations>{boolean(subscription.enable_batched_operations)}</EnableBatchedOperations>"
        f"<Status>{escape(subscription.status)}</Status>"
        + optional("ForwardTo", _uri(scene, subscription.forward_to))
        + _times(scene, subscription)
        + _counts(scene, subscription)
        + optional("UserMetadata", subscription.user_metadata)
        + optional("ForwardDeadLetteredMessagesTo", _uri(scene, subscription.forward_dead_lettered_to))
        + f"<AutoDeleteOnIdle>{duration(subscription.auto_delete_on_idle)}</AutoDeleteOnIdle>"
        "<EntityAvailabilityStatus>Available</EntityAvailabilityStatus><IsClientAffine>false</IsClientAffine>"
    )


_DESCRIPTIONS: dict[type[SimulatedEntity], tuple[str, Callable[..., str]]] = {
    SimulatedQueue: ("QueueDescription", _queue),
    SimulatedTopic: ("TopicDescription", _topic),
    SimulatedSubscription: ("SubscriptionDescription", _subscription),
}


def _times(scene: Scene, entity: SimulatedEntity) -> str:
    times = f"<CreatedAt>{moment(entity.created)}</CreatedAt><UpdatedAt>{moment(entity.updated)}</UpdatedAt>"
    if scene.api_version:  # recorded responses to requests without an api-version lack it
        times += f"<AccessedAt>{moment(entity.accessed)}</AccessedAt>"
    return times


def _counts(scene: Scene, entity: SimulatedEntity) -> str:
    if not (entity.has_counts and scene.show_counts and scene.api_version):
        return ""
    return (
        f"<CountDetails {_COUNTS}><d2p1:ActiveMessageCount>{entity.active}</d2p1:ActiveMessageCount>"
        f"<d2p1:DeadLetterMessageCount>{entity.dead_letter}</d2p1:DeadLetterMessageCount>"
        f"<d2p1:ScheduledMessageCount>{entity.scheduled}</d2p1:ScheduledMessageCount>"
        f"<d2p1:TransferMessageCount>{entity.transfer}</d2p1:TransferMessageCount>"
        f"<d2p1:TransferDeadLetterMessageCount>{entity.transfer_dead_letter}</d2p1:TransferDeadLetterMessageCount>"
        "</CountDetails>"
    )


def _max_size(entity: SimulatedQueue | SimulatedTopic) -> int:
    return entity.max_size_megabytes * (_PARTITIONS if entity.partitioned else 1)


def _max_message_size(scene: Scene, entity: SimulatedQueue | SimulatedTopic) -> str:
    if scene.api_version < "2021":  # added in api-version 2021-05
        return ""
    size = entity.max_message_size_kilobytes or _MESSAGE_SIZE_KILOBYTES.get(scene.sku, 256)
    return f"<MaxMessageSizeInKilobytes>{size}</MaxMessageSizeInKilobytes>"


def _authorization_rules(keys: Sequence[SharedKey]) -> str:
    rules = "".join(
        '<AuthorizationRule i:type="SharedAccessAuthorizationRule"><ClaimType>SharedAccessKey</ClaimType>'
        "<ClaimValue>None</ClaimValue><Rights>"
        + "".join(f"<AccessRights>{right}</AccessRights>" for right in sorted(key.rights))
        + f"</Rights><CreatedTime>{moment(key.created)}</CreatedTime>"
        f"<ModifiedTime>{moment(key.created)}</ModifiedTime><KeyName>{escape(key.name)}</KeyName>"
        f"<PrimaryKey>{escape(key.key)}</PrimaryKey><SecondaryKey>{escape(key.key)}</SecondaryKey></AuthorizationRule>"
        for key in keys
    )
    return f"<AuthorizationRules>{rules}</AuthorizationRules>"


def _uri(scene: Scene, target: str | None) -> str | None:
    """Return the target of forwarding as an absolute URI, which is how the service reports it."""
    if target is None or "://" in target:
        return target
    return f"sb://{scene.host}/{target}"
