"""`pellucid keys` and `pellucid ledger`, as somebody types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from safety import Ledger
from safety.keys import keys
from toolkit.cli import main
from toolkit.studies.checkup import home

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PELLUCID_HOME", str(tmp_path / "home"))


def test_keys_are_made_once_and_exported_without_secrets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert main(["keys", "--json", "--export", str(tmp_path / "pin")]) == 0
    again = json.loads(capsys.readouterr().out)
    assert first["made"] and not again["made"] and first["root_sha256"] == again["root_sha256"]
    assert sorted(path.name for path in (tmp_path / "pin").iterdir()) == ["ledger.pub", "root.pem"]
    assert b"PRIVATE" not in (tmp_path / "pin" / "root.pem").read_bytes()
    assert main(["keys", "--export", str(tmp_path / "pin")]) == 2
    assert "exists; name a new folder" in capsys.readouterr().err


def test_a_ledger_holds_until_it_is_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = Ledger(tmp_path / "run" / "ledger", keys(home() / "keys").ledger)
    for value in range(4):
        ledger.append({"kind": "test", "value": value})
    kept = tmp_path / "kept.json"
    kept.write_bytes((tmp_path / "run" / "ledger" / "checkpoint.json").read_bytes())
    order = ["ledger", str(tmp_path / "run"), "--checkpoint", str(kept)]
    assert main([*order, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["holds"], found["entries"], found["key"]) == (True, 4, "this machine's")
    assert main([*order, "--receipt", "2"]) == 0
    (tmp_path / "receipt.json").write_text(capsys.readouterr().out)
    script = [sys.executable, "docs/verify_ledger.py", str(tmp_path / "receipt.json")]
    assert subprocess.run(script, cwd=ROOT, capture_output=True, check=False).returncode == 0
    path = tmp_path / "run" / "ledger" / "entries.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    assert main(order) == 1
    assert "truncated" in capsys.readouterr().err
    assert main(["ledger", str(tmp_path / "run"), "--receipt", "9"]) == 2
    assert main(["ledger", str(tmp_path)]) == 2
    assert "there is no ledger" in capsys.readouterr().err
