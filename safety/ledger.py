"""An append-only log of what was released: lines of JSON under a signed Merkle tree (RFC 6962).

`entries.jsonl` has one entry a line, its exact bytes being the leaf; `checkpoint.json` has the
tree's size and root under an Ed25519 signature. Whoever edits, deletes or reorders entries without
the signing key is found out by `verify()`; whoever also puts back an older checkpoint is found
out by a newer one kept elsewhere. Entries hold salted commitments, never a prompt: with the salt
gone (it travels in the image), nobody can tell what was asked.

What it does not show: that an entry was true when written, or that nothing went unlogged.
"""

from __future__ import annotations

import hmac
import logging
import math
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safety import merkle
from safety.checkpoint import Checkpoint, LedgerError, canonical, public_hex
from safety.files import append_line, locked, make_folder, parse_json, write_whole

LONGEST = 1_000_000  # bytes of an entry
log = logging.getLogger("pellucid.safety")


def commit(text: str, salt: bytes) -> str:
    """A salted commitment (HMAC-SHA256, hex): binds to the text, tells nothing without the salt."""
    return hmac.new(salt, text.encode("utf-8", "surrogatepass"), sha256).hexdigest()


def new_salt() -> bytes:
    return secrets.token_bytes(32)


@dataclass(frozen=True)
class LedgerReport:
    """What `Ledger.verify` found; `ok` when `problems` is empty."""

    ok: bool
    size: int
    signed: int  # entries that the checkpoint covers
    problems: tuple[str, ...]
    notices: tuple[str, ...]


