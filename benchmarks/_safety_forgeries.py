"""Forged files and clean ones before `pellucid verify`: `forgeries_caught`, `clean_files`."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks._forgeries import CASES, Room, encoded, make_room, pixels
from benchmarks._measures import exact_interval
from benchmarks.rows import Row


@dataclass(frozen=True)
class Size:
    """How many rooms of released files, each forged in every way."""

    rooms: int = 8


FULL, QUICK = Size(), Size(rooms=1)
Verdict = tuple[str, object]  # the verdict's word, and the verification or None


def forgeries(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """Every forgery of every room, and clean files: released, re-encoded, and others' pictures."""
    from safety.keys import keys
    from toolkit.world import render_all, sample

    forged, clean = [], []
    with tempfile.TemporaryDirectory(prefix="pellucid-") as name:
        base = Path(name)
        mine, stranger = keys(base / "keys"), keys(base / "stranger")
        for number in range(size.rooms):
            drawn = list(render_all(sample("test", 8, seed=1000 * seed + number)))
            if number % 2:  # every other room has larger pictures
                drawn = [np.asarray(Image.fromarray(one).resize((256, 256), 3)) for one in drawn]
            room, drawn = _released(base / f"{number}", drawn, mine, stranger)
            forged += [item | {"room": number} for item in _forged(room, base, [seed, number])]
            clean += [item | {"room": number} for item in _clean(room, drawn[2:])]
            shutil.rmtree(room.folder)
        clean += list(_photos(base, mine))
    yield [*_rows(forged), *_clean_rows(clean)], forged + clean


def _released(folder: Path, drawn: list[np.ndarray], mine, stranger):
    """A room of the first pictures that can all be released: some are withheld, as from a run."""
    for first in range(len(drawn) - 2):
        pictures = drawn[first:] + drawn[:first]
        try:
            return make_room(folder, pictures, mine, stranger), pictures
        except ValueError as error:
            if "does not read back" not in str(error) and "mark" not in str(error):
                raise
            shutil.rmtree(folder)
    raise ValueError("none of these pictures can be released")


def _look(room: Room, name: str, kept) -> Verdict:
    from safety.ledger import Ledger, LedgerError
    from safety.verify import verify_file
    from toolkit.studies.verify import verdict

    ledger = Ledger(room.folder / "ledger", public=room.keys.ledger_public)
    try:
        found = verify_file(
            room.path(name), room.keys.watermark, room.keys.anchors, ledger, kept, room.store
        )
    except LedgerError:
        return "broken", None
    except ValueError as error:
        return ("unreadable" if name in str(error) else f"nameless: {error}"), None
    return verdict(found), found


def _forged(room: Room, base: Path, seed: list[int]) -> Iterator[dict]:
    """One item a case, each in a copy of the room."""
    kept = room.ledger.checkpoint()
    for kind, cases in CASES.items():
        for case, forge in cases.items():
            shutil.copytree(room.folder, base / "copy")
            copy = _moved(room, base / "copy")
            word, found = _look(copy, forge(copy, np.random.default_rng(seed)), kept)
            shutil.rmtree(base / "copy")
            caught = _caught(kind, word, found)
            yield {"kind": kind, "case": case, "verdict": word, "caught": caught}


def _moved(room: Room, folder: Path) -> Room:
    from dataclasses import replace

    from safety.ledger import Ledger
    from safety.manifest_store import ManifestStore

    ledger = Ledger(folder / "ledger", room.keys.ledger)
    return replace(room, folder=folder, ledger=ledger, store=ManifestStore(folder / "store"))


def _caught(kind: str, word: str, found) -> bool:
    """Whether what has to come of a forgery of this kind came; see `benchmarks._forgeries`."""
    if kind in ("lie", "unreadable"):
        return word == ("broken" if kind == "lie" else "unreadable")
    if found is None or word == "verified":
        return False
    if kind == "strip":
        # Which of the picture's three releases the mark names is not asked here.
        back = found.recovered
        return back is not None and back.signed and back.compared.kind == "same"
    if kind == "foreign":
        return found.credentials.state in ("untrusted", "none", "invalid")
    if kind == "doubt":
        return bool(found.credentials.doubts)
    same = found.recovered is not None and found.recovered.compared.kind != "inconclusive"
    return not same


