"""The attack bench: which watermark stands what, in the manner of WAVES (An et al. 2024).

TPR at 0.1 % FPR with exact intervals, beside it what the attack cost in quality, and how often
pictures without a mark, or with a forged one, are taken for marked.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from safety.attacks import Sweep
from safety.averaging import forged, stolen
from safety.quality import psnr, ssim
from toolkit.errors import UserError
from toolkit.runs import RunWriter, write_json
from toolkit.studies.attack_models import every_sweep
from toolkit.studies.attack_pictures import (
    Pictures,
    held_by_thief,
    own_pictures,
    photographs,
    portraits,
)
from toolkit.studies.attack_systems import FPR, System, chosen_systems
from toolkit.studies.attack_table import said, table_of
from toolkit.studies.attack_thieves import Thief, thieves

AVERAGING = "averaging"
Rows = list[dict[str, Any]]
Say = Callable[[str], None]


def chosen_sweeps(names: Sequence[str]) -> tuple[dict[str, Sweep], bool]:
    """The sweeps of those names (all without any), and whether there are thieves among them.

    Raises UserError for another name.
    """
    every = every_sweep()
    wrong = [name for name in names if name not in every and name != AVERAGING]
    if wrong:
        raise UserError(
            f"no attack is named {', '.join(map(repr, wrong))}; choose from "
            f"{', '.join([*every, AVERAGING])}"
        )
    chosen = {name: sweep for name, sweep in every.items() if name in names or not names}
    return chosen, AVERAGING in names or not names


def attacked(
    image: np.ndarray, sweeps: dict[str, Sweep], seed: Sequence[int]
) -> Iterator[tuple[str, float, str, np.ndarray, bool]]:
    """(attack, strength, label, picture, still) for none and each strength of each attack.

    The same seed attacks alike whatever else is chosen: crops fall on the same place.
    """
    yield "none", 0.0, "untouched", image, True
    for name, sweep in sweeps.items():
        for place, strength in enumerate(sweep.strengths):
            rng = np.random.default_rng([*seed, *name.encode(), place])
            after = sweep.apply(image, rng, strength)
            yield name, float(strength), sweep.label.format(strength), after, sweep.still


def _row(system: System, seen: np.ndarray, reference: np.ndarray | None, **more: Any) -> dict:
    """A picture looked at; its quality beside what it was made from, where pixels compare."""
    found = system.look(seen)
    alike = reference is not None and reference.shape == seen.shape
    return more | {
        "system": system.name, "p": float(found.p_value), "detected": bool(found.p_value <= FPR),
        "present": bool(found.present), "exact": bool(found.exact),
        "psnr": psnr(reference, seen) if alike else None,
        "ssim": ssim(reference, seen) if alike else None,
    }  # fmt: skip


def picture_rows(
    image: np.ndarray,
    systems: Sequence[System],
    sweeps: dict[str, Sweep],
    rogues: dict[str, list[Thief]],
    seed: Sequence[int],
) -> Rows:
    """One picture through everything: marked by each system, and unmarked."""
    marked = {one.name: one.embed(image) for one in systems}
    rows: Rows = []
    for name, strength, label, seen, _ in attacked(image, sweeps, seed):
        about = {"kind": "unmarked", "attack": name, "strength": strength, "label": label}
        rows += [_row(one, seen, None, **about) for one in systems]
    for one in systems:
        mine = marked[one.name]
        for name, strength, label, seen, still in attacked(mine, sweeps, seed):
            about = {"kind": "marked", "attack": name, "strength": strength, "label": label}
            about["mark_psnr"] = psnr(image, mine)
            rows.append(_row(one, seen, mine if still else None, **about))
        for thief in rogues.get(one.name, ()):
            if thief.pattern.shape != image.shape:
                continue
            about = {"attack": thief.kind, "strength": float(thief.held), "label": thief.label}
            if thief.kind != "copy":
                rows.append(_row(one, stolen(mine, thief.at(mine)), mine, kind="stolen", **about))
            rows.append(_row(one, forged(image, thief.pattern), image, kind="forged", **about))
    return rows


class Notes:
    """What is finished of a bench, a line a picture, in `OUT.unfinished` until all is.

    Raises UserError when what lies there was asked otherwise.
    """

    def __init__(self, out: str, request: dict[str, Any], say: Say):
        self.folder = Path(f"{out}.unfinished")
        self.file = self.folder / "pictures.jsonl"
        request = json.loads(json.dumps(request))
        asked = self.folder / "request.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not asked.exists():
                write_json(asked, request)
            same = json.loads(asked.read_text()) == request
        except (OSError, ValueError) as error:
            raise UserError(f"the bench can't be written at {self.folder} ({error})") from error
        if not same:
            raise UserError(
                f"{self.folder} holds an unfinished bench that was asked otherwise; repeat that "
                "command, remove the folder, or choose another --out"
            )
        self.done = self._read()
        if self.done:
            say(f"{len(self.done)} pictures were finished before: going on after them")

    def _read(self) -> dict[tuple[str, int], Rows]:
        """Whole lines; a last one that was cut off is dropped, from the file too."""
        data = self.file.read_bytes() if self.file.exists() else b""
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.truncate(self.file, len(whole))
        try:
            lines = [json.loads(line) for line in whole.splitlines()]
            return {(one["set"], one["picture"]): one["rows"] for one in lines}
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{self.file} is damaged ({error}); remove its folder") from error

    def add(self, name: str, picture: int, rows: Rows) -> None:
        line = json.dumps({"set": name, "picture": picture, "rows": rows}) + "\n"
        with self.file.open("ab") as stream:
            stream.write(line.encode())
            stream.flush()
            os.fsync(stream.fileno())
        self.done[name, picture] = rows

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def set_rows(
    pictures: Pictures, systems: Sequence[System], sweeps: dict[str, Sweep], steal: bool,
    held: int, seed: int, notes: Notes, say: Say,
) -> Rows:  # fmt: skip
    """Every picture of a set, those of the notes as they were found."""
    todo = [i for i in range(len(pictures.tested)) if (pictures.name, i) not in notes.done]
    others = held_by_thief(pictures, held) if steal else ()
    rogues = {one.name: list(thieves(one, others, say)) for one in systems} if todo else {}
    for index in todo:
        rows = picture_rows(pictures.tested[index], systems, sweeps, rogues, [seed, index])
        notes.add(pictures.name, index, rows)
        say(f"{pictures.name}: {index + 1} of {len(pictures.tested)}")
    return [
        {"set": pictures.name, "picture": index} | row
        for index in range(len(pictures.tested))
        for row in notes.done[pictures.name, index]
    ]


def able(pictures: Pictures, systems: Sequence[System]) -> tuple[list[System], list[str]]:
    """The systems that can mark every picture of a set, and why the others can't."""
    side = min(min(one.shape[:2]) for one in pictures.tested)
    left_out = [
        f"{one.name} is not on {pictures.name}: it needs {one.least} pixels a side"
        for one in systems
        if side < one.least
    ]
    return [one for one in systems if side >= one.least], left_out


