"""What lies beside the run that is open: laboratories, comparisons and trainings.

A laboratory writes a run of its own, so the pages look in the run's folder for its neighbours.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOOKS = ("laboratory/", ".png")  # how a sheet's name begins and ends
COMPARED = "compare.json"


def is_sheet(name: str) -> bool:
    """Whether a file of a run is a laboratory's sheet."""
    return name.startswith(LOOKS[0]) and name.endswith(LOOKS[1])


def is_comparison(name: str) -> bool:
    """Whether a file of a run holds what `pellucid compare` found."""
    return name == COMPARED


def _files(path: Path) -> list[str]:
    """The files that a folder's manifest lists, none for what is no run or can't be read."""
    try:
        return list(json.loads((path / "manifest.json").read_text())["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return []


def runs_with(path: Path, wanted: Callable[[str], bool]) -> dict[str, Path]:
    """By name, the runs that hold such a file: this one first, then its neighbours by name."""
    near = sorted(p for p in path.parent.glob("*/manifest.json") if p.parent.name[0] != ".")
    folders = [path, *(p.parent for p in near if p.parent.name != path.name)]
    return {folder.name: folder for folder in folders if any(map(wanted, _files(folder)))}


def sheets(files: Sequence[str]) -> list[str]:
    """The kinds of the sheets among a run's files: noising, attention, ..."""
    return sorted(Path(name).stem for name in files if is_sheet(name))


@dataclass(frozen=True)
class Training:
    """A training on own pictures, done or going on: its loss and its sample grids.

    `learnt` and `held_out` are (step, loss) points; `grids` are (step, file), in order.
    """

    name: str
    part: str
    done: bool
    facts: dict[str, Any]
    learnt: tuple[tuple[float, float], ...]
    held_out: tuple[tuple[float, float], ...]
    grids: tuple[tuple[int, Path], ...]


def trainings(places: Sequence[Path]) -> list[Training]:
    """Trainings in some folders: NAME/training of finished ones, NAME.training of others."""
    found: dict[Path, Training] = {}
    for place in dict.fromkeys(one.resolve() for one in places):
        curves = [*place.glob("*/training/*curve.json"), *place.glob("*.training/*curve.json")]
        for curve in sorted(curves):
            if one := _training(curve):
                found[curve] = one
    return list(found.values())


def _training(curve: Path) -> Training | None:
    """One curve with what lies around it; nothing for a file that is being written or is none."""
    folder, prefix = curve.parent, curve.name.removesuffix("curve.json")
    done = folder.name == "training"
    about = folder / ("training.json" if done else "request.json")
    try:
        rows = json.loads(curve.read_text())
        facts = json.loads(about.read_text())
        learnt = tuple((float(row[0]), float(row[-1])) for row in rows["learnt"])
        held = tuple((float(step), float(loss)) for step, loss in rows["held_out"])
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    grids = sorted(
        (int(file.stem.rpartition("-")[2]), file)
        for file in (folder / "samples").glob(f"{prefix}step-*.png")
        if file.stem.rpartition("-")[2].isdigit()
    )
    name = folder.parent.name if done else folder.name.removesuffix(".training")
    return Training(
        name, prefix.rstrip("-") or str(facts.get("model", "model")), done, facts, learnt, held,
        tuple(grids),
    )  # fmt: skip


PROMPTLESS = ("noising", "inpaint", "compression", "badge")
UNCLIP = {"variations": 1, "interpolate": 2, "diff": 1, "ladder": 1}  # pictures that each takes


def command_of(manifest: dict[str, Any], name: str, seed: int | None = None) -> str:
    """The command that makes such a run again, as one types it.

    A run keeps no file names of pictures it was given: PICTURE stands in their place. `seed` is
    that of its samples, for a run whose configuration has none.
    """
    config, kind = manifest["config"], manifest["config"].get("kind", "")
    words = [manifest["command"]]
    words += ["PICTURE"] * UNCLIP.get(kind, 0)
    if kind == "edit" and config.get("given"):
        words.append("--picture PICTURE")
    if kind == "diff":
        words.append(f"--after {shlex.quote(config['prompt'])}")
    if kind not in PROMPTLESS:
        words += [shlex.quote(one) for one in config.get("prompts", ())]
    if kind == "prove":
        words.append(f"--target {shlex.quote(config['target'])}")
        words += ["--purify"] if config["purify"] else []
    options = ("portraits", "at", "nulls") if kind == "prove" else ("n", "steps", "count")
    for option in options:
        if option in config:
            words.append(f"--{option} {config[option]}")
    seed = config.get("seed", seed)
    if seed is not None:
        words.append(f"--seed {seed}")
    return " ".join([*words, f"--out runs/{name}"])


def train_command(facts: dict[str, Any], name: str) -> str:
    """The command of a training, from its request."""
    words = [f"pellucid train {facts['model']} --data {shlex.quote(str(facts['data']))}"]
    if facts.get("start", "portraits") != "portraits":
        words.append(f"--from {shlex.quote(str(facts['start']))}")
    if facts.get("minutes"):
        words.append(f"--budget {facts['minutes']:g}m")
    words += [f"--{key} {facts[key]}" for key in ("steps", "seed", "batch", "every")
              if isinstance(facts.get(key), int)]  # fmt: skip
    if facts.get("clip"):
        words.append(f"--clip {shlex.quote(str(facts['clip']))}")
    return " ".join([*words, f"--out {shlex.quote(name)}"])
