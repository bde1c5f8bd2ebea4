"""The management endpoint's answers to requests, without sockets. Of the faults, only those in the content."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, quote, unquote
from uuid import uuid4

from . import render
from .entities import Collection
from .faults import Fault
from .namespace import SimulatedNamespace

PAGE_SIZE = 100
API_VERSIONS = frozenset(
    [
        *("2013-07", "2013-08", "2013-10", "2014-01", "2014-05", "2014-09", "2015-01", "2015-08"),
        *("2016-07", "2017-04", "2021-05", "2024-05"),
    ]
)
FEED = "application/atom+xml;type=feed;charset=utf-8"
ENTRY = "application/atom+xml;type=entry;charset=utf-8"
ERROR = "application/xml; charset=utf-8"
_KEPT_PAGES = 200
# A topic's name may contain slashes, a subscription's may not. Clients differ in the case of the fixed words.
_SUBSCRIPTIONS = re.compile(r"/(?P<topic>.+)/subscriptions(?:/(?P<name>[^/]+))?/?", re.IGNORECASE | re.DOTALL)
_TITLES = {"queues": "Queues", "topics": "Topics"}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    content_type: str = ERROR
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Route:
    """A parsed request target."""

    target: str
    kind: str  # queues, topics, subscriptions, subscription, entity, info
    path: str  # decoded
    query: str  # decoded
    topic: str = ""
    name: str = ""
    skip: int = 0
    top: int = PAGE_SIZE
    api_version: str = ""
    mistake: str = ""  # what is wrong with the query

    @property
    def entity_path(self) -> str | None:
        """The queue or topic of the request, whose own keys authorize the request too."""
        return self.topic or self.name or None


@lru_cache(maxsize=20_000)
def route(target: str) -> Route:
    """Parse a request's target. Both `%2F` and a plain slash separate the parts of an entity's name."""
    raw_path, _, raw_query = target.partition("?")
    path, query = unquote(raw_path), unquote(raw_query)
    values = _query(raw_query)
    lower = path.lower().rstrip("/")
    if lower in ("/$resources/queues", "/$resources/topics"):
        return Route(target, lower.rpartition("/")[2], path, query, **values)
    if lower == "/$namespaceinfo":
        return Route(target, "info", path, query, **values)
    match = _SUBSCRIPTIONS.fullmatch(path)
    if match is None:
        return Route(target, "entity", path, query, name=path.strip("/"), **values)
    kind = "subscriptions" if match["name"] is None else "subscription"
    return Route(target, kind, path, query, topic=match["topic"], name=match["name"] or "", **values)


def _query(raw: str) -> dict[str, Any]:
    values = {name.lower(): value for name, value in parse_qsl(raw, keep_blank_values=True)}
    found: dict[str, Any] = {"api_version": values.get("api-version", "")}
    if found["api_version"] and found["api_version"] not in API_VERSIONS:
        found["mistake"] = f"SubCode=40000. The api-version '{found['api_version']}' is not supported."
    for name, least in (("skip", 0), ("top", 1)):
        text = values.get(f"${name}")
        if text is None:
            continue
        if text.isdecimal() and int(text) >= least:
            found[name] = int(text)
        else:
            found["mistake"] = (
                f"SubCode=40000. The value '{text}' of the query parameter ${name} is not allowed."
            )
    found["top"] = min(found.get("top", PAGE_SIZE), PAGE_SIZE)
    return found


def respond(namespace: SimulatedNamespace, route: Route, host: str, spoiled: dict[str, Fault]) -> Answer:
    """Return the answer to an authorized GET. `spoiled`: the faults in the content, by kind."""
    if route.mistake:
        return failure(400, route.mistake, host, route)
    if route.kind == "info":
        body = render.namespace_info(
            _scene(namespace, route, host),
            alias=namespace.alias,
            created=namespace.created,
            modified=namespace.modified,
            messaging_units=namespace.messaging_units,
        )
        return Answer(200, body, ENTRY)
    if route.kind == "entity":
        entity = namespace.queues.get(route.name) or namespace.topics.get(route.name)
        if entity is None:
            return Answer(200, render.nothing_here(), FEED)
        scene = _scene(namespace, route, host, show_counts="no_counts" not in spoiled)
        with namespace.lock:
            return Answer(200, render.entry(scene, entity), ENTRY)
    if route.kind in _TITLES:
        if route.kind == "queues" and "recreated" in spoiled:
            _recreate_queues(namespace, int(spoiled["recreated"].options["number"]))
        listed: Collection[Any] = namespace.queues if route.kind == "queues" else namespace.topics
        answer = Answer(200, _page(namespace, listed, _TITLES[route.kind], route, host, spoiled), FEED)
        if route.kind == "topics" and "delete_topic" in spoiled:
            topic = spoiled["delete_topic"].options["topic"]
            if topic in namespace.topics:
                namespace.delete_topic(topic)
        return answer
    return _subscriptions(namespace, route, host, spoiled)


def _recreate_queues(namespace: SimulatedNamespace, number: int) -> None:
    with namespace.lock:
        namespace.queues.clear()
        generation = uuid4().hex
        for each in range(number):
            namespace.add_queue(f"{generation}-{each:04}")


def failure(status: int, detail: str, host: str, route: Route) -> Answer:
    """Return an answer with an error body in the service's words."""
    name = host.partition(":")[0]
    return Answer(status, render.error(status, detail, f"{name}:{route.path.strip('/')}"), ERROR)


