"""One simulated namespace: its entities, its addresses, its access rights and its faults."""

import base64
import datetime as dt
import secrets
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import signatures
from .credits import Credits
from .entities import Collection, SharedKey, SimulatedQueue, SimulatedSubscription, SimulatedTopic
from .faults import CONNECTION, Faults
from .identity import Identity, Principal
from .listener import Listener
from .log import RequestLog
from .own_port import OwnPort, wanted_mode

RIGHTS = frozenset({"Manage", "Send", "Listen"})
ROOT_KEY = "RootManageSharedAccessKey"


class SimulatedNamespace:
    """Created by `Simulator.add_namespace`. May be changed from any thread while it serves requests."""

    def __init__(
        self,
        name: str,
        *,
        key: str,
        identity: Identity,
        port: int,
        own_port: OwnPort,
        ca_file: Path,
        sku: str = "Standard",
        messaging_units: int | None = None,
        alias: str | None = None,
        latency: float = 0.0,
    ) -> None:
        self.identity = identity
        self.port = port  # shared by all namespaces
        self.ca_file = ca_file  # the certificate that clients must trust, as PEM
        self._own_port = own_port
        self.name = name
        self.sku = sku
        self.messaging_units = (
            messaging_units if messaging_units is not None else (1 if sku == "Premium" else None)
        )
        self.alias = alias
        self.latency = latency  # seconds between a request and its response
        self.created = self.modified = dt.datetime.now(dt.UTC)
        self.lock = threading.RLock()
        self.queues: Collection[SimulatedQueue] = Collection(self.lock)
        self.topics: Collection[SimulatedTopic] = Collection(self.lock)
        self.faults = Faults(self._connection_faults_changed)
        self.credits = Credits()
        self.requests = RequestLog()
        self.handshakes = (
            0  # TLS handshakes started with this namespace (by its host name or on its own port)
        )
        self._grants: dict[str, frozenset[str]] = {}
        self._keys: dict[str, SharedKey] = {}
        self.key_name = ROOT_KEY
        self.add_key(ROOT_KEY, RIGHTS, key=key)

    # Entities

    def add_queue(self, name: str, **values: Any) -> SimulatedQueue:
        """Add a queue; `values` are attributes of `SimulatedQueue`. Raises ValueError if the name is taken."""
        self._check_name(name)
        return self.queues.add(SimulatedQueue(name, **values))

    def add_topic(self, name: str, **values: Any) -> SimulatedTopic:
        self._check_name(name)
        return self.topics.add(SimulatedTopic(name, **values))

    def delete_queue(self, name: str) -> None:
        del self.queues[name]

    def delete_topic(self, name: str) -> None:
        del self.topics[name]

    def subscriptions(self) -> list[SimulatedSubscription]:
        """Return the subscriptions of all topics."""
        return [
            subscription for topic in self.topics.values() for subscription in topic.subscriptions.values()
        ]

    def _check_name(self, name: str) -> None:
        if not name or name.startswith(("/", "$")) or name.endswith("/"):
            raise ValueError(
                f"{name!r} is not a valid entity name: it is empty, or has a slash or a $ where none is allowed"
            )
        if name in self.queues or name in self.topics:
            raise ValueError(f"{self.name} has a queue or a topic named {name!r} already")

    # Addresses

    @property
    def host(self) -> str:
        """This namespace's host name and the port that all namespaces share; `*.localhost` is loopback (RFC 6761)."""
        return f"{self.name}.servicebus.localhost:{self.port}"

    def own_port(self) -> int:
        """Open (once) a port that serves only this namespace, under any host name, and return it."""
        return self._own_port.number

    @property
    def has_own_port(self) -> bool:
        return self._own_port.is_bound

    def close_own_port(self) -> Listener | None:
        """Detach the namespace's own port and return it; the simulator closes it."""
        return self._own_port.detach()

    @property
    def own_host(self) -> str:
        """`localhost:<own port>`, for clients that can't resolve `*.localhost`. Opens the port."""
        return f"localhost:{self.own_port()}"

    def _connection_faults_changed(self) -> None:
        wanted = wanted_mode(self.faults)
        if wanted != "serve" and not self.has_own_port:
            raise ValueError(
                f"only a namespace with a port of its own can {wanted}: call own_port() first and use own_host"
            )
        self._own_port.apply(self.faults)

    def certificate(self) -> str:
        """Return the kind of certificate to use for the next handshake."""
        fault = self.faults.take_one({kind: CONNECTION[kind] for kind in ("unknown_ca", "wrong_host")})
        return fault.kind if fault else "valid"

    # Keys and rights

    @property
    def key(self) -> str:
        return self._keys[self.key_name].key

    @property
    def connection_string(self) -> str:
        return self.connection_string_for(self.key_name)

    @property
    def own_connection_string(self) -> str:
        """The connection string with `own_host`."""
        return self.connection_string_for(self.key_name, host=self.own_host)

    def connection_string_for(
        self, key_name: str, *, host: str | None = None, entity_path: str | None = None
    ) -> str:
        """Return the connection string of a key; `entity_path` is the entity if the key belongs to one."""
        key = self._find_key(key_name, entity_path)
        if key is None:
            raise ValueError(
                f"{self.name} has no key {key_name!r}" + (f" at {entity_path}" if entity_path else "")
            )
        text = f"Endpoint=sb://{host or self.host}/;SharedAccessKeyName={key.name};SharedAccessKey={key.key}"
        return text + (f";EntityPath={entity_path}" if entity_path else "")

    def add_key(
        self,
        name: str,
        rights: Iterable[str] = RIGHTS,
        *,
        entity_path: str | None = None,
        key: str | None = None,
    ) -> str:
        """Add a shared access policy, or replace the one with this name; return its connection string.

        With `entity_path`, it belongs only to that queue or topic: it authorizes nothing else, and appears in the
        entity's AuthorizationRules.
        """
        rights = frozenset(rights)
        if not rights <= RIGHTS:
            raise ValueError(
                f"rights are {', '.join(sorted(RIGHTS))}; not {', '.join(sorted(rights - RIGHTS))}"
            )
        policy = SharedKey(
            name, key or base64.b64encode(secrets.token_bytes(32)).decode(), rights, entity_path
        )
        if entity_path is None:
            self._keys[name] = policy
        else:
            entity = self.queues.get(entity_path) or self.topics.get(entity_path)
            if entity is None:
                raise ValueError(f"{self.name} has no queue or topic named {entity_path!r}")
            entity.keys = [kept for kept in entity.keys if kept.name != name] + [policy]
        return self.connection_string_for(name, entity_path=entity_path)

    def shared_access_signature(
        self, *, key_name: str | None = None, lifetime: float = 3600, path: str = "", host: str | None = None
    ) -> str:
        """Return a ready-made SharedAccessSignature for this namespace, or for the entity at `path`."""
        name = key_name or self.key_name
        policy = self._find_key(name, path or None)
        if policy is None:
            raise ValueError(f"{self.name} has no key {name!r}")
        return signatures.sign(
            f"sb://{host or self.host}/{path}", name, policy.key, int(time.time() + lifetime)
        )

    def grant(self, principal: Principal, rights: Iterable[str] = RIGHTS) -> None:
        """Grant an Entra ID principal rights on this namespace; the role Data Owner has Manage."""
        self._grants[principal.object_id] = frozenset(rights)

    def revoke(self, principal: Principal) -> None:
        self._grants.pop(principal.object_id, None)

    def refusal(self, header: str | None, host: str, path: str, entity_path: str | None) -> str:
        """Return why this Authorization header doesn't authorize reading `path`, or an empty text if it does."""
        if not header:
            return "no Authorization header"
        if header.startswith("Bearer "):
            principal, why = self.identity.principal_of(header.removeprefix("Bearer "))
            if principal is None:
                return why
            return "" if "Manage" in self._grants.get(principal, ()) else "the principal has no Manage right"
        signature = signatures.parse(header) if header.startswith(signatures.SCHEME) else None
        if signature is None:
            return "neither a Bearer token nor a SharedAccessSignature"
        policy = self._find_key(signature.key_name, entity_path)
        if policy is None:
            return "unknown key name"
        if not signature.is_signed_with(policy.key):
            return "wrong signature"
        if signature.is_expired(time.time()):
            return "expired signature"
        if not signature.covers(host, path):
            return "the signature is for another URI"
        return "" if "Manage" in policy.rights else "the key has no Manage right"

    def _find_key(self, name: str, entity_path: str | None) -> SharedKey | None:
        if entity_path is not None:
            entity = self.queues.get(entity_path) or self.topics.get(entity_path)
            for policy in entity.keys if entity is not None else ():
                if policy.name == name:
                    return policy
        return self._keys.get(name)
