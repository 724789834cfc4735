"""A development certificate authority: a root to pin, and one certificate that signs claims.

It proves that a file is unchanged since *this installation* signed it, to whoever has pinned this
installation's root, and nothing about who that is: anybody can make a certificate with any name.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from safety.files import whole_folder

DAYS = 3650  # of a development certificate


@dataclass(frozen=True)
class Credentials:
    """A signing certificate (its chain, the root left out), its key, and the root to pin; PEM."""

    chain: bytes = field(repr=False)
    key: bytes = field(repr=False)
    anchors: bytes = field(repr=False)

    @classmethod
    def load(cls, folder: Path | str) -> Credentials:
        """Read what `development_ca` wrote. Raises ValueError naming the file at fault."""
        folder = Path(folder)
        made = cls(*(read_secret(folder / name) for name in ("chain.pem", "leaf.key", "root.pem")))
        try:
            leaf = x509.load_pem_x509_certificates(made.chain)[0]
            key = load_pem_private_key(made.key, None)
            x509.load_pem_x509_certificate(made.anchors)
            matching = key.public_key() == leaf.public_key()
        except Exception:  # damaged PEM raises a dozen kinds
            matching = False
        if not matching:
            raise ValueError(
                f"the certificate and key in {folder} do not belong together or are damaged; "
                "restore them, or move the folder away and new ones are made"
            )
        return made


def read_secret(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"{path} can't be read ({error.strerror}); restore it, or move its folder away "
            "and new keys are made"
        ) from None


def development_ca(folder: Path | str) -> Credentials:
    """Make a root and a signing certificate under it (ES256) in `folder`, or load those there.

    The root's key signs one certificate and is then forgotten, so nothing else can be issued
    under the root that verifiers pin. `leaf.key` has mode 0600. For development: no third party
    has checked who you are.
    """
    folder = Path(folder)
    if not (folder / "leaf.key").exists():
        with whole_folder(folder) as new:
            root_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
            root = _certificate("Pellucid development root", root_key)
            leaf = _certificate("Pellucid development signer", leaf_key, root, root_key)
            secret = leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            (new / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
            # Without the root: verifiers have pinned it, and the signature does not cover it.
            (new / "chain.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
            write_secret(new / "leaf.key", secret)
    return Credentials.load(folder)


def write_secret(path: Path, data: bytes) -> None:
    """Write a new file that its owner alone can read, from its first byte on."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None = None,
    issuer_key: ec.EllipticCurvePrivateKey | None = None,
) -> x509.Certificate:
    """A root (no issuer given), or a certificate for signing claims (C2PA 2.1, section 14.5)."""
    is_root = issuer is None
    subject = x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Pellucid development"),
        x509.NameAttribute(NameOID.COMMON_NAME, name),
    ])  # fmt: skip
    signing = issuer_key or key
    now = datetime.now(UTC)
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "encipher_only", "decipher_only"), False,
    )  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not is_root, key_cert_sign=is_root, crl_sign=is_root, **usage
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()),
            critical=False,
        )
    )
    if not is_root:
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purpose, critical=False)
    return builder.sign(signing, hashes.SHA256())
