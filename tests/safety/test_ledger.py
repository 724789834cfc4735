"""The ledger: RFC 6962 by hand, whatever tampering, several writers, a kill in mid-append."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safety import merkle
from safety.files import Busy, locked
from safety.ledger import Checkpoint, Ledger, LedgerError, commit

ROOT = Path(__file__).parents[2]
SIGNER = bytes(range(32))
# Inputs and roots of RFC 6962's reference implementation (certificate-transparency's
# merkletree tests), for trees of the first 1 to 8 inputs.
INPUTS = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657",
                 "606162636465666768696a6b6c6d6e6f")
]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def leaves(n: int) -> list[bytes]:
    return [merkle.leaf_hash(b"%d" % i) for i in range(n)]


def by_definition(hashes: list[bytes]) -> bytes:
    """RFC 6962, 2.1, as it is written there."""
    if not hashes:
        return sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    both = by_definition(hashes[:k]) + by_definition(hashes[k:])
    return sha256(b"\x01" + both).digest()


def test_roots_are_those_of_the_reference_implementation() -> None:
    assert merkle.root([]).hex() == (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )
    for n, expected in enumerate(ROOTS, start=1):
        assert merkle.root([merkle.leaf_hash(text) for text in INPUTS[:n]]).hex() == expected


def test_proofs_of_the_tree_drawn_in_the_rfc() -> None:
    """RFC 6962, 2.1.3: seven leaves d0 to d6, nodes a to l."""
    d = leaves(7)
    a, b, c = d[0], d[1], d[2]
    g, h, i = (merkle.node_hash(d[k], d[k + 1]) for k in (0, 2, 4))
    j = d[6]
    k, m = merkle.node_hash(g, h), merkle.node_hash(i, j)
    assert merkle.inclusion_proof(d, 0) == [b, h, m]
    assert merkle.inclusion_proof(d, 3) == [c, g, m]
    assert merkle.inclusion_proof(d, 4) == [d[5], j, k]
    assert merkle.inclusion_proof(d, 6) == [i, k]
    assert merkle.consistency_proof(d, 3) == [c, d[3], g, m]
    assert merkle.consistency_proof(d, 4) == [m]
    assert merkle.consistency_proof(d, 6) == [i, j, k]
    assert merkle.root(d) == merkle.node_hash(k, m) and a == d[0]


@pytest.mark.parametrize("n", range(1, 20))
def test_every_proof_holds_and_every_change_of_it_fails(n: int) -> None:
    hashes = leaves(n)
    top = merkle.root(hashes)
    assert top == by_definition(hashes)
    for index in range(n):
        proof = merkle.inclusion_proof(hashes, index)
        assert merkle.includes(hashes[index], index, n, proof, top)
        assert not merkle.includes(hashes[index], (index + 1) % n, n, proof, top) or n == 1
        assert not merkle.includes(b"x" * 32, index, n, proof, top)
        assert not merkle.includes(hashes[index], index, n, [*proof, top], top)
        if proof:
            assert not merkle.includes(hashes[index], index, n, proof[:-1], top)
    for old in range(1, n + 1):
        before = merkle.root(hashes[:old])
        proof = merkle.consistency_proof(hashes, old)
        assert merkle.extends(old, before, n, top, proof)
        assert not merkle.extends(old, b"x" * 32, n, top, proof)
        assert not merkle.extends(old, before, n, b"x" * 32, proof)
        assert not merkle.extends(old, before, n, top, [*proof, top])


def filled(folder: Path, n: int = 6) -> Ledger:
    ledger = Ledger(folder, SIGNER)
    for i in range(n):
        assert ledger.append({"kind": "test", "value": i}) == i
    return ledger


def lines(folder: Path) -> list[str]:
    return (folder / "entries.jsonl").read_text().splitlines(keepends=True)


def test_entries_come_back_signed_and_proven(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    report = ledger.verify()
    assert report.ok and (report.size, report.signed) == (6, 6) and not report.notices
    assert [entry["value"] for entry in ledger.entries()] == list(range(6))
    assert all(ledger.includes(i) for i in range(6)) and not ledger.includes(6)
    assert ledger.entry(6) is None and ledger.entry(-1) is None
    early = merkle.root([merkle.leaf_hash(text[:-1].encode()) for text in lines(tmp_path)[:4]])
    proof = ledger.consistency_proof(4)
    assert merkle.extends(4, early, 6, bytes.fromhex(ledger.root()), proof)
    assert Ledger(tmp_path, SIGNER).root() == ledger.checkpoint().root


@pytest.mark.parametrize(
    ("name", "tamper"),
    [
        ("edit", lambda rows: [rows[0].replace('"value":0', '"value":9'), *rows[1:]]),
        ("delete", lambda rows: [*rows[:2], *rows[3:]]),
        ("reorder", lambda rows: [rows[1], rows[0], *rows[2:]]),
        ("truncate", lambda rows: rows[:-1]),
        ("insert", lambda rows: [*rows[:3], rows[2], *rows[3:]]),
        ("no JSON", lambda rows: ["hello\n", *rows[1:]]),
    ],
)
def test_tampering_is_found_and_not_signed_over(tmp_path: Path, name: str, tamper) -> None:
    filled(tmp_path)
    (tmp_path / "entries.jsonl").write_text("".join(tamper(lines(tmp_path))))
    report = Ledger(tmp_path, SIGNER).verify()
    assert not report.ok and report.problems
    with pytest.raises(LedgerError, match="was changed"):
        Ledger(tmp_path, SIGNER).append({"kind": "test"})


def test_truncation_with_an_older_checkpoint_put_back(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    older = ledger.checkpoint()
    old_file = (tmp_path / "checkpoint.json").read_bytes()
    ledger.append({"kind": "regretted"})
    kept_elsewhere = ledger.checkpoint()
    (tmp_path / "entries.jsonl").write_text("".join(lines(tmp_path)[:-1]))
    (tmp_path / "checkpoint.json").write_bytes(old_file)
    again = Ledger(tmp_path, SIGNER)
    assert again.verify().ok  # from the folder alone nobody can tell
    assert again.verify(older).ok
    report = again.verify(kept_elsewhere)
    assert not report.ok and "truncated" in report.problems[0]


def test_another_signer_or_no_checkpoint_is_found(tmp_path: Path) -> None:
    mine = filled(tmp_path)
    other = Ed25519PrivateKey.generate()
    forged = Checkpoint.sign(6, bytes.fromhex(mine.root()), other)
    (tmp_path / "checkpoint.json").write_text(json.dumps(forged.to_json()))
    assert "signature" in mine.verify().problems[0] and not mine.includes(0)
    assert Ledger(tmp_path).verify().notices  # not pinned, and it says so
    (tmp_path / "checkpoint.json").write_text("{}")
    assert "no ledger checkpoint" in mine.verify().problems[0]
    (tmp_path / "checkpoint.json").unlink()
    assert "no checkpoint" in mine.verify().problems[0]


def test_an_unfinished_last_line_is_discarded_with_notice(tmp_path: Path) -> None:
    filled(tmp_path)
    with open(tmp_path / "entries.jsonl", "a") as file:
        file.write('{"index":6,"kind":"te')
    report = Ledger(tmp_path, SIGNER).verify()
    assert report.ok and report.size == 6 and "unfinished" in report.notices[0]
    ledger = Ledger(tmp_path, SIGNER)
    assert ledger.append({"kind": "next"}) == 6
    assert "unfinished" in ledger.notices[0] and ledger.verify().ok


def test_killed_after_the_entry_before_the_checkpoint(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    before = (tmp_path / "checkpoint.json").read_bytes()
    ledger.append({"kind": "acknowledged by nobody yet"})
    (tmp_path / "checkpoint.json").write_bytes(before)
    report = ledger.verify()
    assert report.ok and (report.size, report.signed) == (7, 6) and report.notices
    assert Ledger(tmp_path, SIGNER).append({"kind": "next"}) == 7
    assert ledger.verify().signed == 8


def test_a_reservation_that_is_left_writes_nothing(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    before = (tmp_path / "entries.jsonl").read_bytes()
    with pytest.raises(RuntimeError, match="interrupted"), ledger.reserve() as slot:
        assert slot.index == 6
        raise RuntimeError("interrupted")
    assert (tmp_path / "entries.jsonl").read_bytes() == before
    assert ledger.append({"kind": "next"}) == 6


WRITER = """
import sys
from safety.ledger import Ledger
ledger = Ledger(sys.argv[1], bytes(range(32)))
for i in range(int(sys.argv[2])):
    print(ledger.append({"kind": "test", "who": sys.argv[3], "value": i}), flush=True)