def _subscriptions(
    namespace: SimulatedNamespace, route: Route, host: str, spoiled: dict[str, Fault]
) -> Answer:
    topic = namespace.topics.get(route.topic)
    if topic is None:
        return _missing(namespace, f"{route.topic}|{route.name}" if route.name else route.topic)
    if route.kind == "subscriptions":
        return Answer(200, _page(namespace, topic.subscriptions, "Subscriptions", route, host, spoiled), FEED)
    subscription = topic.subscriptions.get(route.name)
    if subscription is None:
        return _missing(namespace, f"{topic.name}|{route.name}")
    scene = _scene(namespace, route, host, show_counts="no_counts" not in spoiled)
    with topic.subscriptions.lock:
        return Answer(200, render.entry(scene, subscription), ENTRY)


def _missing(namespace: SimulatedNamespace, entity: str) -> Answer:
    detail = (
        f"Entity '{namespace.name}:Topic:{entity}' was not found. "
        "To know more visit https://aka.ms/sbResourceMgrExceptions. "
    )
    return Answer(404, render.error(404, detail, "NoSystemTracker"), ERROR)


def _page(
    namespace: SimulatedNamespace,
    listed: Collection[Any],
    title: str,
    route: Route,
    host: str,
    spoiled: dict[str, Fault],
) -> bytes:
    """Return a page of the listing, from the cache unless the collection has changed since."""
    key = None if spoiled else (host, route.target, namespace.sku)
    if key is not None and (kept := listed.pages.get(key)) is not None and kept[0] == listed.revision:
        return kept[1]
    with listed.lock:
        revision = listed.revision
        entities = listed.in_order()
        start = route.skip
        if start and "shifted" in spoiled:
            start = max(start - int(spoiled["shifted"].options["by"]), 0)
        page = entities[start : start + route.top]
        next_link = None
        if route.skip + route.top < len(entities):
            other = spoiled.get("next_link")
            next_link = _next_link(route, other.options["host"] if other is not None else host)
        scene = _scene(namespace, route, host, show_counts="no_counts" not in spoiled)
        body = render.feed(scene, title, page, next_link)
        if key is not None:
            if len(listed.pages) >= _KEPT_PAGES:
                listed.pages.clear()
            listed.pages[key] = (revision, body)
    return body


def _next_link(route: Route, host: str) -> str:
    version = f"&api-version={route.api_version}" if route.api_version else ""
    path = quote(route.path, safe="/$")
    return f"https://{host}{path}?%24skip={route.skip + route.top}&%24top={route.top}{version}"


def _scene(
    namespace: SimulatedNamespace, route: Route, host: str, *, show_counts: bool = True
) -> render.Scene:
    return render.Scene(
        namespace=namespace.name,
        host=host,
        path=route.path,
        query=route.query,
        api_version=route.api_version,
        sku=namespace.sku,
        show_counts=show_counts,
    )
