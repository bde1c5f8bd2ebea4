"""Entra ID as far as service principals need it: the principals, their credentials, and their tokens."""

import datetime as dt
import secrets
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from .faults import Faults
from .log import RequestLog
from .own_port import OwnPort, wanted_mode
from .tokens import SigningKey, Token, encode

RESOURCE = "https://servicebus.azure.net"
EXCHANGE_AUDIENCE = "api://AzureADTokenExchange"


@dataclass
class FederatedIssuer:
    """An external token issuer that an application trusts, such as a Kubernetes cluster's for workload identity."""

    issuer: str
    subject: str
    key: SigningKey = field(default_factory=SigningKey, repr=False)

    def token(
        self, *, lifetime: float = 3600, subject: str | None = None, audience: str = EXCHANGE_AUDIENCE
    ) -> str:
        """Issue a token as a cluster projects it into a pod. `lifetime` is in seconds."""
        now = int(time.time())
        return self.key.sign(
            {
                "iss": self.issuer,
                "sub": subject or self.subject,
                "aud": [audience],
                "iat": now,
                "nbf": now,
                "exp": int(now + lifetime),
            }
        )


@dataclass(eq=False)
class Principal:
    """A principal that can be granted rights on a namespace: `namespace.grant(principal)`."""

    client_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    object_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(eq=False)
