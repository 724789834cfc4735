"""Receipts, power cuts, and the independent script that checks both."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks._ledger_faults import outcomes, power_cut, run_trials, told
from safety import merkle
from safety.checkpoint import Checkpoint, LedgerError
from safety.ledger import Ledger, commit, new_salt
from safety.receipts import BadReceipt, Receipt, receipt, record_deletion

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs" / "verify_ledger.py"
SIGNER = bytes(range(32))


def _script():
    spec = importlib.util.spec_from_file_location("verify_ledger", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def filled(folder: Path, n: int = 7, signer: bytes = SIGNER) -> Ledger:
    ledger = Ledger(folder, signer)
    for i in range(n):
        ledger.append({"kind": "test", "value": i})
    return ledger


def says(*arguments: object) -> tuple[int, str]:
    """The script's exit code and line, run as its reader would: alone, isolated."""
    command = [sys.executable, "-I", str(SCRIPT), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/")
    assert not done.stderr
    return done.returncode, done.stdout


def test_a_receipt_holds_without_the_ledger(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "ledger")
    key = str(ledger.public)
    for index in range(7):
        found = receipt(ledger, index)
        assert found.holds(key) and found.entry["value"] == index
        assert Receipt.from_json(json.loads(json.dumps(found.to_json()))) == found
        assert not found.holds("ab" * 32)
        changed = found.line.replace(f'"value":{index}', '"value":9')
        assert not dataclasses.replace(found, line=changed).holds(key)
        assert not dataclasses.replace(found, index=(index + 1) % 7).holds(key)
    with pytest.raises(ValueError, match="no checkpoint covers an entry 7"):
        receipt(ledger, 7)


def test_a_deletion_leaves_a_receipt_and_no_name(tmp_path: Path) -> None:
    ledger, salt = filled(tmp_path / "ledger"), new_salt()
    found = record_deletion(ledger, commit("Zora Quill", salt), "template")
    assert found.holds(str(ledger.public)) and ledger.verify().ok
    assert found.entry["of"] == "template" and "Zora" not in found.line
    assert found.entry["commitment"] == commit("Zora Quill", salt)


def test_bad_receipts_are_one_sentence(tmp_path: Path) -> None:
    good = receipt(filled(tmp_path / "ledger"), 2).to_json()
    file = tmp_path / "r.json"
    for wrong in [
        "[]", "{", "[" * 100_000, "null", '{"format": "pellucid-receipt/1"}',
        json.dumps(good | {"proof": ["zz"]}), json.dumps(good | {"proof": ["00" * 32] * 65}),
        json.dumps(good | {"index": True}), json.dumps(good | {"checkpoint": {"size": "7"}}),
    ]:  # fmt: skip
        file.write_text(wrong)
        with pytest.raises(BadReceipt, match=r"the receipt .*r\.json can't be read"):
            Receipt.load(file)
        assert says(file)[0] == 1
    with pytest.raises(BadReceipt, match="No such file"):
        Receipt.load(tmp_path / "absent.json")


def test_the_script_agrees_on_whole_ledgers_and_receipts(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "ledger")
    kept = tmp_path / "kept.json"
    kept.write_bytes((tmp_path / "ledger" / "checkpoint.json").read_bytes())
    ledger.append({"kind": "later"})
    (tmp_path / "r.json").write_text(json.dumps(receipt(ledger, 5).to_json()))
    key = ledger.public
    code, line = says(tmp_path / "ledger", "--key", key, "--against", kept)
    assert code == 0 and "holds, 8 entries" in line
    code, line = says(tmp_path / "r.json", "--key", key)
    assert code == 0 and "holds, entry 5 of 8" in line
    assert says(tmp_path / "ledger", "--key", "ab" * 32)[0] == 1
    assert says(tmp_path / "r.json", "--key", "ab" * 32)[0] == 1
    assert says(tmp_path / "absent")[0] == 1


def test_the_scripts_signatures_are_those_of_the_library() -> None:
    script, rng = _script(), random.Random(3)
    for _ in range(6):
        signer = Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))
        public, message = signer.public_key().public_bytes_raw(), rng.randbytes(40)
        good = signer.sign(message)
        assert script.signed(public, message, good)
        for part in (public, message, good):
            wrong = bytearray(part)
            wrong[rng.randrange(len(part))] ^= 1 << rng.randrange(8)
            changed = [bytes(wrong) if one is part else one for one in (public, message, good)]
            assert not script.signed(*changed)


