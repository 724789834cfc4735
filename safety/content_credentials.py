"""Content Credentials (C2PA): a manifest signed into the PNG, and what reading one is worth.

Signing and reading are c2pa-python's. The certificate is a development one that `development_ca`
makes: it proves that a file is unchanged since *this installation* signed it, to whoever has
pinned this installation's root, and nothing about who that is. Anybody can make a certificate with
any name, so only the state "trusted", against pinned anchors, counts.
"""

from __future__ import annotations

import io
import json
import os
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

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

AI_MADE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
# Not in C2PA's registry of soft bindings: only Pellucid with the key can read this mark.
MARK_ALGORITHM = "pellucid.mark.1"
DAYS = 3650  # of a development certificate
State = Literal["trusted", "untrusted", "invalid", "none"]


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
        except (ValueError, TypeError, IndexError):
            matching = False
        if not matching:
            raise ValueError(
                f"the certificate and key in {folder} do not belong together or are damaged; "
                "restore them, or move the folder away and new ones are made"
            )
        return made


@dataclass(frozen=True)
class CredentialsFound:
    """What a file's manifest says. "trusted" alone means: signed under a pinned root, unchanged."""

    state: State
    problems: tuple[str, ...] = ()
    signer: str | None = None  # the certificate's own claim of a name
    serial: str | None = None
    source: str | None = None  # digitalSourceType of c2pa.created
    payload: int | None = None  # watermark payload that the soft binding names
    thumbnail: bool = False

    def to_json(self) -> dict[str, object]:
        return {**asdict(self)}


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


def _settings(anchors: bytes | None) -> dict[str, object]:
    """No thumbnail, no network. c2pa ignores unknown names silently: tests look at the effect."""
    settings: dict[str, object] = {
        "builder": {"thumbnail": {"enabled": False}},
        "verify": {
            "verify_trust": True,
            "remote_manifest_fetch": False,
            "ocsp_fetch": False,
            "verify_after_sign": False,
        },
    }
    if anchors:
        settings["trust"] = {"trust_anchors": anchors.decode("ascii")}
    return settings


def manifest(payload: int, version: str = "") -> dict[str, object]:
    """Made by a trained model, and bound to the watermark's payload."""
    agent = {"name": "Pellucid"} | ({"version": version} if version else {})
    actions = [
        {"action": "c2pa.created", "digitalSourceType": AI_MADE, "softwareAgent": agent},
        {"action": "c2pa.watermarked"},
    ]
    binding = {"alg": MARK_ALGORITHM, "blocks": [{"scope": {}, "value": f"{payload:08x}"}]}
    return {
        "claim_generator_info": [agent],
        "title": "image",
        "format": "image/png",
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": actions}},
            {"label": "c2pa.soft-binding", "data": binding},
        ],
    }


def sign_png(png: bytes, credentials: Credentials, payload: int, version: str = "") -> bytes:
    """PNG bytes with a signed manifest. Anything written into the file afterwards breaks it."""
    import c2pa

    information = c2pa.C2paSignerInfo(b"es256", credentials.chain, credentials.key, None)
    out = io.BytesIO()
    try:
        with (
            c2pa.Signer.from_info(information) as signer,
            c2pa.Context.from_dict(_settings(credentials.anchors)) as context,
            c2pa.Builder(manifest(payload, version), context=context) as builder,
        ):
            builder.sign(signer, "image/png", io.BytesIO(png), out)
    except c2pa.C2paError as error:
        raise ValueError(
            f"c2pa refused to sign ({error}); the certificate may have expired: "
            "move its folder away and a new one is made"
        ) from None
    return out.getvalue()


def read_credentials(
    data: bytes, mime: str = "image/png", anchors: bytes | None = None
) -> CredentialsFound:
    """Read the manifest in a file's bytes, against pinned root certificates (PEM)."""
    import c2pa

    try:
        with (
            c2pa.Context.from_dict(_settings(anchors)) as context,
            c2pa.Reader(mime, io.BytesIO(data), context=context) as reader,
        ):
            state, told = str(reader.get_validation_state()), json.loads(reader.json())
    except c2pa.C2paError as error:
        text = str(error)
        if "ManifestNotFound" in text or "no JUMBF" in text:
            return CredentialsFound("none")
        if text.startswith("Remote"):
            return CredentialsFound("none", ("it names a manifest elsewhere, not fetched",))
        if "UnsupportedType" in text or "NotSupported" in text:
            return CredentialsFound("none", (f"c2pa does not read {mime}",))
        return CredentialsFound("invalid", (text,))
    known: dict[str, State] = {"Trusted": "trusted", "Valid": "untrusted"}
    found = known.get(state, "invalid")
    if found == "trusted" and not anchors:
        found = "untrusted"  # trusted by a list that nobody here has pinned
    failures = told.get("validation_status") or []
    problems = tuple(dict.fromkeys(str(one.get("code", one)) for one in failures))
    active = told.get("manifests", {}).get(told.get("active_manifest"), {})
    return CredentialsFound(found, problems, **_claims(active))


def _claims(active: dict) -> dict:
    """What the manifest claims about signer, source and watermark."""
    signature = active.get("signature_info") or {}
    claims: dict = {
        "signer": signature.get("common_name") or signature.get("issuer"),
        "serial": signature.get("cert_serial_number"),
        "thumbnail": active.get("thumbnail") is not None,
    }
    for assertion in active.get("assertions", []):
        label, data = str(assertion.get("label")), assertion.get("data") or {}
        if label.startswith("c2pa.actions"):
            for action in data.get("actions", []):
                if action.get("action") == "c2pa.created":
                    claims["source"] = action.get("digitalSourceType")
        if label.startswith("c2pa.soft-binding") and data.get("alg") == MARK_ALGORITHM:
            try:
                claims["payload"] = int(data["blocks"][0]["value"], 16)
            except (KeyError, IndexError, TypeError, ValueError):
                continue
    return claims
