"""An authority that exists for a test, and a certificate that it issues for signing."""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SIGNER = "Test Signer"
NO_USE = dict.fromkeys(
    "digital_signature content_commitment key_encipherment data_encipherment key_agreement "
    "key_cert_sign crl_sign encipher_only decipher_only".split(),
    False,
)
KEYS = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
}


def _certificate(subject: str, issuer: str, public, signing, use: dict, *more) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)

    def name(text: str) -> x509.Name:
        kinds = NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME
        return x509.Name([x509.NameAttribute(kind, text) for kind in kinds])

    authority = not more
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(authority, None), True)
        .add_extension(x509.KeyUsage(**{**NO_USE, **use}), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), False
        )
    )
    for extension in more:
        builder = builder.add_extension(extension, False)
    return builder.sign(signing, hashes.SHA256())


def write_certificate(folder: Path, kind: str = "P-256") -> tuple[Path, Path]:
    """PEM files of a chain and its key."""
    authority, key = KEYS["P-256"](), KEYS[kind]()
    chain = [
        _certificate(
            SIGNER, "Test Authority", key.public_key(), authority, {"digital_signature": True},
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]),
        ),
        _certificate(
            "Test Authority", "Test Authority", authority.public_key(), authority,
            {"key_cert_sign": True},
        ),
    ]  # fmt: skip
    pem = serialization.Encoding.PEM
    paths = folder / f"{kind}.chain.pem", folder / f"{kind}.key.pem"
    paths[0].write_bytes(b"".join(certificate.public_bytes(pem) for certificate in chain))
    paths[1].write_bytes(
        key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )  # fmt: skip
    return paths