@pytest.mark.parametrize("n", [1, 2, 3, 6, 7, 8, 13])
def test_the_scripts_trees_are_those_of_the_rfc(n: int) -> None:
    script, leaves = _script(), [merkle.leaf_hash(b"%d" % i) for i in range(n)]
    top = merkle.root(leaves)
    assert script.root(leaves) == top
    for index in range(n):
        proof = merkle.inclusion_proof(leaves, index)
        assert script.climb(leaves[index], index, n, proof) == top
        assert script.climb(leaves[index], index, n, [*proof, top]) is None
        assert n == 1 or script.climb(leaves[index], index, n, proof[:-1]) != top


def test_the_script_finds_what_verify_finds(tmp_path: Path) -> None:
    """Edits with the checkpoint alone; truncation and a fork with one kept elsewhere."""
    ledger, place = filled(tmp_path / "ledger"), tmp_path / "ledger" / "entries.jsonl"
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps(ledger.checkpoint().to_json()))
    lines = place.read_bytes().splitlines(keepends=True)
    for changed in ([lines[1], lines[0], *lines[2:]], lines[1:], [lines[0] * 2, *lines[2:]]):
        place.write_bytes(b"".join(changed))
        assert says(tmp_path / "ledger")[0] == 1 and not Ledger(place.parent).verify().ok
    for name, n in (("fork", 7), ("short", 3)):
        other = Ledger(tmp_path / name, SIGNER)
        for i in range(n):
            other.append({"kind": "test", "value": i, "forked": True})
        assert other.verify().ok and says(other.folder)[0] == 0
        assert not other.verify(ledger.checkpoint()).ok
        assert says(other.folder, "--against", kept)[0] == 1


def test_a_power_cut_loses_nothing_acknowledged(tmp_path: Path) -> None:
    rows = list(outcomes(tmp_path, seed=5, trials=10, writers=8))
    assert all(row["killed"] for row in rows) and sum(row["acknowledged"] for row in rows) > 30
    assert [row for row in rows if row["lost"] or row["problems"]] == []


def test_the_power_cut_does_drop_what_was_not_flushed(tmp_path: Path) -> None:
    """With names never flushed, as before they were, the simulation must lose entries."""
    for trial in run_trials(tmp_path, seed=1, trials=3, writers=2):
        notes = [json.loads(line) for line in (trial / "journal").read_bytes().splitlines()]
        files = [json.dumps(note) for note in notes if note["kind"] != "folder"]
        (trial / "journal").write_text("".join(line + "\n" for line in files))
        cuts = []
        for seed in range(20):
            place = power_cut(trial, random.Random(seed))
            cuts.append((place / "ledger" / "entries.jsonl").exists())
            place.rename(trial / f"cut-{seed}")
        assert not told(trial) or not all(cuts)


def test_zeros_behind_the_checkpoint_are_no_entries(tmp_path: Path) -> None:
    """A block of zeros that ends in a newline: what a torn write can look like."""
    filled(tmp_path)
    with open(tmp_path / "entries.jsonl", "ab") as file:
        file.write(bytes(80) + b'ing"}\n')
    ledger = Ledger(tmp_path, SIGNER)
    assert ledger.size == 7 and ledger.verify().ok and ledger.entry(7) is None
    assert ledger.append({"kind": "next"}) == 7 and ledger.verify().ok
    assert (tmp_path / "entries.torn").read_bytes().startswith(bytes(80))


def test_a_covered_entry_is_never_cut_off(tmp_path: Path) -> None:
    filled(tmp_path)
    whole = (tmp_path / "entries.jsonl").read_bytes()
    (tmp_path / "entries.jsonl").write_bytes(whole[:-3])
    with pytest.raises(LedgerError, match="was changed"):
        Ledger(tmp_path, SIGNER).append({"kind": "next"})
    assert (tmp_path / "entries.jsonl").read_bytes() == whole[:-3]


@pytest.mark.parametrize("wrong", ["[" * 100_000, "[]", '{"size": 1e400}', '{"size": true}', "{}"])
def test_bad_checkpoints_are_one_sentence(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "c.json").write_text(wrong)
    with pytest.raises(LedgerError, match=r"c\.json is no ledger checkpoint"):
        Checkpoint.load(tmp_path / "c.json")
