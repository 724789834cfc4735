"""Merkle trees of RFC 6962, section 2.1: roots, inclusion proofs and consistency proofs.

Hashes are SHA-256 of 32 bytes; leaves and nodes are hashed apart, so that neither passes for the
other. Everything here is a function of leaf hashes; files are `safety.ledger`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

EMPTY = sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def _split(n: int) -> int:
    """The largest power of two smaller than n (n > 1)."""
    return 1 << ((n - 1).bit_length() - 1)


class Frontier:
    """The roots of the full subtrees of a growing tree: adds a leaf in O(log n)."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []  # largest first, one per bit of size

    def add(self, leaf: bytes) -> None:
        self.size += 1
        for _ in range((self.size & -self.size).bit_length() - 1):
            leaf = node_hash(self._peaks.pop(), leaf)
        self._peaks.append(leaf)

    def root(self) -> bytes:
        if not self._peaks:
            return EMPTY
        top = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            top = node_hash(peak, top)
        return top


def root(leaves: Sequence[bytes]) -> bytes:
    """Root of leaf hashes (RFC 6962, 2.1)."""
    tree = Frontier()
    for leaf in leaves:
        tree.add(leaf)
    return tree.root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of leaf `index` (RFC 6962, 2.1.1), from the leaf's level upwards."""
    if not 0 <= index < len(leaves):
        raise ValueError(f"there is no entry {index}; the tree has {len(leaves)}, from 0")
    if len(leaves) == 1:
        return []
    k = _split(len(leaves))
    if index < k:
        return [*inclusion_proof(leaves[:k], index), root(leaves[k:])]
    return [*inclusion_proof(leaves[k:], index - k), root(leaves[:k])]


def includes(leaf: bytes, index: int, size: int, proof: Sequence[bytes], top: bytes) -> bool:
    """Whether an audit path leads from a leaf to the root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(sibling, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and found == top


def consistency_proof(leaves: Sequence[bytes], size: int) -> list[bytes]:
    """That the first `size` leaves were a tree of their own (RFC 6962, 2.1.2)."""
    if not 0 < size <= len(leaves):
        raise ValueError(f"no proof from size {size}; the tree has {len(leaves)} entries")
    return _subproof(leaves, size, whole=True)


def _subproof(leaves: Sequence[bytes], size: int, whole: bool) -> list[bytes]:
    if size == len(leaves):
        return [] if whole else [root(leaves)]
    k = _split(len(leaves))
    if size <= k:
        return [*_subproof(leaves[:k], size, whole), root(leaves[k:])]
    return [*_subproof(leaves[k:], size - k, False), root(leaves[:k])]


def extends(
    old_size: int, old_root: bytes, size: int, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether a proof shows that a tree only grew from an older one (RFC 9162, 2.1.4.2)."""
    if not 0 < old_size <= size:
        return False
    if old_size == size:
        return not proof and old_root == new_root
    path = list(proof) if old_size & (old_size - 1) else [old_root, *proof]
    if not path:
        return False
    at, last = old_size - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    before = after = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            after = node_hash(after, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root