"""


def start(folder: Path, n: int, who: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", WRITER, str(folder), str(n), who]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_several_writers_share_it(tmp_path: Path) -> None:
    writers = [start(tmp_path, 30, str(who)) for who in range(3)]
    told = [int(word) for writer in writers for word in writer.communicate()[0].split()]
    assert sorted(told) == list(range(90))
    assert Ledger(tmp_path, SIGNER).verify().ok


def test_a_kill_loses_nothing_acknowledged(tmp_path: Path) -> None:
    writer = start(tmp_path, 100_000, "victim")
    assert writer.stdout is not None
    told = [int(writer.stdout.readline()) for _ in range(40)]
    os.kill(writer.pid, signal.SIGKILL)
    told += [int(word) for word in writer.communicate()[0].split()]
    ledger = Ledger(tmp_path, SIGNER)
    assert ledger.verify().ok and ledger.size >= len(told)
    assert ledger.append({"kind": "after"}) >= len(told)
    assert ledger.verify().ok


def test_a_lock_held_by_another_is_one_sentence(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"), pytest.raises(Busy, match="holds"):
        locked(tmp_path / "lock", wait=0.02).__enter__()
    with locked(tmp_path / "lock", wait=0.02):
        pass  # given back


def test_commitments_bind_and_hide() -> None:
    salt = b"s" * 32
    assert commit("a doctor", salt) == commit("a doctor", salt)
    assert commit("a doctor", salt) != commit("a chef", salt)
    assert commit("a doctor", salt) != commit("a doctor", b"t" * 32)


def test_own_fields_cannot_be_set(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="index"):
        Ledger(tmp_path, SIGNER).append({"index": 4})
    with pytest.raises(ValueError, match="JSON"):
        Ledger(tmp_path, SIGNER).append({"x": float("nan")})
