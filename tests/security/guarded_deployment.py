"""A hub whose services all require passwords, with secrets of every kind planted in it."""

import base64
import json
import secrets
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
import yaml
from cryptography.hazmat.primitives import serialization

from simulator import Simulator
from simulator.identity import Application
from tests.support.hubs import Hub
from tests.support.servers import PostgreSQL, Redis, program

# The hash of the owner's password, which belongs in the user's row and nowhere else.
PASSWORD_HASH = "owner-password-hash"


class GuardedPostgreSQL(PostgreSQL):
    """PostgreSQL that requires a password."""

    password = ""

    def url(self, database: str = "hub") -> str:
        user = f"hub:{self.password}" if self.password else "hub"
        return f"postgres://{user}@127.0.0.1:{self.port}/{database}"

    def guard(self, password: str) -> None:
        self.sql(f"ALTER USER hub PASSWORD '{password}'")
        (self._data / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
        self.sql("SELECT pg_reload_conf()")
        self.password = password

    def dump(self) -> bytes:
        return subprocess.run(
            [program("pg_dump"), "--inserts", self.url()], check=True, capture_output=True, timeout=120
        ).stdout


class GuardedRedis(Redis):
    """Redis that requires a password."""

    def __init__(self, password: str) -> None:
        super().__init__()
        self.password = password
        (self.directory / "redis.conf").write_text(f"requirepass {password}\n")

    def command(self) -> list[str]:
        first, *rest = super().command()
        return [first, str(self.directory / "redis.conf"), *rest]

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def dump(self) -> list[bytes]:
        """Return every key with its value."""
        client: Any = redis.Redis.from_url(self.url)
        parts: list[bytes] = []
        for key in client.scan_iter():
            parts.append(key)
            match client.type(key):
                case b"string":
                    parts.append(client.get(key))
                case b"hash":
                    parts += [part for pair in client.hgetall(key).items() for part in pair]
                case b"list":
                    parts += client.lrange(key, 0, -1)
                case b"set":
                    parts += client.smembers(key)
                case b"zset":
                    parts += client.zrange(key, 0, -1)
                case other:
                    raise AssertionError(f"{key!r} is a {other!r}: tell the dump how to read it")
        client.close()
        return parts


@dataclass
class GuardedDeployment:
    stack: ExitStack
    directory: Path
    simulator: Simulator
    postgresql: GuardedPostgreSQL
    redis: GuardedRedis
    hub: Hub  # logs text, shares through Redis
    other: Hub  # logs JSON, shares through files
    planted: dict[str, str]
    credentials: dict[str, dict[str, Any]]
    objects: dict[str, Any] = field(default_factory=dict)
    sessions: dict[str, str] = field(default_factory=dict)


def _word(what: str) -> str:
    # Random, because a constant could appear in a page for another reason; with characters that need quoting in places.
    return f"planted-{what}-{secrets.token_hex(8)}"


def build(stack: ExitStack, certificates: Path, directory: Path) -> GuardedDeployment:
    simulator = Simulator(directory=certificates)
    stack.enter_context(simulator.running())
    planted: dict[str, str] = {
        name: _word(name)
        for name in (
            "database-password",
            "redis-password",
            "secret-key",
            "admin-password",
            "owner-password",
            "certificate-password",
        )
    }
    for name in ("scrape-token", "token-by-env"):
        planted[name] = "sbh_" + _word(name)
    planted["wall-token"] = "sbw_" + _word("wall")
    for name in ("first-key", "second-key"):
        planted[f"encryption-{name}"] = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    credentials, by_reference = _credentials(simulator, planted)

    postgresql = stack.enter_context(GuardedPostgreSQL())
    postgresql.guard(planted["database-password"])
    shared = stack.enter_context(GuardedRedis(planted["redis-password"]))
    (directory / "secret-in-a-file").write_text(by_reference["file"] + "\n")
    config = {
        "teams": [{"name": "files"}],
        "credentials": [
            {
                "name": f"by-{kind}",
                "team": "files",
                "kind": "connection_string",
                "secret": {kind: "PLANTED_BY_ENV" if kind == "env" else str(directory / "secret-in-a-file")},
            }
            for kind in ("env", "file")
        ],
        "namespaces": [
            {"name": f"by-{kind}", "team": "files", "credential": f"by-{kind}"} for kind in ("env", "file")
        ],
        "tokens": [{"name": "by-env", "scope": "all_teams", "token": {"env": "PLANTED_TOKEN"}}],
    }
    (directory / "hub.yaml").write_text(yaml.safe_dump(config))
    variables = {
        "HUB_DATABASE_URL": postgresql.url(),
        "HUB_REDIS_URL": shared.url,
        "HUB_SECRET_KEY": planted["secret-key"],
        "HUB_ENCRYPTION_KEYS": f"{planted['encryption-first-key']},{planted['encryption-second-key']}",
        "HUB_ADMIN_PASSWORD": planted["admin-password"],
        "HUB_ALLOW_LOOPBACK": "1",
        "HUB_CA_FILE": str(simulator.ca_file),
        "HUB_CONFIG": str(directory / "hub.yaml"),
        "HUB_LOG_LEVEL": "debug",
        "HUB_LOG_FORMAT": "text",
        "HUB_THREADS": "16",
        "PLANTED_BY_ENV": by_reference["env"],
        "PLANTED_TOKEN": planted["token-by-env"],
        "PROMETHEUS_MULTIPROC_DIR": str(directory / "multiprocess"),
    }
    (directory / "multiprocess").mkdir()
    hub = Hub(variables)
    stack.callback(hub.close)
    other = Hub(
        {
            **variables,
            "HUB_REDIS_URL": "",
            "HUB_LOG_FORMAT": "json",
            "HUB_WORKERS": "1",
            "PROMETHEUS_MULTIPROC_DIR": "",
        }
    )
    stack.callback(other.close)
    return GuardedDeployment(
        stack, directory, simulator, postgresql, shared, hub, other, planted, credentials
    )


def _credentials(
    simulator: Simulator, planted: dict[str, str]
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    def bus(name: str) -> Any:
        made = simulator.add_namespace(name)
        made.add_queue("orders", active=3)
        made.add_topic("events").add_subscription("billing", active=2)
        return made

    first = bus("leak-key")
    planted["key"] = first.key
    planted["spare-key"] = _key_of(first.add_key("Spare"))
    planted["refused-key"] = base64.b64encode(secrets.token_bytes(32)).decode()
    signed = bus("leak-signature")
    signature = signed.shared_access_signature()
    planted["signature"] = signature.partition("sig=")[2].partition("&")[0]
    entra: dict[str, dict[str, Any]] = {}
    password = planted["certificate-password"]
    for kind in ("client_secret", "client_certificate", "refused_secret"):
        target = bus(f"leak-{kind.replace('_', '-')}")
        application: Application = simulator.identity.add_application()
        target.grant(application)
        fields: dict[str, Any] = {
            "kind": "client_secret",
            "tenant_id": simulator.identity.tenant,
            "client_id": application.client_id,
            "authority": simulator.identity.authority.removeprefix("https://"),
            "host": target.host,
            "hosts": [target.host],
        }
        if kind == "client_certificate":
            pem = _locked(application.add_certificate(), password)
            body = pem.partition("PRIVATE KEY-----\n")[2].partition("\n-----END")[0].splitlines()
            planted["private-key"] = body[len(body) // 2]
            fields |= {"kind": kind, "secret": pem, "certificate_password": password}
        else:
            application.add_secret()
            secret = application.add_secret() if kind == "client_secret" else _word("refused-secret")
            planted[kind.replace("_", "-")] = fields["secret"] = secret
        entra[kind.replace("_", "-")] = fields
    undecryptable = bus("leak-undecryptable")
    planted["undecryptable-key"] = undecryptable.key
    references = {kind: bus(f"leak-by-{kind}") for kind in ("env", "file")}
    planted |= {f"key-by-{kind}": each.key for kind, each in references.items()}
    string = "connection_string"
    return (
        {
            "key": {
                "kind": string,
                "host": first.host,
                "secret": first.connection_string,
                "spare_secret": first.connection_string_for("Spare"),
            },
            "refused-key": {
                "kind": string,
                "host": first.host,
                "secret": first.connection_string.replace(first.key, planted["refused-key"]),
            },
            "signature": {
                "kind": string,
                "host": signed.host,
                "secret": f"Endpoint=sb://{signed.host}/;SharedAccessSignature={signature}",
            },
            "undecryptable": {
                "kind": string,
                "host": undecryptable.host,
                "secret": undecryptable.connection_string,
            },
            **entra,
        },
        {kind: each.connection_string for kind, each in references.items()},
    )


def start(deployment: GuardedDeployment) -> None:
    deployment.hub.manage("prepare")
    asked = {
        "credentials": deployment.credentials,
        "token": deployment.planted["scrape-token"],
        "wall": deployment.planted["wall-token"],
        "password": deployment.planted["owner-password"],
    }
    told = json.loads(deployment.hub.manage(module="tests.security.plant_secrets", text=json.dumps(asked)))
    deployment.objects, deployment.sessions = told["objects"], told["sessions"]
    deployment.planted |= {f"session-of-{who}": key for who, key in deployment.sessions.items()}
    deployment.planted[PASSWORD_HASH] = told["hash"].rpartition("$")[2]
    deployment.hub.start()
    deployment.other.start()


def _key_of(connection_string: str) -> str:
    return connection_string.partition("SharedAccessKey=")[2].partition(";")[0]


def _locked(pem: bytes, password: str) -> str:
    """Return a certificate whose private key is encrypted with the password."""
    key = serialization.load_pem_private_key(pem, None)
    sealed = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password.encode()),
    )
    begin = pem.index(b"-----BEGIN CERTIFICATE")
    end = pem.index(b"-----END CERTIFICATE-----") + len(b"-----END CERTIFICATE-----\n")
    return (pem[begin:end] + sealed).decode()
