"""Signed statements of how many entries a ledger had, and the root of their Merkle tree."""

from __future__ import annotations

import hmac
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from safety.files import read_json


class LedgerError(ValueError):
    """The ledger on disk is not what its checkpoint vouches for."""


def canonical(value: dict[str, object]) -> bytes:
    """JSON on one line, keys sorted, no spaces: the same bytes for the same value."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )
    return text.encode("ascii")


@dataclass(frozen=True)
class Checkpoint:
    """A signed statement: the log had `size` entries and this root. Keep copies elsewhere."""

    size: int
    root: str  # hex
    key: str  # hex of the Ed25519 public key
    signature: str  # hex

    @staticmethod
    def message(size: int, root: str) -> bytes:
        return f"pellucid ledger checkpoint 1\n{size}\n{root}\n".encode()

    @classmethod
    def sign(cls, size: int, root: bytes, signer: Ed25519PrivateKey) -> Checkpoint:
        signature = signer.sign(cls.message(size, root.hex()))
        return cls(size, root.hex(), public_hex(signer), signature.hex())

    def signed_by(self, key: str) -> bool:
        """Whether the signature is good and of this public key (hex)."""
        try:
            public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.key))
            public.verify(bytes.fromhex(self.signature), self.message(self.size, self.root))
        except (InvalidSignature, ValueError):
            return False
        return hmac.compare_digest(self.key, key)

    def to_json(self) -> dict[str, object]:
        return {"format": "pellucid-checkpoint/1", **asdict(self)}

    @classmethod
    def from_json(cls, data: object) -> Checkpoint:
        """Raises ValueError for anything but what `to_json` makes."""
        fields = data if isinstance(data, dict) else {}
        size = fields.get("size")
        texts = [fields.get(name) for name in ("root", "key", "signature")]
        if type(size) is not int or size < 0:
            raise ValueError("its size is no number")
        for text, digits in zip(texts, (64, 64, 128), strict=True):
            if not isinstance(text, str) or not re.fullmatch(rf"[0-9a-f]{{{digits}}}", text):
                raise ValueError("root, key or signature is not in hex")
        return cls(size, *texts)

    @classmethod
    def load(cls, path: Path | str) -> Checkpoint:
        """Read a checkpoint file. Raises LedgerError when it is not one."""
        try:
            return cls.from_json(read_json(Path(path)))
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else error
            raise LedgerError(
                f"{path} is no ledger checkpoint ({said}): restore it from a copy"
            ) from None


def public_hex(signer: Ed25519PrivateKey) -> str:
    raw = signer.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return raw.hex()
