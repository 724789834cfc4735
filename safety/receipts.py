"""Receipts: an entry with the proof that a signed checkpoint covers it.

A receipt holds without the ledger, offline and for ever: for a released picture, or for whoever
asked to be deleted. `docs/verify_ledger.py` checks one with Python's standard library alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from safety import merkle
from safety.checkpoint import Checkpoint
from safety.files import parse_json, read_json
from safety.ledger import Ledger

FORMAT = "pellucid-receipt/1"
DEEPEST = 64  # hashes in a proof: a tree of 2^64 entries needs no more


class BadReceipt(ValueError):
    """A receipt that can't be read."""


@dataclass(frozen=True)
class Receipt:
    """One entry's exact line, its audit path (RFC 6962, 2.1.1) and the checkpoint it leads to."""

    line: str
    index: int
    proof: tuple[str, ...]  # hex, from the leaf's level upwards
    checkpoint: Checkpoint

    @property
    def entry(self) -> dict[str, object]:
        """The entry itself, or nothing when its line is no JSON object."""
        try:
            value = parse_json(self.line)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    def holds(self, key: str) -> bool:
        """Whether the checkpoint is signed by this public key (hex) and covers the entry."""
        leaf = merkle.leaf_hash(self.line.encode("utf-8", "surrogatepass"))
        path = [bytes.fromhex(text) for text in self.proof]
        top = bytes.fromhex(self.checkpoint.root)
        return (
            self.checkpoint.signed_by(key)
            and self.entry.get("index") == self.index
            and merkle.includes(leaf, self.index, self.checkpoint.size, path, top)
        )

    def to_json(self) -> dict[str, object]:
        return {
            "format": FORMAT,
            "line": self.line,
            "index": self.index,
            "proof": list(self.proof),
            "checkpoint": self.checkpoint.to_json(),
        }

    @classmethod
    def from_json(cls, data: object) -> Receipt:
        """Raises BadReceipt for anything but what `to_json` makes."""
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise BadReceipt(f'its "format" is not "{FORMAT}"')
        line, index, proof = (data.get(name) for name in ("line", "index", "proof"))
        if not isinstance(line, str) or type(index) is not int or not isinstance(proof, list):
            raise BadReceipt("its line, index or proof is missing")
        hashes = [
            one for one in proof if isinstance(one, str) and re.fullmatch("[0-9a-f]{64}", one)
        ]
        if len(hashes) != len(proof) or len(proof) > DEEPEST:
            raise BadReceipt("its proof is not a list of hashes in hex")
        try:
            checkpoint = Checkpoint.from_json(data.get("checkpoint"))
        except ValueError as error:
            raise BadReceipt(f"its checkpoint can't be read: {error}") from None
        return cls(line, index, tuple(hashes), checkpoint)

    @classmethod
    def load(cls, path: Path | str) -> Receipt:
        """Read a receipt file. Raises BadReceipt naming it."""
        try:
            return cls.from_json(read_json(Path(path)))
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else error
            raise BadReceipt(f"the receipt {path} can't be read: {said}") from None


def receipt(ledger: Ledger, index: int) -> Receipt:
    """The receipt of entry `index`. Raises ValueError when the checkpoint does not cover it."""
    checkpoint, line = ledger.checkpoint(), ledger.line(index)
    if line is None or index >= checkpoint.size:
        raise ValueError(f"no checkpoint covers an entry {index}; the ledger has {ledger.size}")
    proof = ledger.inclusion_proof(index, checkpoint.size)
    return Receipt(line.decode(), index, tuple(one.hex() for one in proof), checkpoint)


def record_deletion(ledger: Ledger, commitment: str, what: str) -> Receipt:
    """Log that what `commitment` was made of is deleted, and give the receipt for it.

    `commitment` is a salted one (`safety.ledger.commit`): with its salt deleted too, nobody can
    tell from the ledger what it was, while whoever kept text and salt can still show that it is
    theirs. `what` is a kind of thing, say "template"; never a name.
    """
    index = ledger.append({"kind": "deletion", "of": what, "commitment": commitment})
    return receipt(ledger, index)