class Application(Principal):
    """A service principal of the tenant."""

    secrets: list[str] = field(default_factory=list, repr=False)
    certificates: list[x509.Certificate] = field(default_factory=list, repr=False)
    issuers: list[FederatedIssuer] = field(default_factory=list, repr=False)

    def add_secret(self, secret: str | None = None) -> str:
        """Register a client secret and return it."""
        self.secrets.append(secret or secrets.token_urlsafe(30))
        return self.secrets[-1]

    def add_certificate(self, *, lifetime: dt.timedelta = dt.timedelta(days=30)) -> bytes:
        """Create and register a self-signed certificate; return its key and certificate as PEM for a client."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.client_id)])
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + lifetime)
            .sign(key, hashes.SHA256())
        )
        self.certificates.append(certificate)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return pem + certificate.public_bytes(serialization.Encoding.PEM)

    def trust_issuer(
        self, *, subject: str = "system:serviceaccount:hub:hub", issuer: str = "https://cluster.example"
    ) -> FederatedIssuer:
        """Register a federated credential and return its issuer, which can then issue tokens."""
        self.issuers.append(FederatedIssuer(issuer, subject))
        return self.issuers[-1]


@dataclass(eq=False)
class ManagedIdentity(Principal):
    """An identity of the machine that the hub runs on."""

    system_assigned: bool = False


class Identity:
    """The simulator's tenant. Its token endpoint is at `authority`, that of managed identities at `imds_url`."""

    def __init__(self, tenant_key: str, *, port: int, own_port: OwnPort, plain_port: OwnPort) -> None:
        self._port = port  # shared with the namespaces
        self._own_port = own_port
        self._plain_port = plain_port  # HTTP, like Azure's managed identity endpoints
        self.tenant = str(uuid.uuid5(uuid.NAMESPACE_URL, tenant_key))
        self.applications: dict[str, Application] = {}
        self.managed_identities: list[ManagedIdentity] = []
        self.token_lifetime = 3600.0  # seconds; applies to tokens that are issued from now on
        self.latency = 0.0  # seconds between a request and its response
        self.issued: Counter[str] = Counter()  # tokens by client id
        self.requests = RequestLog()
        self.faults = Faults(self._connection_faults_changed)
        self.key = SigningKey()
        self.app_service_header = secrets.token_urlsafe(16)
        self._known: dict[str, tuple[str, float]] = {}  # verified token -> object id, expiry
        self._lock = threading.Lock()

    # What tests set up

    def add_application(self, client_id: str | None = None, *, secret: str | None = None) -> Application:
        """Register an application. Its `add_...` methods register its credentials; `secret` registers a secret."""
        application = Application(client_id or str(uuid.uuid4()))
        if secret is not None:
            application.add_secret(secret)
        self.applications[application.client_id] = application
        return application

    def add_managed_identity(
        self, client_id: str | None = None, *, system_assigned: bool = True
    ) -> ManagedIdentity:
        """Assign an identity to the machine: system-assigned, or user-assigned with its `client_id`."""
        identity = ManagedIdentity(client_id or str(uuid.uuid4()), system_assigned=system_assigned)
        self.managed_identities.append(identity)
        return identity

    @property
    def tokens_issued(self) -> int:
        return self.issued.total()

    # Addresses

    @property
    def authority(self) -> str:
        """The login authority, for azure-identity's `authority` with `disable_instance_discovery=True`."""
        return f"https://localhost:{self._own_port.number if self._own_port.is_bound else self._port}"

    def own_port(self) -> int:
        """Move the authority (once) to its own port, which can refuse connections, and return the port."""
        return self._own_port.number

    @property
    def imds_url(self) -> str:
        """The metadata service of virtual machines, over plain HTTP as on Azure (AZURE_POD_IDENTITY_AUTHORITY_HOST)."""
        return f"http://127.0.0.1:{self._plain_port.number}"

    @property
    def app_service_url(self) -> str:
        """The identity endpoint of App Service (IDENTITY_ENDPOINT, with `app_service_header` as IDENTITY_HEADER)."""
        return f"http://127.0.0.1:{self._plain_port.number}/msi/token"

    def imds_environment(self) -> dict[str, str]:
        return {"AZURE_POD_IDENTITY_AUTHORITY_HOST": self.imds_url}

    def app_service_environment(self) -> dict[str, str]:
        return {"IDENTITY_ENDPOINT": self.app_service_url, "IDENTITY_HEADER": self.app_service_header}

    def _connection_faults_changed(self) -> None:
        wanted = wanted_mode(self.faults)
        ports = (self._own_port, self._plain_port)
        if wanted != "serve" and not any(port.is_bound for port in ports):
            raise ValueError(f"only a port of its own can {wanted}: call own_port() or use imds_url first")
        for port in ports:
            port.apply(self.faults)

    # Tokens

    def issue(self, principal: Principal, audience: str) -> str:
        """Issue an access token and count it."""
        now = int(time.time())
        with self._lock:
            self.issued[principal.client_id] += 1
        return self.key.sign(
            {
                "aud": audience,
                "iss": f"https://sts.windows.net/{self.tenant}/",
                "iat": now,
                "nbf": now,
                "exp": int(now + self.token_lifetime),
                "appid": principal.client_id,
                "oid": principal.object_id,
                "sub": principal.object_id,
                "tid": self.tenant,
                "uti": secrets.token_urlsafe(8),
                "ver": "1.0",
            }
        )

    def principal_of(self, text: str) -> tuple[str | None, str]:
        """Return the object id of a token's principal and an empty text, or None and why the token is refused."""
        known = self._known.get(text)
        if known is None:
            token = Token.parse(text)
            if token is None or not token.is_signed_by(self.key.private.public_key()):
                return None, "not a token of this tenant"
            if str(token.claims.get("aud")).rstrip("/") != RESOURCE:
                return None, "the token is for another resource"
            if len(self._known) > 1000:
                self._known.clear()
            known = self._known[text] = (str(token.claims["oid"]), float(token.claims["exp"]))
        if known[1] <= time.time():
            return None, "expired token"
        return known[0], ""

    def application_for(self, client_id: str) -> Application | None:
        return self.applications.get(client_id)

    def managed_identity_for(self, client_id: str | None) -> ManagedIdentity | None:
        """Return the requested identity: without a client id, the system-assigned one."""
        for identity in self.managed_identities:
            if identity.client_id == client_id or (client_id is None and identity.system_assigned):
                return identity
        return None


def thumbprints(certificate: x509.Certificate) -> dict[str, str]:
    """Return the thumbprints by which an assertion's header may name a certificate (RFC 7515: x5t and x5t#S256)."""
    algorithms: dict[str, Callable[[], hashes.HashAlgorithm]] = {
        "x5t": hashes.SHA1,
        "x5t#S256": hashes.SHA256,
    }
    return {name: encode(certificate.fingerprint(algorithm())) for name, algorithm in algorithms.items()}