def check_sizes(n: int, held: int) -> None:
    """Raise UserError for a size that makes no sense."""
    if not 1 <= n <= 1000:
        raise UserError(f"--n is {n}; test 1 to 1000 pictures of each kind")
    if not 2 <= held <= 1000:
        raise UserError(f"--held is {held}; let the thief hold 2 to 1000 marked pictures")


def attack_bench(
    out: str,
    *,
    given: Sequence[str] = (),
    systems: Sequence[str],
    attacks: Sequence[str] = (),
    n: int,
    held: int,
    seed: int,
    weights: str | None = None,
    replace: bool = False,
    say: Say = lambda text: None,
) -> dict[str, Any]:
    """`pellucid attack-bench` as a run: `attacks.parquet`, `bench.json`, `report.html`, `plots/`.

    Interrupted, it leaves `OUT.unfinished`, with which the same command goes on. Raises UserError
    before anything is attacked.
    """
    from toolkit.studies.attack_page import write_page

    check_sizes(n, held)
    sweeps, steal = chosen_sweeps(attacks)
    every = chosen_systems(systems, seed, weights)
    sets = [own_pictures(given, n, held, seed)] if given else [
        portraits(n, held, seed), photographs(n, held, seed)
    ]  # fmt: skip
    able_ones = [able(one, every) for one in sets]
    left_out = [why for _, reasons in able_ones for why in reasons]
    if not any(here for here, _ in able_ones):
        raise UserError("; ".join(left_out))
    config = {
        "given": len(given), "systems": [one.name for one in every], "n": n, "held": held,
        "attacks": [*sweeps, *([AVERAGING] if steal else [])], "seed": seed,
    }  # fmt: skip
    with RunWriter(out, "pellucid attack-bench", config, replace) as run:
        run.manifest["seeds"] = [seed]
        notes = Notes(out, config | {"pictures": digest(sets)}, say)
        with run.timed("attack"):
            rows = [
                row
                for pictures, (here, _) in zip(sets, able_ones, strict=True)
                if here
                for row in set_rows(pictures, here, sweeps, steal, held, seed, notes, say)
            ]
        facts = {
            "fpr": FPR, "seed": seed, "held": held,
            "sets": [{"name": one.name, "n": len(one.tested), "sources": one.sources}
                     for one in sets],
            "systems": [{"name": one.name, "rule": one.rule} for one in every],
            "attacks": {name: sweep.title for name, sweep in sweeps.items()},
            "left_out": left_out, "table": table_of(rows),
        }  # fmt: skip
        facts["said"] = [*said(facts), *left_out]
        _write(run, rows, facts)
        write_page(run, facts)
    notes.remove()
    return {"run": out, "report": f"{out}/report.html", **facts}


def digest(sets: Sequence[Pictures]) -> str:
    """SHA-256 of the tested pictures: an unfinished bench of others is not gone on with."""
    found = hashlib.sha256()
    for one in (image for pictures in sets for image in pictures.tested):
        found.update(f"{one.shape}".encode() + one.tobytes())
    return found.hexdigest()


def _write(run: RunWriter, rows: Rows, facts: dict[str, Any]) -> None:
    import pandas as pd

    pd.DataFrame(rows).to_parquet(run.file("attacks.parquet"), index=False)
    write_json(run.file("bench.json"), facts)
