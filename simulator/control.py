"""Plain HTTP on loopback that changes and reads a simulator in another process, for scripts and benchmarks.

    GET    /                                          overview of everything
    POST   /namespaces                                adds a namespace: an entry as in a definition
    GET    /namespaces/<ns>                           counters, faults, connection string, own port
    PATCH  /namespaces/<ns>                           {"latency": 0.05, "sku": "Premium", "messaging_units": 2}
    DELETE /namespaces/<ns>
    PUT    /namespaces/<ns>/queues/<name>             {"active": 9}: adds or changes the queue
    PUT    /namespaces/<ns>/topics/<name>             the same
    PUT    /namespaces/<ns>/topics/<name>/subscriptions/<name>
    DELETE                                            (on each of the three: removes it)
    POST   /namespaces/<ns>/faults                    {"kind": "throttle", "times": 3, "retry_after": 2}
    DELETE /namespaces/<ns>/faults[/<kind>]
    POST   /namespaces/<ns>/credits                   {"sender_rate": 600}: enforces the credit rule; DELETE lifts it
    POST   /namespaces/<ns>/own_port                  opens the namespace's own port
    DELETE /namespaces/<ns>/requests                  sets the request counters to 0
    DELETE /connections                               ends every client's connection
    GET    /identity                                  counters, authority, tenant, metadata endpoint
    POST   /identity/faults, DELETE /identity/faults[/<kind>]

Names are percent-encoded (`team%2Forders`). Responses are JSON; errors have status 400 or 404 and a message in `error`.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from . import definition
from .entities import Collection
from .faults import Faults
from .listener import Listener
from .log import RequestLog
from .namespace import SimulatedNamespace
from .server import Simulator

_CHANGEABLE = ("latency", "sku", "messaging_units", "alias")


def open_control(simulator: Simulator, port: int = 0) -> str:
    """Open the control endpoint on loopback and return its URL."""
    listener = Listener(_Control(simulator).handle, None, host="127.0.0.1", port=port)
    listener.is_control = True
    simulator.add_listener(listener)
    return f"http://127.0.0.1:{listener.port}"


def state(simulator: Simulator) -> dict[str, Any]:
    """Return an overview of everything, including the simulated keys."""
    return {
        "port": simulator.port,
        "ca_file": str(simulator.ca_file),
        "namespaces": {namespace.name: _namespace(namespace) for namespace in simulator.namespaces.values()},
        "identity": _identity(simulator),
    }


class _Control:
    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def handle(self, request: web.BaseRequest) -> web.Response:
        text = await request.text()
        parts = [unquote(part) for part in request.raw_path.partition("?")[0].strip("/").split("/") if part]
        try:
            body = json.loads(text) if text.strip() else {}
            # In another thread, because a change may wait for the simulator's own loop, which is this one.
            result = await asyncio.to_thread(self._do, request.method, parts, body)
        except KeyError as error:
            return web.json_response({"error": f"there is no {error}"}, status=404)
        except (ValueError, TypeError, AttributeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response(result)

    def _do(self, method: str, parts: list[str], body: Any) -> Any:
        match [method, *parts]:
            case ["GET"]:
                return state(self._simulator)
            case ["POST", "namespaces"]:
                return _namespace(definition.add_namespace(body, self._simulator))
            case ["DELETE", "connections"]:
                self._simulator.end_connections()
                return {}
            case [_, "namespaces", name, *rest]:
                return _change_namespace(self._simulator, name, method, rest, body)
            case ["GET", "identity"]:
                return _identity(self._simulator)
            case [_, "identity", "faults", *rest]:
                return _change_faults(self._simulator.identity.faults, method, rest, body)
        raise KeyError(f"{method} /{'/'.join(parts)}")


def _identity(simulator: Simulator) -> dict[str, Any]:
    identity = simulator.identity
    return {
        "authority": identity.authority,
        "tenant": identity.tenant,
        "imds_url": identity.imds_url,
        "issued": dict(identity.issued),
        "requests": _log(identity.requests),
        "faults": _faults(identity.faults),
    }


def _change_namespace(simulator: Simulator, name: str, method: str, rest: list[str], body: Any) -> Any:
    namespace = simulator.namespaces[name.lower()]
    match [method, *rest]:
        case ["GET"]:
            pass
        case ["PATCH"]:
            unknown = [name for name in body if name not in _CHANGEABLE]
            if unknown:
                raise ValueError(
                    f"can't change {', '.join(unknown)}; changeable are {', '.join(_CHANGEABLE)}"
                )
            for name, value in body.items():
                setattr(namespace, name, value)
        case ["DELETE"]:
            simulator.remove_namespace(namespace.name)
        case [_, "queues", name]:
            _change_entity(namespace.queues, namespace.add_queue, method, name, body)
        case [_, "topics", name]:
            _change_entity(namespace.topics, namespace.add_topic, method, name, body)
        case [_, "topics", name, "subscriptions", member]:
            topic = namespace.topics[name]
            _change_entity(topic.subscriptions, topic.add_subscription, method, member, body)
        case [_, "faults", *kind]:
            _change_faults(namespace.faults, method, kind, body)
        case ["POST", "credits"]:
            namespace.credits.enforce(**body)
        case ["DELETE", "credits"]:
            namespace.credits.lift()
        case ["POST", "own_port"]:
            namespace.own_port()
        case ["DELETE", "requests"]:
            namespace.requests.clear()
        case _:
            raise KeyError(f"{method} .../{'/'.join(rest)}")
    return _namespace(namespace)


def _change_entity(
    entities: Collection[Any], add: Callable[..., Any], method: str, name: str, body: dict[str, Any]
) -> None:
    if method == "DELETE":
        del entities[name]
    elif method != "PUT":
        raise ValueError("an entity is changed by PUT and removed by DELETE")
    elif name in entities:
        entities[name].update(**body)
    else:
        add(name, **body)


def _change_faults(faults: Faults, method: str, rest: list[str], body: Any) -> Any:
    if method == "DELETE":
        faults.clear(rest[0] if rest else None)
    elif method == "POST" and not rest:
        faults.set(**body)
    else:
        raise ValueError("faults are set by POST and removed by DELETE")
    return _faults(faults)


def _namespace(namespace: SimulatedNamespace) -> dict[str, Any]:
    credits = namespace.credits
    return {
        "host": namespace.host,
        "connection_string": namespace.connection_string,
        "own_host": namespace.own_host if namespace.has_own_port else None,
        "own_connection_string": namespace.own_connection_string if namespace.has_own_port else None,
        "sku": namespace.sku,
        "latency": namespace.latency,
        "queues": len(namespace.queues),
        "topics": len(namespace.topics),
        "subscriptions": len(namespace.subscriptions()),
        "requests": _log(namespace.requests),
        "handshakes": namespace.handshakes,
        "credits": {
            "enforced": credits.enforced,
            "sender_sent": credits.sender_sent,
            "sender_throttled": credits.sender_throttled,
            "management_throttled": credits.management_throttled,
        },
        "faults": _faults(namespace.faults),
    }


def _log(log: RequestLog) -> dict[str, Any]:
    return {
        "total": log.total,
        "by_status": {str(status): count for status, count in sorted(log.by_status.items())},
        "in_flight": log.in_flight,
        "most_in_flight": log.most_in_flight,
    }


def _faults(faults: Faults) -> list[dict[str, Any]]:
    return [
        {"kind": fault.kind, "path": fault.path, "times": fault.times, "hits": fault.hits, **fault.options}
        for fault in faults
    ]
