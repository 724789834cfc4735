"""A run is read whole, blocked samples show nothing, and damage is one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dashboards.source import fingerprint, read
from toolkit.errors import UserError
from toolkit.runs import sha256


def test_everything_of_a_run_is_read(demo_run: Path) -> None:
    source = read(demo_run)
    assert len(source.traced) == 8
    assert {film.pipeline for film in source.films} == {"stable-diffusion", "unclip"}
    assert {(d.name, d.site) for d in source.directions} == {
        (factor, site)
        for factor in ("glasses", "beard")
        for site in ("text_states", "image_embedding")
    }
    picture = source.pictures[source.traced[0]]
    assert picture.provenance is not None and picture.provenance.verdict == "verified"
    assert source.pixels(picture).shape == (64, 64, 3)
    steps = source.trace(picture.id)
    assert steps.latents.shape == (12, 4, 16, 16) and steps.prior is None
    assert source.trace(source.traced[1]).prior is not None


def test_missed_wishes_are_those_that_the_judge_reads_differently(demo_run: Path) -> None:
    source = read(demo_run)
    missing = {p.id: p.missed for p in source.pictures.values() if p.missed}
    assert len(missing) == 1
    ((name, factors),) = missing.items()
    picture = source.pictures[name]
    assert picture.pipeline == "unclip" and len(factors) == 1
    assert picture.judged[factors[0]] != picture.asked[factors[0]]


def test_a_blocked_sample_shows_nothing_whatever_the_table_says(
    own_run: Callable[[], Path],
) -> None:
    import pandas as pd

    path = own_run()
    table = pd.read_parquet(path / "samples.parquet")
    released = table.loc[table["image"].notna(), "image"].iloc[0]
    blocked = table["decision"] == "block"
    table.loc[blocked, "image"] = released
    table.loc[blocked, "judge_skin"] = "pale"
    table.to_parquet(path / "samples.parquet", index=False)
    reseal(path, "samples.parquet")
    for picture in read(path).pictures.values():
        if picture.decision == "block":
            assert picture.file is None and not picture.judged and picture.provenance is None
            assert picture.reason


def reseal(path: Path, name: str) -> None:
    """Put the file's new checksum into the manifest."""
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["files"][name] = sha256(path / name)
    (path / "manifest.json").write_text(json.dumps(manifest))


def test_a_missing_run_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no run at .*pellucid demo"):
        read(tmp_path / "nothing")
    assert fingerprint(tmp_path / "nothing") == ""


@pytest.mark.parametrize("name", ["samples.parquet", "verify.json", "embeddings/map.parquet"])
def test_a_damaged_file_is_named(own_run: Callable[[], Path], name: str) -> None:
    path = own_run()
    (path / name).write_bytes(b"rubbish")
    with pytest.raises(UserError, match=name):
        read(path)
    reseal(path, name)  # damaged before it was sealed: still one sentence
    with pytest.raises(UserError, match=r"can't be (shown|read)"):
        read(path)


def test_a_file_that_goes_after_opening_is_named(own_run: Callable[[], Path]) -> None:
    source = read(own_run())
    name = source.traced[0]
    (source.run.path / f"images/{name}.png").unlink()
    (source.run.path / f"traces/{name}.safetensors").write_bytes(b"short")
    with pytest.raises(UserError, match=f"{name}.png is missing or damaged"):
        source.pixels(source.pictures[name])
    with pytest.raises(UserError, match=f"{name}.safetensors is missing or damaged"):
        source.trace(name)


def test_a_new_manifest_is_a_new_fingerprint(own_run: Callable[[], Path]) -> None:
    path = own_run()
    before = fingerprint(path)
    reseal(path, "verify.json")
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | {"seeds": [1]}))
    assert fingerprint(path) != before and len(before) == 64


def test_a_map_without_umap_has_none(own_run: Callable[[], Path]) -> None:
    import pandas as pd

    path = own_run()
    file = path / "embeddings/map.parquet"
    table = pd.read_parquet(file).assign(umap1=np.nan, umap2=np.nan)
    table.to_parquet(file, index=False)
    reseal(path, "embeddings/map.parquet")
    assert all(point.umap is None for point in read(path).points)
