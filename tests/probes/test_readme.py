"""The README's lines for a stranger with vectors and a CSV run as they stand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from probes import Direction

README = Path(__file__).parents[2] / "README.md"


def lines_of_the_readme() -> str:
    (block,) = (b for b in README.read_text().split("```python")[1:] if "vectors.npy" in b)
    return block.partition("```")[0]


def test_vectors_and_a_csv_give_directions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(5)
    X = rng.normal(size=(600, 24))
    glasses = rng.random(600) < 0.4
    X[glasses, 3] += 4
    skin = np.where(rng.random(600) < 0.5, "pale", "brown").astype(object)
    skin[::50] = ""
    np.save(tmp_path / "vectors.npy", X)
    labels = {"glasses": np.where(glasses, "yes", "no"), "skin": skin}
    pd.DataFrame(labels).to_csv(tmp_path / "labels.csv", index=False)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    code = lines_of_the_readme()
    exec(compile(code, "README.md", "exec"), names)
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    told = dict(line.split(": ") for line in capsys.readouterr().out.splitlines())
    read, shuffled = (float(part.split()[-1]) for part in told["glasses"].split(","))
    assert read > 0.95 and 0.4 < shuffled < 0.6
    saved = Direction.load(tmp_path / "directions" / "glasses")
    assert int(np.abs(saved.vector).argmax()) == 3
    assert ((names["moved"] - X[:8])[:, 3] > 2).all()
    assert saved.evidence["n"] == 600
    skinny = Direction.load(tmp_path / "directions" / "skin")
    assert skinny.evidence["n"] == 588
