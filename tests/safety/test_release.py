"""Releasing: everything in order, or nothing; a kill at any point leaves no lie."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from safety import release
from safety.keys import Keys, keys
from safety.ledger import Ledger
from safety.metadata import Facts
from safety.release import finish_releases, release_image
from safety.verify import verify_file
from toolkit.world import render, sample

ROOT = Path(__file__).parents[2]
FACTS = Facts("a doctor who asked not to be named", 7, "unclip", "small", "ab" * 32, "0.1.0")


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return keys(tmp_path_factory.mktemp("keys") / "k")


@pytest.fixture
def ledger(secret: Keys, tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger", secret.ledger)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return render(sample("test", 1, seed=8)[0])


def test_a_released_image_has_every_layer(
    secret: Keys, ledger: Ledger, image: np.ndarray, tmp_path: Path
) -> None:
    for expected in range(3):
        path = tmp_path / "images" / f"{expected}.png"
        out = release_image(image, FACTS, path, keys=secret, ledger=ledger)
        assert out.ledger_index == out.watermark_payload == expected
        assert out.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        found = verify_file(path, secret.watermark, secret.anchors, ledger)
        assert found.agrees is True and found.credentials.state == "trusted"
        assert found.mark.payload == found.metadata.index == found.credentials.payload == expected
        assert (found.ledger.state, found.ledger.commitment) == ("sealed", True)
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == [
        "0.png", "1.png", "2.png"
    ]  # fmt: skip


def test_the_ledger_does_not_know_the_prompt(
    secret: Keys, ledger: Ledger, image: np.ndarray, tmp_path: Path
) -> None:
    release_image(image, FACTS, tmp_path / "a.png", keys=secret, ledger=ledger)
    release_image(image, FACTS, tmp_path / "b.png", keys=secret, ledger=ledger)
    text = (tmp_path / "ledger" / "entries.jsonl").read_text()
    assert "doctor" not in text and str(tmp_path) not in text
    one, two = (json.loads(line) for line in text.splitlines())
    assert one["commitment"] != two["commitment"]  # the same prompt, another salt


@pytest.mark.parametrize("step", ["write_image", "sign_image", "read_credentials", "_write"])
def test_interrupted_before_the_entry(
    secret: Keys, ledger: Ledger, image: np.ndarray, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, step: str,
) -> None:  # fmt: skip
    release_image(image, FACTS, tmp_path / "0.png", keys=secret, ledger=ledger)
    before = (tmp_path / "ledger" / "entries.jsonl").read_bytes()

    def stop(*_args: object, **_kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(release, step, stop)
        with pytest.raises(KeyboardInterrupt):
            release_image(image, FACTS, tmp_path / "1.png", keys=secret, ledger=ledger)
    assert (tmp_path / "ledger" / "entries.jsonl").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.png", "ledger"]
    out = release_image(image, FACTS, tmp_path / "1.png", keys=secret, ledger=ledger)
    assert out.ledger_index == 1 and ledger.verify().ok


def test_interrupted_between_entry_and_rename(
    secret: Keys, ledger: Ledger, image: np.ndarray, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The entry is true of the sealed file, which waits under its temporary name."""

    def stop(*_args: object) -> None:
        raise KeyboardInterrupt

    for at, (owner, step) in enumerate([(Ledger, "_sign"), (release.os, "replace")]):
        name = f"{at}.png"
        with monkeypatch.context() as patch:
            patch.setattr(owner, step, stop)
            with pytest.raises(KeyboardInterrupt):
                release_image(image, FACTS, tmp_path / name, keys=secret, ledger=ledger)
        assert not (tmp_path / name).exists() and (tmp_path / f".{name}.part").exists()
        (tmp_path / ".other.png.part").write_bytes(b"half")
        (out,) = finish_releases(tmp_path, ledger)
        assert out.path == tmp_path / name and not list(tmp_path.glob(".*.part"))
        release_image(image, FACTS, tmp_path / "next.png", keys=secret, ledger=ledger)
        found = verify_file(out.path, secret.watermark, secret.anchors, ledger)
        assert found.agrees is True and found.mark.payload == out.ledger_index == 2 * at


VICTIM = """
import sys
from pathlib import Path
from safety.keys import keys
from safety.ledger import Ledger
from safety.metadata import Facts
from safety.release import finish_releases, release_image
from toolkit.world import render, sample
base = Path(sys.argv[1])
secret = keys(base / "keys")
ledger = Ledger(base / "ledger", secret.ledger)
image = render(sample("test", 1)[0])
for i in range(1000):
    out = release_image(image, Facts("p", i, "unclip", "m"), base / "out" / f"{i}.png",
                        keys=secret, ledger=ledger)
    print(out.ledger_index, flush=True)
"""


def test_killed_at_any_moment(tmp_path: Path) -> None:
    command = [sys.executable, "-c", VICTIM, str(tmp_path)]
    victim = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert victim.stdout is not None
    told = [int(victim.stdout.readline()) for _ in range(15)]
    victim.kill()
    told += [int(word) for word in victim.communicate()[0].split()]
    secret = keys(tmp_path / "keys")
    ledger = Ledger(tmp_path / "ledger", secret.ledger)
    assert ledger.verify().ok
    released = list((tmp_path / "out").glob("[0-9]*.png"))
    assert len(told) <= len(released) <= ledger.size <= len(told) + 2
    for path in released:
        # An entry whose checkpoint the kill forestalled gets its root with the next one.
        if int(path.stem) < ledger.verify().signed:
            assert verify_file(path, secret.watermark, secret.anchors, ledger).agrees is True


def test_bad_input_is_one_sentence(
    secret: Keys, ledger: Ledger, image: np.ndarray, tmp_path: Path
) -> None:
    for pixels, path, words in [
        (image, "a.gif", "does not end in .png"),
        (image[:32], "a.png", "64 a side"),
        (image.astype(float), "a.png", "uint8"),
    ]:
        with pytest.raises(ValueError, match=words):
            release_image(pixels, FACTS, tmp_path / path, keys=secret, ledger=ledger)
    other = Ledger(tmp_path / "other", b"x" * 32)
    with pytest.raises(ValueError, match="not signed with the keys"):
        release_image(image, FACTS, tmp_path / "a.png", keys=secret, ledger=other)
    assert not list(tmp_path.glob("*.png")) and ledger.size == 0


def test_larger_pictures_and_odd_sizes(secret: Keys, ledger: Ledger, tmp_path: Path) -> None:
    portrait = sample("test", 1, seed=8)[0]
    pictures = [render(portrait, 128), render(portrait, 100)[:90]]
    for i, picture in enumerate(pictures):
        path = tmp_path / f"{i}.png"
        release_image(picture, FACTS, path, keys=secret, ledger=ledger)
        found = verify_file(path, secret.watermark, secret.anchors, ledger)
        assert found.agrees and (found.height, found.width) == picture.shape[:2]
        assert np.asarray(Image.open(path)).shape == picture.shape
