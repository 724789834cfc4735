"""The store: what is written is what is read; the interrupted and the truncated are told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from probes import Space
from toolkit.embeddings import StoreWriter, open_store, rounded, widen, write_store
from toolkit.errors import UserError
from toolkit.labels import read_labels

RNG = np.random.default_rng(11)
X = RNG.normal(size=(1000, 12)).astype(np.float32)
IDS = [f"people/{i:04d}.png" for i in range(1000)]
SPACE = Space("abc123", "image_embedding")


def made(path: Path, labels: pd.DataFrame | None = None):
    return write_store(path, X, IDS, space=SPACE, model="portraits", labels=labels, shard=300)


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    made(tmp_path / "s")
    store = open_store(tmp_path / "s")
    assert (len(store), store.dim, store.ids) == (1000, 12, IDS)
    assert (store.space, store.model) == (SPACE, "portraits")
    expected = X.astype(np.float16).astype(np.float32)
    vectors = store.vectors()
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, expected)
    blocks = list(store.scan(128))
    assert max(map(len, blocks)) == 128
    np.testing.assert_array_equal(np.concatenate(blocks), expected)
    which = [999, 0, 300, 299, 0]
    np.testing.assert_array_equal(store.rows(which), expected[which])
    np.testing.assert_array_equal(store.find([IDS[600], IDS[1]]), expected[[600, 1]])
    assert store.labels.shape == (1000, 0)
    assert list(store.labels.index) == IDS


def test_any_reader_of_safetensors_and_parquet_reads_a_shard(tmp_path: Path) -> None:
    made(tmp_path / "s")
    shard = load_file(tmp_path / "s" / "00003.safetensors")["vectors"]
    assert shard.dtype == np.float16
    np.testing.assert_array_equal(shard, X[900:].astype(np.float16))
    assert pd.read_parquet(tmp_path / "s" / "00003.parquet")["id"].tolist() == IDS[900:]


@given(st.lists(st.floats(-65504, 65504, width=32), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_rounding_is_to_the_nearest(numbers: list[float]) -> None:
    row = np.array([numbers], np.float32)
    half = rounded(row, ["a"])
    error = np.abs(half.astype(np.float64) - row)
    near = np.abs(row)
    # Half of the last of 11 binary digits; below 2^-14 the digits are 2^-24 apart.
    assert (error <= np.maximum(near * 2.0**-11, 2.0**-25)).all()
    for way in (np.inf, -np.inf):
        with np.errstate(over="ignore"):
            other = np.nextafter(half, np.float16(way))
        ok = np.isfinite(other)
        assert (error[ok] <= np.abs(other[ok].astype(np.float64) - row[ok])).all()


def test_every_finite_half_is_read_as_itself() -> None:
    half = np.arange(2**16, dtype=np.uint16).view(np.float16)
    half = half[np.isfinite(half)].reshape(-1, 32)
    found = widen(half, np.empty(half.shape, np.float32))
    np.testing.assert_array_equal(found, half.astype(np.float32))
    assert (np.signbit(found) == np.signbit(half)).all()


def test_ties_go_to_even() -> None:
    half = rounded(np.array([[2049.0, 2051.0]]), ["a"])
    assert half.tolist() == [[2048.0, 2052.0]]


@pytest.mark.parametrize(
    ("number", "said"),
    [(np.nan, "NaN or infinite"), (np.inf, "NaN or infinite"), (70000.0, "past 65504")],
)
def test_a_vector_that_does_not_fit_is_named(tmp_path: Path, number: float, said: str) -> None:
    wrong = X.copy()
    wrong[700, 5] = number
    with pytest.raises(UserError, match=f"'people/0700.png' has .*{said}"):
        write_store(tmp_path / "s", wrong, IDS, space=SPACE, model="m", shard=300)
    assert list(tmp_path.iterdir()) == []


def test_ids_are_each_vectors_own(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'people/0000.png' occurs twice"):
        write_store(tmp_path / "s", X, [IDS[0], *IDS[:-1]], space=SPACE, model="m")
    with pytest.raises(UserError, match="don't fit 999 ids"):
        write_store(tmp_path / "s", X, IDS[:-1], space=SPACE, model="m")
    store = made(tmp_path / "s")
    with pytest.raises(UserError, match="no vector of 'nobody'"):
        store.find([IDS[0], "nobody"])
    with pytest.raises(UserError, match="no row 1000 in"):
        store.rows([3, 1000])
    with pytest.raises(UserError, match="no row -1 in"):
        store.rows([-1])
    with pytest.raises(UserError, match="exists"):
        made(tmp_path / "s")


def test_a_truncated_shard_is_named_even_without_checksums(tmp_path: Path) -> None:
    made(tmp_path / "s")
    file = tmp_path / "s" / "00001.safetensors"
    whole = file.read_bytes()
    for kept in (len(whole) - 1, len(whole) // 2, 20, 3, 0):
        file.write_bytes(whole[:kept])
        with pytest.raises(UserError, match=r"00001\.safetensors is (truncated|damaged)"):
            open_store(tmp_path / "s", checksums=False)
    file.unlink()
    with pytest.raises(UserError, match=r"00001\.safetensors is missing"):
        open_store(tmp_path / "s")


@pytest.mark.parametrize("name", ["00002.safetensors", "00000.parquet"])
def test_one_changed_byte_is_found(tmp_path: Path, name: str) -> None:
    made(tmp_path / "s")
    file = tmp_path / "s" / name
    data = bytearray(file.read_bytes())
    data[-9] ^= 1
    file.write_bytes(data)
    with pytest.raises(UserError, match=f"{name} is damaged: its SHA-256"):
        open_store(tmp_path / "s")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m | {"format": "pellucid-run/1"}, "has the format 'pellucid-run/1'"),
        (lambda m: m | {"rows": 999}, "it lists 1000 rows of 999"),
        (lambda m: m | {"files": {}}, "or not its own files"),
        (lambda m: m | {"files": m["files"] | {"../a": ""}}, "or not its own files"),
        (lambda m: {k: v for k, v in m.items() if k != "shards"}, "is damaged"),
        (lambda m: [], "is damaged"),
    ],
)
def test_a_damaged_manifest_is_one_sentence(tmp_path: Path, change, said: str) -> None:
    made(tmp_path / "s")
    file = tmp_path / "s" / "manifest.json"
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    with pytest.raises(UserError, match=said):
        open_store(tmp_path / "s")


def test_what_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no store at"):
        open_store(tmp_path / "nothing")
    with pytest.raises(UserError, match=r"is not a store: it has no manifest\.json"):
        open_store(tmp_path)


def table(start: int, end: int) -> pd.DataFrame:
    return pd.DataFrame({"id": IDS[start:end]})


def test_finished_shards_outlive_the_writer_and_damaged_ones_do_not(tmp_path: Path) -> None:
    asked = {"model": "abc", "shard": 300}
    for start in (0, 300):
        StoreWriter(tmp_path / "s", asked).add(X[start : start + 300], table(start, start + 300))
    assert not (tmp_path / "s").exists()
    assert StoreWriter(tmp_path / "s", asked).rows == 600
    (tmp_path / "s.partial" / "00001.safetensors").write_bytes(b"cut off")
    writer = StoreWriter(tmp_path / "s", asked)
    assert writer.rows == 300
    with pytest.raises(UserError, match="unfinished store of another model"):
        StoreWriter(tmp_path / "s", asked | {"model": "other"})
    writer.add(X[300:], table(300, 1000))
    writer.finish(None, "portraits", SPACE)
    np.testing.assert_array_equal(
        open_store(tmp_path / "s").vectors(), X.astype(np.float16).astype(np.float32)
    )
    assert [p.name for p in tmp_path.iterdir()] == ["s"]
    names = {p.name for p in (tmp_path / "s").iterdir()}
    assert names == {"manifest.json"} | {
        f"{i:05d}.{kind}" for i in (0, 1) for kind in ("safetensors", "parquet")
    }


def csv(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "labels.csv"
    file.write_text(text)
    return file


def test_labels_are_joined_by_id_or_file_name_in_any_order(tmp_path: Path) -> None:
    ids = ["a/1.png", "a/2.png", "b/3.png"]
    file = csv(tmp_path, "\ufeffhat,file_name,age\nno,3.png,NA\nyes,a/1.png,7\n, 2.png,\n".replace(
        " 2.png", "2.png"))  # fmt: skip
    found = read_labels(file, ids)
    assert list(found.index) == ids
    assert list(found.columns) == ["hat", "age"]
    assert found["hat"].fillna("-").tolist() == ["yes", "-", "no"]
    assert found["age"].fillna("-").tolist() == ["7", "-", "NA"]  # text: "NA" may be a name
    store = write_store(tmp_path / "s", X[:3], ids, space=SPACE, model="m", labels=found)
    read = open_store(store.path).labels
    assert read["hat"].fillna("-").tolist() == ["yes", "-", "no"]
    assert read["age"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,hat\na/1.png,yes\n", r"has no line about 'b/1\.png' \(2 of 3 are missing\)"),
        ("id,hat\n9.png,yes\n", "line 2 of .* is about '9.png', which is none of the 3 ids"),
        ("id,hat\na/1.png,yes\nb/1.png,no\n2.png,no\nc/2.png,no\n", "line 5 .* had a line before"),
        ("id,hat\n1.png,yes\n", "a file name that occurs 2 times"),
        ("id,hat\na/1.png\n", "line 2 of .* has not 2 cells"),
        ("id,hat\na/1.png,yes,no\n", "line 2 of .* has not 2 cells"),
        ("hat,age\nyes,3\n", "no column that says whose labels"),
        ("id\na/1.png\n", "needs label columns beside 'id'"),
        ("id,hat,hat\na/1.png,1,2\n", "each with its own name"),
        ("", "no column that says whose labels"),
    ],
)
def test_labels_that_do_not_fit_are_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_labels(csv(tmp_path, text), ["a/1.png", "b/1.png", "c/2.png"])


def test_labels_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(b"id,hat\n\xff\xfe,1\n")
    with pytest.raises(UserError, match="can't be read"):
        read_labels(tmp_path / "labels.csv", IDS)
    with pytest.raises(UserError, match="can't be read"):
        read_labels(tmp_path / "missing.csv", IDS)
