"""The simulator's own certificate authority and the certificates that it signs. Only tests trust it."""

import datetime as dt
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# The hosts that clients may use for a simulated namespace. A wildcard covers one label: the namespace's name.
HOSTS = ("localhost", "*.servicebus.localhost", "*.servicebus.windows.net", "127.0.0.1", "::1")
_LIFETIME = dt.timedelta(days=825)
_RENEW_BEFORE = dt.timedelta(days=30)


@dataclass(frozen=True)
class Authority:
    """A CA certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def create(cls, name: str) -> "Authority":
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        certificate = (
            _builder(subject, subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(identifier, critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def load(cls, certificate: bytes, key: bytes) -> "Authority":
        private = serialization.load_pem_private_key(key, None)
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise ValueError(
                "the simulator's CA key is not an elliptic curve key; remove the folder to make a new one"
            )
        return cls(x509.load_pem_x509_certificate(certificate), private)

    def issue(self, hosts: Sequence[str]) -> bytes:
        """Return a server certificate for these host names and addresses as PEM: the key, then the certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        # Python 3.13 and later verify strictly (RFC 5280): they require the authority key identifier.
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        certificate = (
            _builder(_name(hosts[0]), self.certificate.subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(issuer_key, critical=False)
            .add_extension(names, critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return _pem_key(key) + certificate.public_bytes(serialization.Encoding.PEM)


class CertificateStore:
    """Keeps the CA and the server certificates in a folder, so that they outlive one run.

    Clients must trust `ca.pem`. A certificate that is about to expire is replaced.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.ca_file = directory / "ca.pem"
        key_file = directory / "ca.key"
        if self.ca_file.exists() and key_file.exists() and not _expires_soon(self.ca_file.read_bytes()):
            self._authority = Authority.load(self.ca_file.read_bytes(), key_file.read_bytes())
        else:
            self._authority = Authority.create("Service Bus simulator CA")
            _write_secret(key_file, _pem_key(self._authority.key))
            certificate = self._authority.certificate
            self.ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self._contexts: dict[str, ssl.SSLContext] = {}

    def secret(self) -> bytes:
        """Return secret bytes that stay the same as long as the folder exists."""
        return (self.directory / "ca.key").read_bytes()

    def context(self, kind: str = "valid") -> ssl.SSLContext:
        """Return a new server context. `kind`: valid, unknown_ca (signed by another CA), wrong_host (another name)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._pem(kind))
        return context

    def shared_context(self, kind: str) -> ssl.SSLContext:
        """Return the shared context of this kind. Creating one takes milliseconds, too long for every handshake."""
        if kind not in self._contexts:
            self._contexts[kind] = self.context(kind)
        return self._contexts[kind]

    def _pem(self, kind: str) -> Path:
        path = self.directory / f"server-{kind}.pem"
        if not path.exists() or _expires_soon(path.read_bytes()) or not self._is_ours(path, kind):
            authority = (
                Authority.create("A CA that nobody knows") if kind == "unknown_ca" else self._authority
            )
            hosts = ("elsewhere.example",) if kind == "wrong_host" else HOSTS
            _write_secret(path, authority.issue(hosts))
        return path

    def _is_ours(self, path: Path, kind: str) -> bool:
        """Return whether the stored certificate is signed by the stored CA, which may have been replaced."""
        if kind == "unknown_ca":
            return True
        try:
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
            certificate.verify_directly_issued_by(self._authority.certificate)
        except Exception:  # whatever is wrong with it, it is replaced
            return False
        return True


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))  # clocks differ slightly between containers
        .not_valid_after(now + _LIFETIME)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _expires_soon(pem: bytes) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:
        return True
    return certificate.not_valid_after_utc < dt.datetime.now(dt.UTC) + _RENEW_BEFORE


def _write_secret(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
