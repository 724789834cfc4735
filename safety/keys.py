"""One folder of secrets: the watermark key, the ledger's signing key, the signing certificate."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safety.certificates import Credentials, development_ca, read_secret, write_secret
from safety.files import whole_folder
from safety.ledger import public_hex

SIZE = 32  # bytes of each key


@dataclass(frozen=True)
class Keys:
    """What releasing and verifying need. Printing it shows no secret."""

    folder: Path
    watermark: bytes = field(repr=False)
    ledger: bytes = field(repr=False)  # Ed25519 private key
    credentials: Credentials

    @property
    def anchors(self) -> bytes:
        """The root certificate to pin, PEM."""
        return self.credentials.anchors

    @property
    def ledger_public(self) -> str:
        """The ledger's public key, hex."""
        return public_hex(Ed25519PrivateKey.from_private_bytes(self.ledger))


def keys(folder: Path | str) -> Keys:
    """Load the keys in `folder`, making them on first use (folder 0700, secrets 0600).

    Lose them and old marks can no longer be read; share them and others can mark in your name.
    Raises ValueError naming the file when one is missing or damaged: nothing is replaced.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; give a folder for the keys")
    if not folder.exists() or not any(folder.iterdir()):
        with whole_folder(folder) as new:
            write_secret(new / "watermark.key", secrets.token_bytes(SIZE))
            write_secret(new / "ledger.key", secrets.token_bytes(SIZE))
            development_ca(new / "credentials")
    watermark, ledger = (_key(folder / name) for name in ("watermark.key", "ledger.key"))
    return Keys(folder, watermark, ledger, Credentials.load(folder / "credentials"))


def _key(path: Path) -> bytes:
    data = read_secret(path)
    if len(data) != SIZE:
        raise ValueError(
            f"{path} has {len(data)} bytes, expected {SIZE}; restore it, or move its folder away "
            "and new keys are made"
        )
    return data