def _rows(items: list[dict]) -> list[Row]:
    kinds = {kind: len(cases) for kind, cases in CASES.items()}
    rows = [_caught_row(items, f"all, {sum(kinds.values())} cases")]
    return rows + [
        _caught_row([item for item in items if item["kind"] == kind], f"{kind}, {n} cases")
        for kind, n in kinds.items()
    ]


def _caught_row(items: list[dict], case: str) -> Row:
    caught, n = sum(item["caught"] for item in items), len(items)
    interval = exact_interval(caught, n)
    return Row("forgeries_caught", case, "pellucid", caught / n, "at least 1", n, interval)


# Clean files -------------------------------------------------------------------------------


def _resized(image: np.ndarray, times: float) -> np.ndarray:
    side = round(len(image) * times)
    return np.asarray(Image.fromarray(image).resize((side, side)))


CHANGES: dict[str, Callable[[np.ndarray], bytes]] = {
    "PNG again": encoded,
    "JPEG 85": lambda image: encoded(image, "JPEG", quality=85),
    "WebP 90": lambda image: encoded(image, "WEBP", quality=90),
    "twice as large": lambda image: encoded(_resized(image, 2)),
    "cropped by a tenth": lambda image: encoded(image[: len(image) * 9 // 10, len(image) // 10 :]),
    "darker": lambda image: encoded((image * 0.85).astype(np.uint8)),
}


def _clean(room: Room, others: list[np.ndarray]) -> Iterator[dict]:
    """Released files as they are, honestly re-encoded ones, and unmarked pictures."""
    kept = room.ledger.checkpoint()
    for path in sorted(room.folder.glob("*.*")):
        if path.suffix != ".c2pa" and path.is_file():
            word, _ = _look(room, path.name, kept)
            yield {"kind": "clean", "case": "released", "file": path.name, "verdict": word}
    for case, change in CHANGES.items():
        data = change(pixels(room.bytes("0.png")))
        with Image.open(io.BytesIO(data)) as opened:
            name = room.write(f"again.{str(opened.format).lower()}", data)
        word, _ = _look(room, name, kept)
        yield {"kind": "clean", "case": "re-encoded", "file": case, "verdict": word}
    for index, picture in enumerate(others):
        word, found = _look(room, room.write("plain.png", encoded(picture)), kept)
        marked = getattr(getattr(found, "mark", None), "verdict", "")
        yield {"kind": "clean", "case": "others", "file": f"render {index}", "verdict": word,
               "mark": marked}  # fmt: skip


def _photos(base: Path, mine) -> Iterator[dict]:
    """Cuts of photographs that were never ours, as PNG and as JPEG with a camera's metadata."""
    from sklearn.datasets import load_sample_images

    from safety.ledger import Ledger
    from safety.verify import verify_file
    from toolkit.studies.verify import verdict

    ledger = Ledger(base / "empty", mine.ledger)
    ledger.append({"kind": "test"})
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Some Maker", "Some Camera"
    ways = (("PNG", {}), ("JPEG", {"exif": exif, "quality": 90}))
    for photo, image in enumerate(load_sample_images().images):
        for left in (0, 100, 200, 300):
            form, how = ways[left // 100 % 2]
            path = base / f"photo-{photo}-{left}.{form.lower()}"
            path.write_bytes(encoded(image[50:350, left : left + 300], form, **how))
            found = verify_file(path, mine.watermark, mine.anchors, ledger)
            yield {"kind": "clean", "case": "others", "file": path.name, "verdict": verdict(found),
                   "mark": found.mark.verdict}  # fmt: skip


def _clean_rows(items: list[dict]) -> list[Row]:
    rows = []
    for case, what, bad in (
        ("released", "released files not verified", lambda i: i["verdict"] != "verified"),
        ("re-encoded", "honest copies accused", lambda i: i["verdict"] in ("broken", "unreadable")),
        ("others", "others' pictures accused or claimed",
         lambda i: i["verdict"] != "missing" or i["mark"] == "present"),
    ):  # fmt: skip
        of = [item for item in items if item["case"] == case]
        wrong = sum(bad(item) for item in of)
        interval = exact_interval(wrong, len(of))
        rows.append(Row("clean_files", what, "pellucid", wrong, "at most 0", len(of), interval))
    return rows
