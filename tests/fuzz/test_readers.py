"""Every reader of a stranger's file: whatever is in it, an answer or a sentence; nothing else.

Real files are made once, then damaged: bytes changed, cut, doubled and filled with zeros; JSON
values replaced by others of any kind, by whole trees, by paths that lead out.
"""

from __future__ import annotations

import base64
import io
import json
import random
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from safety.assertions import lint
from safety.checkpoint import Checkpoint
from safety.content_credentials import read_credentials
from safety.keys import Keys, keys
from safety.ledger import Ledger
from safety.manifest_store import ManifestStore
from safety.metadata import Facts, read_parameters
from safety.policy import DEFAULT, Policy
from safety.receipts import Receipt, receipt
from safety.registry import Person, Registry
from safety.release import release_image
from safety.verify import verify_file
from toolkit.runs import RunWriter, load_run
from toolkit.world import render, sample

FACTS = Facts("a doctor, smiling", 7, "unclip", "portraits", "ab" * 32, "0.1.0")
MANY = settings(
    max_examples=30, derandomize=True, deadline=None, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip


@dataclass(frozen=True)
class Real:
    """A folder with one whole file of each kind, and the keys they were made with."""

    folder: Path
    keys: Keys

    def verify(self, path: Path, store: ManifestStore | None = None) -> Any:
        ledger = Ledger(self.folder / "ledger", public=self.keys.ledger_public)
        return verify_file(path, self.keys.watermark, self.keys.anchors, ledger, store=store)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Real:
    folder = tmp_path_factory.mktemp("real")
    secret = keys(folder / "keys")
    ledger, store = Ledger(folder / "ledger", secret.ledger), ManifestStore(folder / "store")
    picture = render(sample("test", 1, 5)[0])
    for name in ("a.png", "a.jpg", "a.webp"):
        release_image(
            picture, FACTS, folder / name, keys=secret, ledger=ledger, store=store,
            sidecar=name == "a.webp",
        )  # fmt: skip
    for form in ("gif", "bmp", "tiff", "ppm"):
        Image.fromarray(picture).save(folder / f"a.{form}")
    (folder / "receipt.json").write_text(json.dumps(receipt(ledger, 1).to_json()))
    Registry((Person("Ada", False, np.eye(4)),), "m").save(folder / "registry")
    with RunWriter(folder / "run", "test", {}) as run:
        run.file("images/a.png").write_bytes((folder / "a.png").read_bytes())
    return Real(folder, secret)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> None:
        raise AssertionError("a reader reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def damaged(data: bytes, rng: random.Random) -> bytes:
    """One to four injuries."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at, size = rng.randrange(len(out) + 1), rng.choice((1, 1, 2, 4, 30, 300))
        kind = rng.randrange(7)
        if kind == 0:
            out[at : at + size] = rng.randbytes(size)
        elif kind == 1:
            del out[at : at + size]
        elif kind == 2:
            out[at:at] = rng.randbytes(size)
        elif kind == 3:
            del out[at:]
        elif kind == 4:
            out[at : at + size] = bytes(size)
        elif kind == 5:
            out[at : at + size] = b"\xff" * size
        else:
            out[at:at] = out[at : at + size]
    return bytes(out)


SEEDS = st.integers(0, 2**32 - 1)
OUT = ["../../etc/passwd", "/etc/passwd", "a\0b", "", ".", "..", "C:\\x", "x" * 5000]
PATHS = st.sampled_from(OUT)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | PATHS
    | st.sampled_from([10**400, -1, 2**64, 1e308, "NaN", [[[]]], {}, []])
)  # fmt: skip


def _branches(inside: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=6), inside, max_size=3)


TREES = st.recursive(LEAVES, _branches, max_leaves=6)


def places(value: Any, here: tuple = ()) -> Iterator[tuple]:
    """Where values stand in a JSON tree."""
    yield here
    inside = value.items() if isinstance(value, dict) else ()
    inside = enumerate(value) if isinstance(value, list) else inside
    for key, one in inside:
        yield from places(one, (*here, key))


def changed(value: Any, draw: Callable) -> Any:
    """A JSON tree with one value replaced, left out, or added under a strange name."""
    where = draw(st.sampled_from(list(places(value))))
    if not where:
        return draw(TREES)
    made = json.loads(json.dumps(value))
    inside = made
    for key in where[:-1]:
        inside = inside[key]
    how = draw(st.integers(0, 2))
    if how == 0:
        inside[where[-1]] = draw(TREES)
    elif how == 1:
        del inside[where[-1]]
    elif isinstance(inside, dict):
        inside[draw(st.text(max_size=5) | PATHS)] = draw(TREES)
    return made


def written(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


def survives(read: Callable[[], Any], *named: str) -> Any:
    """The answer, or None after one sentence (that names the file)."""
    try:
        return read()
    except ValueError as error:
        said = str(error)
        assert said and "Traceback" not in said and type(error) not in (UnicodeDecodeError,)
        assert not named or any(name in said for name in named), said
        return None


# Pictures ----------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "gif", "bmp", "tiff", "ppm"])
@MANY
@given(seed=SEEDS)
def test_damaged_pictures(real: Real, tmp_path: Path, ending: str, seed: int) -> None:
    from toolkit.studies.audit import read_pictures
    from toolkit.studies.embed import read_picture as for_store
    from toolkit.studies.unclip_lab import read_picture

    whole = (real.folder / f"a.{ending}").read_bytes()
    data, path = damaged(whole, random.Random(seed)), tmp_path / "x" / f"bad.{ending}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    store = ManifestStore(real.folder / "store")
    found = survives(lambda: real.verify(path, store), path.name)
    assert found is None or data == whole or found.ledger.state != "sealed"
    survives(lambda: read_picture(path), path.name)
    survives(lambda: for_store(path, data), path.name)
    if ending in ("png", "jpg", "webp"):
        survives(lambda: read_pictures(path.parent), path.name, "no picture")


@MANY
@given(seed=SEEDS)
def test_damaged_manifests(real: Real, seed: int) -> None:
    """A damaged manifest never vouches for a file in any other words than the whole one."""
    picture = (real.folder / "a.webp").read_bytes()
    whole = (real.folder / "a.webp.c2pa").read_bytes()
    truth = read_credentials(picture, "image/webp", real.keys.anchors, whole)
    assert truth.state == "trusted"
    data = damaged(whole, random.Random(seed))
    found = read_credentials(picture, "image/webp", real.keys.anchors, data)
    assert found.state != "trusted" or found == truth


@MANY
@given(value=TREES, text=st.text())
def test_the_linter_and_parameters_take_anything(value: Any, text: str) -> None:
    tree = value if isinstance(value, dict) else {"assertions": value, "ingredients": value}
    assert all(isinstance(one, str) for one in lint(tree))
    read_parameters(text)


@MANY
@given(data=st.data())
def test_records_of_any_form(real: Real, tmp_path: Path, data: st.DataObject) -> None:
    """The JSON chunk of a picture: changed in any way it never agrees with the ledger."""
    from PIL.PngImagePlugin import PngInfo

    with Image.open(real.folder / "a.png") as opened:
        opened.load()
        record = json.loads(opened.info["pellucid"])
        made, extra = changed(record, data.draw), PngInfo()
        extra.add_itxt("pellucid", written(made).decode("utf-8", "surrogatepass"))
        opened.save(tmp_path / "x.png", pnginfo=extra)
    found = survives(lambda: real.verify(tmp_path / "x.png"), "x.png")
    assert found is not None and found.ledger.state != "sealed"


# Documents ---------------------------------------------------------------------------------

DOCUMENTS: dict[str, tuple[Callable[[Real], bytes], Callable[[Path], Any]]] = {
    "policy": (lambda real: Path(DEFAULT).read_bytes(), Policy.load),
    "checkpoint": (lambda real: (real.folder / "ledger/checkpoint.json").read_bytes(),
                   Checkpoint.load),
    "receipt": (lambda real: (real.folder / "receipt.json").read_bytes(), Receipt.load),
}  # fmt: skip


def _reference(path: Path) -> Any:
    from toolkit.studies.audit import read_reference

    return read_reference(str(path))


DOCUMENTS["reference"] = (lambda real: b'{"skin": {"pale": 0.5, "ebony": 0.5}}', _reference)


@pytest.mark.parametrize("kind", DOCUMENTS)
@MANY
@given(data=st.data())
def test_documents(real: Real, tmp_path: Path, kind: str, data: st.DataObject) -> None:
    make, read = DOCUMENTS[kind]
    whole, path = make(real), tmp_path / "bad.json"
    read_whole = tmp_path / "whole.json"
    read_whole.write_bytes(whole)
    assert read(read_whole) is not None
    if data.draw(st.booleans()):
        path.write_bytes(damaged(whole, random.Random(data.draw(SEEDS))))
    else:
        path.write_bytes(written(changed(json.loads(whole), data.draw)))
    survives(lambda: read(path), "bad.json")


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_documents_nested_deeply(real: Real, tmp_path: Path, kind: str) -> None:
    _, read = DOCUMENTS[kind]
    for text in ("[" * 200_000, '{"a":' * 200_000, "[" * 200_000 + "]" * 200_000):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(ValueError, match=r"bad\.json"):
            read(tmp_path / "bad.json")


# Folders -----------------------------------------------------------------------------------


def _spoil(source: Path, target: Path, data: st.DataObject) -> None:
    """A copy of a folder with one of its files damaged, or changed as JSON."""
    import shutil

    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    files = sorted(path for path in target.rglob("*") if path.is_file() and path.stat().st_size)
    path = data.draw(st.sampled_from(files))
    whole = path.read_bytes()
    if path.suffix == ".json" and data.draw(st.booleans()):
        path.write_bytes(written(changed(json.loads(whole), data.draw)))
    else:
        path.write_bytes(damaged(whole, random.Random(data.draw(SEEDS))))


@MANY
@given(data=st.data())
def test_run_folders(real: Real, tmp_path: Path, data: st.DataObject) -> None:
    _spoil(real.folder / "run", tmp_path / "bad", data)
    run = survives(lambda: load_run(tmp_path / "bad"), "bad")
    if run is not None:
        assert all((tmp_path / "bad" / name).resolve().is_relative_to(tmp_path / "bad")
                   for name in run.manifest["files"])  # fmt: skip


@MANY
@given(data=st.data())
def test_registries(real: Real, tmp_path: Path, data: st.DataObject) -> None:
    _spoil(real.folder / "registry", tmp_path / "bad", data)
    survives(lambda: Registry.load(tmp_path / "bad"), "bad")


@MANY
@given(data=st.data())
def test_ledgers(real: Real, tmp_path: Path, data: st.DataObject) -> None:
    """Nothing done to a ledger passes a checkpoint kept elsewhere, but adding to its end."""
    kept = Checkpoint.load(real.folder / "ledger" / "checkpoint.json")
    _spoil(real.folder / "ledger", tmp_path / "bad", data)
    before = (real.folder / "ledger" / "entries.jsonl").read_bytes()
    after = (tmp_path / "bad" / "entries.jsonl").read_bytes()

    def look() -> bool:
        ledger = Ledger(tmp_path / "bad", public=real.keys.ledger_public)
        ledger.entries()
        return ledger.verify(kept).ok

    assert not survives(look) or after.startswith(before)


@MANY
@given(data=st.data())
def test_stores_of_manifests(real: Real, tmp_path: Path, data: st.DataObject) -> None:
    """What a damaged store gives back is still only what the pinned root signed."""
    _spoil(real.folder / "store", tmp_path / "bad", data)
    with Image.open(real.folder / "a.png") as opened:
        opened.convert("RGB").save(tmp_path / "s.png")
    found = real.verify(tmp_path / "s.png", ManifestStore(tmp_path / "bad"))
    assert found.recovered is None or found.recovered.credentials.source.endswith("icMedia")


@MANY
@given(data=st.data())
def test_keys(real: Real, tmp_path: Path, data: st.DataObject) -> None:
    _spoil(real.folder / "keys", tmp_path / "bad", data)
    survives(lambda: keys(tmp_path / "bad"), "bad")


def test_a_key_of_an_unknown_kind(real: Real, tmp_path: Path) -> None:
    """One byte of the algorithm's name off: cryptography raises no ValueError then."""
    shutil.copytree(real.folder / "keys", tmp_path / "bad")
    path = tmp_path / "bad" / "credentials" / "leaf.key"
    head, *lines, tail = path.read_text().splitlines()
    named = bytes.fromhex("06072a8648ce3d0201")
    der = base64.b64decode("".join(lines))
    assert der.count(named) == 1
    other = base64.b64encode(der.replace(named, named[:-3] + b"\x6e" + named[-2:])).decode()
    path.write_text("\n".join([head, other, tail, ""]))
    with pytest.raises(ValueError, match="do not belong together or are damaged"):
        keys(tmp_path / "bad")


def test_a_seed_damages_the_same_way() -> None:
    data = io.BytesIO(bytes(range(256))).getvalue()
    assert damaged(data, random.Random(3)) == damaged(data, random.Random(3)) != data
