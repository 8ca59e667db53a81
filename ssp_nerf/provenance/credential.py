"""Content credentials: a signature (C2PA) over a generated video, with the user's own certificate.

The package c2pa-python, of the standard's reference implementation, signs and reads; nothing goes
over the network: no time stamp authority is asked. A signature says that the holder of the key
vouches for the record and that the file is as it was then; whether to trust the holder is for
whoever reads it. It carries random numbers: a signed video is never the same bytes twice.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import ssp_nerf
from ssp_nerf.config import ProvenanceConfig
from ssp_nerf.errors import InputError, first_line
from ssp_nerf.files import require_file, whole_output
from ssp_nerf.provenance.record import Provenance
from ssp_nerf.provenance.xmp import SUFFIXES

RECORD = "io.github.ssp-nerf.provenance"
"""Label of the assertion that holds the record."""
NOT_INSTALLED = "unknown: the package c2pa-python, which reads it, is not installed"


class Signer:
    """Signs videos with one certificate.

    Args:
        certificate: PEM, the signer's certificate and those that vouch for it, in this order.
        key: PEM, PKCS #8, not encrypted.

    Raises:
        InputError: the files cannot be read, or a key that cannot sign.
    """

    def __init__(self, certificate: Path, key: Path):
        self._c2pa = _library()
        chain = _pem(certificate, "provenance.certificate: the signer's certificate chain (PEM)")
        secret = _pem(key, "provenance.key: the certificate's private key (PEM, PKCS #8)")
        info = self._c2pa.C2paSignerInfo(_algorithm(secret, key), chain, secret, None)
        try:
            self._signer = self._c2pa.Signer.from_info(info)
        except self._c2pa.C2paError as error:
            raise InputError(
                f"{certificate}, {key}: cannot sign with these ({first_line(error)}). C2PA wants a "
                "chain of X.509 certificates, the signer's first, and its key in PKCS #8."
            ) from error

    def sign(self, path: Path, about: Provenance) -> None:
        """Sign a video in its place.

        Raises:
            InputError: the certificate is not one that C2PA accepts.
        """
        software = {"name": "ssp-nerf", "version": ssp_nerf.__version__}
        created = {
            "action": "c2pa.created",
            "digitalSourceType": about.source_type,
            "softwareAgent": software,
        }
        manifest = {
            "claim_generator_info": [software],
            "title": "generated video",
            "assertions": [
                {"label": "c2pa.actions", "data": {"actions": [created]}},
                {"label": RECORD, "data": asdict(about)},
            ],
        }
        with whole_output(path) as signed:
            try:
                with self._c2pa.Builder(json.dumps(manifest)) as builder:
                    builder.sign_file(path, signed, self._signer)
            except self._c2pa.C2paError as error:
                raise InputError(
                    f"provenance.certificate: the video could not be signed ({first_line(error)}). "
                    "C2PA wants a certificate that an authority issued for signing documents or "
                    "mail, valid now, and not one that signed itself (docs/provenance.md)."
                ) from error

    def close(self) -> None:
        self._signer.close()


@contextmanager
def open_signer(config: ProvenanceConfig, video: Path) -> Iterator[Signer | None]:
    """The signer that the config names, if it names one.

    Raises:
        InputError: it cannot sign, or not such a video.
    """
    if not config.certificate:
        yield None
        return
    if video.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"{video}: provenance.certificate signs {', '.join(SUFFIXES)} only. Write one of "
            "these, or leave provenance.certificate and provenance.key empty."
        )
    signer = Signer(Path(config.certificate), Path(config.key))
    try:
        yield signer
    finally:
        signer.close()


def state(path: Path) -> str:
    """What a video's content credential is worth, in words."""
    try:
        library = _library()
    except InputError:
        return NOT_INSTALLED
    try:
        reader = library.Reader.try_create(path)
    except library.C2paError as error:
        return f"cannot be read ({first_line(error)})"
    if reader is None:
        return "none"
    with reader:
        if reader.get_validation_state() == "Invalid":
            codes = {about["code"] for about in json.loads(reader.json())["validation_status"]}
            return f"INVALID: changed after it was signed, or forged ({', '.join(sorted(codes))})"
        signature = reader.get_active_manifest()["signature_info"]
        who = signature.get("common_name") or signature.get("issuer") or "unknown"
        return (
            f"unchanged since it was signed by {who!r}; whether that is who it says is not checked"
        )


def _library() -> ModuleType:
    try:
        import c2pa
    except ImportError as error:
        raise InputError(
            "provenance.certificate: signing needs the package c2pa-python. Run `make setup` or "
            "`pip install c2pa-python`, or leave provenance.certificate and provenance.key empty."
        ) from error
    return c2pa


def _pem(path: Path, what: str) -> bytes:
    content = require_file(path, what).read_bytes()
    if b"-----BEGIN " not in content:
        raise InputError(f"{path}: expected {what}, but there is no -----BEGIN in it.")
    return content


def _algorithm(secret: bytes, path: Path) -> bytes:
    """C2PA's name of the signature that a private key makes."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(secret, password=None)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path}: provenance.key cannot be read ({first_line(error)}). Expected a PEM file of "
            "a private key that is not encrypted."
        ) from error
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return b"ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        return b"ps256"
    curves = {"secp256r1": b"es256", "secp384r1": b"es384", "secp521r1": b"es512"}
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in curves:
        return curves[key.curve.name]
    raise InputError(
        f"{path}: provenance.key is a {type(key).__name__}; C2PA signs with Ed25519, RSA, or the "
        "curves P-256, P-384 and P-521."
    )
