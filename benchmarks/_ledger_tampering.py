"""Ways to tamper with a ledger, by whoever can write its folder and may even hold its key.

Each starts from an honest ledger of which a checkpoint is kept elsewhere. Two verifiers are asked
afterwards: `Ledger.verify`, and `docs/verify_ledger.py`, which shares no code with it.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from safety.checkpoint import Checkpoint
from safety.ledger import Ledger

ROOT = Path(__file__).parent.parent
Lines = list[bytes]
Change = Callable[[Lines, np.random.Generator], Lines]


@dataclass(frozen=True)
class Case:
    """What is done to the lines; `sign` makes the folder's checkpoint anew, by the owner's key."""

    change: Change
    sign: str = ""  # "owner", "stranger", or "" for the old checkpoint
    lie: bool = True


def _edit(lines: Lines, rng: np.random.Generator) -> Lines:
    at = int(rng.integers(len(lines)))
    entry = json.loads(lines[at])
    entry["value"] += 1
    return [*lines[:at], json.dumps(entry, sort_keys=True).encode(), *lines[at + 1 :]]


def _flip(lines: Lines, rng: np.random.Generator) -> Lines:
    at = int(rng.integers(len(lines)))
    broken = bytearray(lines[at])
    broken[int(rng.integers(len(broken)))] ^= 1 << int(rng.integers(7))
    return [*lines[:at], bytes(broken).replace(b"\n", b" "), *lines[at + 1 :]]


def _delete(lines: Lines, rng: np.random.Generator) -> Lines:
    at = int(rng.integers(len(lines) - 1))  # the last one's deletion is a truncation
    return lines[:at] + lines[at + 1 :]


def _renumbered(lines: Lines) -> Lines:
    return [json.dumps(json.loads(x) | {"index": i}, sort_keys=True).encode()
            for i, x in enumerate(lines)]  # fmt: skip


def _swap(lines: Lines, rng: np.random.Generator) -> Lines:
    one, other = sorted(rng.choice(len(lines), 2, replace=False))
    lines = list(lines)
    lines[one], lines[other] = lines[other], lines[one]
    return lines


def _insert(lines: Lines, rng: np.random.Generator) -> Lines:
    at = int(rng.integers(len(lines)))
    return _renumbered([*lines[:at], lines[0], *lines[at:]])


def _repeat(lines: Lines, rng: np.random.Generator) -> Lines:
    # The last one's copy would stand behind the checkpoint, where a torn tail may: no entry.
    at = int(rng.integers(len(lines) - 1))
    return [*lines[:at], lines[at], *lines[at:]]


def _cut(lines: Lines, rng: np.random.Generator) -> Lines:
    return lines[: int(rng.integers(1, len(lines)))]


def _same(lines: Lines, rng: np.random.Generator) -> Lines:
    return lines


def _grown(lines: Lines, rng: np.random.Generator) -> Lines:
    more = [json.dumps({"index": len(lines) + i, "value": 7}).encode() for i in range(3)]
    return [*lines, *more]


def _forked(lines: Lines, rng: np.random.Generator) -> Lines:
    """Another history from some entry on, and longer than the first."""
    return _grown(_edit(lines, rng), rng)


CASES: dict[str, Case] = {
    "an entry edited": Case(_edit),
    "a bit flipped": Case(_flip),
    "an entry deleted": Case(_delete),
    "an entry deleted, the rest renumbered": Case(lambda x, rng: _renumbered(_delete(x, rng))),
    "two entries swapped": Case(_swap),
    "two entries swapped and renumbered": Case(lambda x, rng: _renumbered(_swap(x, rng))),
    "an entry put in": Case(_insert),
    "an entry repeated": Case(_repeat),
    "truncated": Case(_cut),
    "truncated, signed anew by the owner": Case(_cut, "owner"),
    "edited, signed anew by the owner": Case(_edit, "owner"),
    "forked, signed anew by the owner": Case(_forked, "owner"),
    "edited, signed anew by a stranger": Case(_edit, "stranger"),
    "unchanged, signed anew by a stranger": Case(_same, "stranger"),
    "emptied": Case(lambda lines, rng: []),
    "honest": Case(_same, lie=False),
    "honest, grown since": Case(_grown, "owner", lie=False),
}


def tampered(base: Path, case: str, rng: np.random.Generator) -> tuple[Checkpoint, str]:
    """A ledger in `base` with that done to it; the checkpoint kept elsewhere, the public key."""
    signer, stranger = rng.bytes(32), rng.bytes(32)
    ledger = Ledger(base / "ledger", signer)
    for value in range(int(rng.integers(3, 20))):
        ledger.append({"kind": "test", "value": value})
    kept, what = ledger.checkpoint(), CASES[case]
    assert ledger.public is not None
    path = base / "ledger" / "entries.jsonl"
    lines = what.change(path.read_bytes().split(b"\n")[:-1], rng)
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    if what.sign:
        _signed(path, signer if what.sign == "owner" else stranger)
    return kept, ledger.public


def _signed(path: Path, signer: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from safety import merkle

    leaves = [merkle.leaf_hash(line) for line in path.read_bytes().split(b"\n")[:-1]]
    key = Ed25519PrivateKey.from_private_bytes(signer)
    made = Checkpoint.sign(len(leaves), merkle.root(leaves), key)
    path.with_name("checkpoint.json").write_text(json.dumps(made.to_json()))


def accusations(base: Path, kept: Checkpoint, public: str) -> dict[str, list[str]]:
    """What each verifier finds wrong, given the public key and the checkpoint kept elsewhere."""
    report = Ledger(base / "ledger", public=public).verify(kept)
    spec = importlib.util.spec_from_file_location("verify_ledger", ROOT / "docs/verify_ledger.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    try:
        theirs, _ = script.check_folder(base / "ledger", public, kept.to_json())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        theirs = [f"it can't be read ({error})"]  # as its own command line says it
    return {"pellucid": list(report.problems), "independent script": theirs}