class Slot:
    """The next index, held for one release; `commit` writes the entry. Left alone, nothing is."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self.index, self.written = ledger, ledger.size, False

    def commit(self, entry: dict[str, object]) -> None:
        if self.written:
            raise RuntimeError("a slot takes one entry")
        try:
            self._ledger._write(entry, self.index)
        finally:
            # The entry counts once its line is on disk, even if signing it was interrupted.
            self.written = self._ledger.size > self.index


class Ledger:
    """The log in a folder, made there on first use.

    `signer` (Ed25519 private key, or its 32 bytes) signs a checkpoint with each entry; without it
    entries are added unsigned, or the log is only read. `public` (hex) pins whose signature counts.
    """

    def __init__(
        self,
        folder: Path | str,
        signer: Ed25519PrivateKey | bytes | None = None,
        public: str | None = None,
    ) -> None:
        self.folder = Path(folder)
        self._signer = (
            Ed25519PrivateKey.from_private_bytes(signer) if isinstance(signer, bytes) else signer
        )
        if public is None and self._signer is not None:
            public = public_hex(self._signer)
        self.public = public
        self.notices: list[str] = []
        self._leaves: list[bytes] = []
        self._starts: list[int] = []  # byte of entries.jsonl where each entry begins
        self._tree = merkle.Frontier()
        self._read = 0  # bytes of entries.jsonl taken in so far
        if self._entries.exists():
            self._catch_up()

    @property
    def _entries(self) -> Path:
        return self.folder / "entries.jsonl"

    @property
    def _checkpoint(self) -> Path:
        return self.folder / "checkpoint.json"

    @property
    def size(self) -> int:
        """Entries read so far by this object."""
        return len(self._leaves)

    def root(self) -> str:
        return self._tree.root().hex()

    # Writing -------------------------------------------------------------------------------

    def append(self, entry: dict[str, object]) -> int:
        """Add an entry (JSON values) and return its index, once it is on disk."""
        with self.reserve() as slot:
            slot.commit(entry)
        return slot.index

    @contextmanager
    def reserve(self) -> Iterator[Slot]:
        """Hold the next index against every other writer until the block ends.

        Nothing is on disk until `slot.commit(entry)`: an interrupted release leaves no entry, and
        its index goes to the next one.
        """
        make_folder(self.folder)
        with locked(self.folder / "lock"):
            self._catch_up()
            self._agree_with_checkpoint()
            self._mend()
            yield Slot(self)

    def _write(self, entry: dict[str, object], index: int) -> None:
        taken = {"index", "time"} & set(entry)
        if taken:
            raise ValueError(f"the ledger sets {', '.join(sorted(taken))} itself; leave it out")
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = canonical({"index": index, "time": stamp} | entry)
        if len(line) >= LONGEST:
            raise ValueError(f"the entry has {len(line)} bytes, at most {LONGEST - 1} fit")
        append_line(self._entries, line)
        self._take(line)
        if self._signer is not None:
            self._sign()

    def _sign(self) -> None:
        assert self._signer is not None
        made = Checkpoint.sign(self.size, self._tree.root(), self._signer)
        write_whole(self._checkpoint, canonical(made.to_json()) + b"\n")

    def _mend(self) -> None:
        """Cut off what a killed writer or a power cut left behind the last whole entry.

        An entry is acknowledged only once a checkpoint that covers it is on disk too. So what
        comes after the checkpoint and is no entry of its place, or is no whole line, was never
        acknowledged. It is kept in `entries.torn` all the same.
        """
        if not self._entries.exists():
            return
        with open(self._entries, "r+b") as file:
            size, keep = file.seek(0, os.SEEK_END), self._read
            if keep < size:
                file.seek(keep)
                append_line(self.folder / "entries.torn", file.read())
                file.truncate(keep)
                os.fsync(file.fileno())
                self._notice(f"discarded {size - keep} bytes of an unfinished last entry")

    def _notice(self, text: str) -> None:
        self.notices.append(text)
        log.warning("ledger %s: %s", self.folder.name, text)

    # Reading -------------------------------------------------------------------------------

    def _take(self, line: bytes) -> None:
        leaf = merkle.leaf_hash(line)
        self._leaves.append(leaf)
        self._starts.append(self._read)
        self._tree.add(leaf)
        self._read += len(line) + 1

    def _catch_up(self) -> None:
        """Take in the entries that were added since the last look, up to what is none.

        What the checkpoint covers is taken in as it is: saying what is wrong with it is for
        `verify`. So is everything of a ledger that nobody signs.
        """
        if not self._entries.exists():
            if self._read:
                raise LedgerError(f"{self._entries} is gone: restore it from a copy")
            return
        covered = self._covered()
        with open(self._entries, "rb") as file:
            if file.seek(0, os.SEEK_END) < self._read:
                raise LedgerError(f"{self._entries} became shorter: restore it from a copy")
            file.seek(self._read)
            while (line := file.readline(LONGEST)).endswith(b"\n"):
                if self.size >= covered and not _stands(line, self.size):
                    break
                self._take(line[:-1])

    def _covered(self) -> float:
        """How many entries may have been acknowledged."""
        try:
            return self.checkpoint().size
        except LedgerError:
            unsigned = self._signer is None or self._checkpoint.exists()
            return math.inf if unsigned else 0

    def _agree_with_checkpoint(self) -> None:
        """Refuse to sign on top of entries that the last checkpoint does not vouch for."""
        if not self._checkpoint.exists():
            return
        problems = self._against(Checkpoint.load(self._checkpoint), "its checkpoint")
        if problems:
            raise LedgerError(
                f"the ledger in {self.folder} was changed: {problems[0]}; "
                "restore it from a copy, or begin another folder"
            )

    def _against(self, checkpoint: Checkpoint, name: str) -> list[str]:
        if not checkpoint.signed_by(self.public or checkpoint.key):
            return [f"the signature of {name} is not good"]
        if checkpoint.size > self.size:
            return [f"truncated: {name} counts {checkpoint.size} entries, {self.size} are here"]
        if checkpoint.size == self.size:
            same = self.root() == checkpoint.root
        else:
            same = merkle.root(self._leaves[: checkpoint.size]).hex() == checkpoint.root
        return [] if same else [f"the first {checkpoint.size} entries do not give {name}'s root"]

    def checkpoint(self) -> Checkpoint:
        """The signed checkpoint on disk. Raises LedgerError when there is none."""
        return Checkpoint.load(self._checkpoint)

    def entries(self) -> list[dict[str, object]]:
        """All whole entries, in order. Raises LedgerError for a line that is no JSON object."""
        self._catch_up()
        return [_parse(line, index) for index, line in enumerate(self._lines())]

    def entry(self, index: int) -> dict[str, object] | None:
        """One entry, or None when there is none of that index."""
        line = self.line(index)
        return None if line is None else _parse(line, index)

    def line(self, index: int) -> bytes | None:
        """One entry's exact bytes, the leaf of the tree; None when there is none of that index."""
        self._catch_up()
        if not 0 <= index < self.size:
            return None
        with open(self._entries, "rb") as file:
            file.seek(self._starts[index])
            return file.readline(LONGEST)[:-1]

    def _lines(self) -> list[bytes]:
        """The entries taken in so far, as they now stand on disk."""
        if not self._entries.exists():
            return []
        return self._entries.read_bytes().split(b"\n")[: self.size]

    def inclusion_proof(self, index: int, size: int | None = None) -> list[bytes]:
        """The audit path of an entry in the tree of the first `size` entries (all by default)."""
        return merkle.inclusion_proof(self._leaves[:size], index)

    def consistency_proof(self, old_size: int, size: int | None = None) -> list[bytes]:
        """Proof that the tree of `old_size` entries only grew."""
        return merkle.consistency_proof(self._leaves[:size], old_size)

    def includes(self, index: int) -> bool:
        """Whether the signed checkpoint covers entry `index` as it now stands on disk."""
        self._catch_up()
        checkpoint, lines = self.checkpoint(), self._lines()
        leaves = [merkle.leaf_hash(line) for line in lines[: checkpoint.size]]
        if len(leaves) < checkpoint.size or not 0 <= index < checkpoint.size:
            return False
        if not checkpoint.signed_by(self.public or checkpoint.key):
            return False
        proof = merkle.inclusion_proof(leaves, index)
        top = bytes.fromhex(checkpoint.root)
        return merkle.includes(leaves[index], index, checkpoint.size, proof, top)

    def verify(self, against: Checkpoint | None = None) -> LedgerReport:
        """Read everything anew and name what does not hold.

        `against` is a checkpoint kept elsewhere, which also shows a truncation that put an older
        checkpoint back. Reads only, so a log that is being written can be verified.
        """
        fresh = Ledger(self.folder, public=self.public)
        problems: list[str] = []
        notices: list[str] = []
        signed = 0
        for index, line in enumerate(fresh._lines()):
            try:
                found = _parse(line, index).get("index")
            except LedgerError as error:
                problems.append(str(error))
                continue
            if found != index:
                problems.append(f"entry {index} says it is entry {found}: moved, or one is gone")
        if fresh._checkpoint.exists():
            try:
                kept = fresh.checkpoint()
                problems += fresh._against(kept, "its checkpoint")
                signed = min(kept.size, fresh.size)
            except LedgerError as error:
                problems.append(str(error))
        elif fresh.size or against is not None:
            problems.append("there is no checkpoint: nothing vouches for the entries")
        if against is not None:
            problems += fresh._against(against, "the checkpoint kept elsewhere")
        if self.public is None and fresh.size:
            notices.append("whose signature counts was not pinned: the checkpoint's own key did")
        if fresh.size > signed and not problems:
            notices.append(f"{fresh.size - signed} entries came after the checkpoint")
        tail = len(fresh._entries.read_bytes()) - fresh._read if fresh._entries.exists() else 0
        if tail:
            notices.append(f"{tail} bytes of an unfinished last entry do not count")
        return LedgerReport(not problems, fresh.size, signed, tuple(problems), tuple(notices))


def _parse(line: bytes, index: int) -> dict[str, object]:
    try:
        value = parse_json(line)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise LedgerError(f"entry {index} is no JSON object: restore the ledger from a copy")
    return value


def _stands(line: bytes, index: int) -> bool:
    """Whether a line is the entry of this index."""
    try:
        return _parse(line, index).get("index") == index
    except LedgerError:
        return False
