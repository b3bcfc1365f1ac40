"""Who is who in a cluster: an authority, and what it certifies."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFE = timedelta(days=2)


def _name(common: str, organization: str) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if organization:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(attributes)


class Authority:
    """Writes keys and certificates, NAME.key and NAME.crt, into a directory; its own is `ca`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        self._name = _name("cluster", "")
        self._key = self.key("ca")
        self._write("ca", self._key, self._name, x509.BasicConstraints(ca=True, path_length=None))

    def key(self, name: str) -> EllipticCurvePrivateKey:
        """A key of its own, written to NAME.key."""
        key = generate_private_key(SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        (self.directory / f"{name}.key").write_bytes(pem)
        return key

    def certify(self, name: str, common: str, organization: str = "", alternatives: Sequence[str] = ()) -> None:
        """A key and a certificate for servers and clients. `alternatives` are addresses and host names."""
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
        extensions: list[x509.ExtensionType] = [usage]
        if alternatives:
            extensions.append(x509.SubjectAlternativeName([_alternative(each) for each in alternatives]))
        self._write(name, self.key(name), _name(common, organization), *extensions)

    def _write(
        self, name: str, key: EllipticCurvePrivateKey, subject: x509.Name, *extensions: x509.ExtensionType
    ) -> None:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - LIFE)
            .not_valid_after(now + LIFE)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        signed = builder.sign(self._key, SHA256())
        (self.directory / f"{name}.crt").write_bytes(signed.public_bytes(Encoding.PEM))


def _alternative(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
