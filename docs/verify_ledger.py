"""Verify a Pellucid ledger, or one receipt, with Python's standard library alone.

    python verify_ledger.py LEDGER_FOLDER [--key HEX] [--against CHECKPOINT]
    python verify_ledger.py RECEIPT.json [--key HEX]

It shares no code with Pellucid: Merkle trees by RFC 6962 (section 2.1), signatures by RFC 8032
(section 5.1.7). `--key` is the ledger's public key as you know it from elsewhere; without it the
checkpoint's own key is believed. A person's own receipt (`pellucid consent receipt`) also has what
its entry commits to, which is checked. `--against` is a checkpoint that you kept: it also shows a
truncated or forked ledger. Prints one line; the exit code is 0 when all of it holds, else 1.
"""

import argparse
import hmac
import json
import sys
from hashlib import sha256, sha512
from pathlib import Path

P = 2**255 - 19  # the field of Ed25519
Q = 2**252 + 27742317777372353535851937790883648493  # the order of its base point
D = -121665 * pow(121666, -1, P) % P


def add(a, b):
    """Sum of two points in extended coordinates (RFC 8032, 5.1.4)."""
    m, n = (a[1] - a[0]) * (b[1] - b[0]), (a[1] + a[0]) * (b[1] + b[0])
    t, z = 2 * a[3] * b[3] * D, 2 * a[2] * b[2]
    e, f, g, h = n - m, z - t, z + t, n + m
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(k, point):
    total = (0, 1, 1, 0)
    while k:
        if k & 1:
            total = add(total, point)
        point, k = add(point, point), k >> 1
    return total


def decode(data):
    """A point from 32 bytes (RFC 8032, 5.1.3), or None."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or x * x % P != square or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = decode((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def signed(key, message, signature):
    """Whether an Ed25519 signature is good."""
    public, r = decode(key), decode(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if public is None or r is None or s >= Q or len(signature) != 64:
        return False
    h = int.from_bytes(sha512(signature[:32] + key + message).digest(), "little") % Q
    left, right = times(s, BASE), add(r, times(h, public))
    return all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))


def node(left, right):
    return sha256(b"\x01" + left + right).digest()


def root(leaves):
    """The tree's root: odd ones out go up as they are, which is RFC 6962's tree."""
    while len(leaves) > 1:
        pairs = [node(a, b) for a, b in zip(leaves[::2], leaves[1::2], strict=False)]
        leaves = pairs + (leaves[-1:] if len(leaves) % 2 else [])
    return leaves[0] if leaves else sha256(b"").digest()


def climb(leaf, index, size, path):
    """The root that an audit path leads to, or None when the path does not fit the tree."""
    path = list(path)
    while size > 1:
        if index ^ 1 < size:  # it has a sibling
            if not path:
                return None
            other = path.pop(0)
            leaf = node(other, leaf) if index & 1 else node(leaf, other)
        index, size = index // 2, (size + 1) // 2
    return None if path else leaf


def check_signature(checkpoint, key):
    size, top = checkpoint["size"], checkpoint["root"]
    message = f"pellucid ledger checkpoint 1\n{size}\n{top}\n".encode()
    if key and key != checkpoint["key"]:
        return ["the checkpoint is of another key"]
    good = signed(*(bytes.fromhex(t) for t in (key or checkpoint["key"], message.hex(),
                                               checkpoint["signature"])))  # fmt: skip
    return [] if good else ["the checkpoint's signature is not good"]


def check_folder(folder, key, against):
    """What is wrong with a ledger's folder."""
    lines = (folder / "entries.jsonl").read_bytes().split(b"\n")[:-1]
    leaves = [sha256(b"\x00" + line).digest() for line in lines]
    own = json.loads((folder / "checkpoint.json").read_text())
    problems = []
    for name, one in (("its checkpoint", own), ("the checkpoint kept elsewhere", against)):
        if one is None:
            continue
        problems += check_signature(one, key)
        if one["size"] > len(lines):
            problems.append(f"truncated: {name} counts {one['size']} entries, not {len(lines)}")
        elif root(leaves[: one["size"]]).hex() != one["root"]:
            problems.append(f"the first {one['size']} entries do not give the root of {name}")
    for index, line in enumerate(lines[: own["size"]]):
        if json.loads(line)["index"] != index:
            problems.append(f"entry {index} stands in another's place")
    return problems, f"{own['size']} entries"


def check_receipt(receipt, key):
    """What is wrong with a receipt."""
    checkpoint, problems = receipt["checkpoint"], check_signature(receipt["checkpoint"], key)
    leaf = sha256(b"\x00" + receipt["line"].encode()).digest()
    path = [bytes.fromhex(text) for text in receipt["proof"]]
    top = climb(leaf, receipt["index"], checkpoint["size"], path)
    if not 0 <= receipt["index"] < checkpoint["size"] or not top or top.hex() != checkpoint["root"]:
        problems.append("the proof does not lead from the entry to the checkpoint's root")
    if json.loads(receipt["line"])["index"] != receipt["index"]:
        problems.append("the entry is of another index")
    if "opening" in receipt:  # a person's own receipt has what the entry's commitment is made of
        salt, statement = bytes.fromhex(receipt["opening"]["salt"]), receipt["opening"]["statement"]
        made = hmac.new(salt, statement.encode(), sha256).hexdigest()
        if made != json.loads(receipt["line"])["commitment"]:
            problems.append("the statement is not what the entry commits to")
    return problems, f"entry {receipt['index']} of {checkpoint['size']}"


def main():
    parser = argparse.ArgumentParser(description="Verify a ledger or a receipt.")
    parser.add_argument("path", type=Path, help="a ledger's folder, or a receipt")
    parser.add_argument("--key", help="the ledger's public key, in hex")
    parser.add_argument("--against", type=Path, help="a checkpoint kept elsewhere")
    args = parser.parse_args()
    try:
        if args.path.is_dir():
            kept = json.loads(args.against.read_text()) if args.against else None
            problems, found = check_folder(args.path, args.key, kept)
        else:
            problems, found = check_receipt(json.loads(args.path.read_text()), args.key)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        problems, found = [f"it can't be read ({type(error).__name__}: {error})"], ""
    print(f"{args.path}: " + ("; ".join(problems) if problems else f"holds, {found}"))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
