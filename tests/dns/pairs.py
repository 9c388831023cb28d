"""Certificates of a test for DNS that is encrypted, as files that may be renewed."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAME = "dns.example"


class Pair:
    """A certificate that signs itself, and its key; `fingerprint` tells it from others."""

    def __init__(self, *names: str) -> None:
        self._names = names or (NAME, f"*.{NAME}")
        self._key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self._names[0])])
        now = dt.datetime.now(dt.UTC)
        self._made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=30))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in self._names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.pem = self._made.public_bytes(serialization.Encoding.PEM)
        self.der = self._made.public_bytes(serialization.Encoding.DER)

    def private(self, password: bytes = b"") -> bytes:
        """Return the key (PEM), behind a password where one is given."""
        locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        return self._key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)


class Files:
    """Where a certificate and its key lie."""

    def __init__(self, folder: Path) -> None:
        self.certificate, self.key = folder / "dns.pem", folder / "dns.key"

    def write(self, pair: Pair) -> Pair:
        """Put a pair in the place of the one before."""
        self.write_key(pair.private())
        self.write_certificate(pair.pem)
        return pair

    def write_certificate(self, content: bytes) -> None:
        _replace(self.certificate, content)

    def write_key(self, content: bytes, mode: int = 0o600) -> None:
        _replace(self.key, content, mode)


def _replace(path: Path, content: bytes, mode: int = 0o600) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.chmod(mode)
    new.replace(path)


def trusting(*pairs: Pair, alpn: str = "dot") -> ssl.SSLContext:
    """Return how a client comes that trusts `pairs`."""
    context = ssl.create_default_context(cadata="".join(pair.pem.decode() for pair in pairs))
    context.set_alpn_protocols([alpn])
    return context
