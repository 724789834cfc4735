"""Accountability papers of a run, from its own files: laws field by field, system, incidents.

Everything is read again from the released files with this machine's keys; what no file can show is
said to be open. The incident file names pictures by id and keeps prompts out, so that it can be
handed on.
"""

from __future__ import annotations

import getpass
import io
import json
import os
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from toolkit.studies.checkup import home

if TYPE_CHECKING:
    from safety import Ledger
    from safety.keys import Keys
    from safety.laws import Field, Seen

TRIED = 12  # files that are changed to see whether the mark stays
SHORTEST = 4  # letters; a shorter user name stands in many files by chance
NOBODY = {"root", "user", "admin", "ubuntu", "localhost"}  # these tell of nobody
Rows = list[dict[str, Any]]


def _jpeg(picture: Image.Image) -> Image.Image:
    kept = io.BytesIO()
    picture.save(kept, "JPEG", quality=75)
    return Image.open(kept).convert("RGB")


def _half(picture: Image.Image) -> Image.Image:
    small = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.BICUBIC)
    return small.resize(picture.size, Image.Resampling.BICUBIC)


def _brighter(picture: Image.Image) -> Image.Image:
    return picture.point(lambda value: min(255, round(1.2 * value)))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "saved as JPEG 75": _jpeg, "made half as large and back": _half, "20 % brighter": _brighter,
}  # fmt: skip


def survived(path: Path, key: bytes) -> dict[str, bool]:
    """Whether the mark of a file is still found after each of the common changes."""
    from safety import detect_mark

    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    return {
        name: detect_mark(np.asarray(change(picture)), key).verdict == "present"
        for name, change in CHANGES.items()
    }


def private_words() -> tuple[str, ...]:
    """Words that would tell whose machine it was: user, host, home folder."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no such user in this machine's list
        user = ""
    words = {user, socket.gethostname(), str(Path.home()), str(home())}
    return tuple(sorted(word for word in words if len(word) >= SHORTEST and word not in NOBODY))


def seen_files(folder: Path, images: Sequence[str], keys: Keys, ledger: Ledger) -> list[Seen]:
    """What verifying a run's released files finds, for the laws' fields."""
    from safety import verify_file
    from safety.laws import Seen

    words, made = private_words(), []
    tried = set(np.linspace(0, max(len(images) - 1, 0), TRIED).astype(int))
    for index, name in enumerate(images):
        path = folder / name
        found = verify_file(path, keys.watermark, keys.anchors, ledger)
        entry = ledger.entry(found.ledger.index) if found.ledger.index is not None else None
        data = path.read_bytes()
        made.append(
            Seen(
                found,
                str(entry["time"]) if entry else None,
                survived(path, keys.watermark) if index in tried else None,
                tuple(word for word in words if word.encode() in data),
            )
        )
    return made


def incidents(run: str, created: str, samples: Rows, verified: Rows) -> list[dict[str, Any]]:
    """What went wrong or nearly did, one record each: requests refused or marked for review,
    checks that failed, released files that do not verify. No prompt is in them.
    """
    made = []
    for row in samples:
        if row["decision"] == "allow":
            continue
        flags = [f for f in json.loads(row["findings"]) if f["verdict"] != "pass"]
        broken = any(f["verdict"] == "error" for f in flags)
        refused = row["decision"] == "block"
        made.append(
            {
                "id": f"{run}/{row['id']}",
                "date": created,
                "system": row["pipeline"],
                "kind": "a check failed" if broken else "a request was " +
                        ("refused" if refused else "released for review"),
                "severity": "near miss" if refused else "to be reviewed",
                "found_by": sorted({f"{f['check']} ({f['stage']})" for f in flags}),
                "harm": "none: nothing was released" if refused else "not known",
                "action": "withheld" if refused else "a person has to look at it",
            }
        )  # fmt: skip
    for row in verified:
        if row["verdict"] != "verified":
            made.append(
                {
                    "id": f"{run}/{row['file']}",
                    "date": created,
                    "system": "provenance",
                    "kind": "a released file does not verify",
                    "severity": "incident",
                    "found_by": [f"verify: {row['verdict']}"],
                    "harm": "its origin can't be shown",
                    "action": "none yet",
                }
            )
    return made


def system_card(manifest: dict[str, Any], samples: Rows, verified: Rows) -> dict[str, Any]:
    """Models, safeguards, what they decided, and limits, in the manner of a system card.

    After DALL-E 2's (OpenAI 2022): the system with its filters, not a model alone.
    """
    from safety import Policy

    policy = Policy.load()
    checks: dict[str, dict[str, Any]] = {}
    for row in samples:
        for one in json.loads(row["findings"]):
            kind = f"{one['check']} ({one['stage']})"
            told = checks.setdefault(kind, {"looked": 0, "flagged": 0, "failed": 0})
            told["looked"] += 1
            told["flagged"] += one["verdict"] == "flag"
            told["failed"] += one["verdict"] == "error"
            # A concept has a calibration of its own; a person's name stays out of the papers.
            of = str(one.get("concept") or "") if "positives" in one["calibration"] else ""
            told.setdefault("calibration", {}).setdefault(of, one["calibration"])
    counts = Counter(row["decision"] for row in samples)
    return {
        "system": "Pellucid, portraits",
        "version": manifest["versions"].get("pellucid"),
        "command": manifest["command"],
        "date": manifest["created"],
        "models_sha256": manifest["models"],
        "purpose": "teaching and auditing text-to-image models on a drawn world whose factors "
        "are known; every person in it is fictional",
        "not_for": ["pictures of real people", "evidence about people", "any decision about one"],
        "policy": {"name": policy.name, "version": policy.version, "required": policy.required,
                   "actions": policy.actions},
        "checks": checks,
        "decisions": dict(counts),
        "provenance": dict(Counter(row["verdict"] for row in verified)),
        "limits": [
            "The guard is made for careless and casual users, not against the machine's owner.",
            "A missing mark proves nothing: marks can be removed.",
            "The certificate is a development one: it shows that a file is unchanged to those who "
            "pinned this machine's root.",
            "Copies repeated often in training are learnt by heart: see pellucid memorisation.",
            "Planted associations of the training set come out in pictures: see pellucid audit.",
        ],
    }  # fmt: skip


def papers(
    folder: Path, run: str, manifest: dict[str, Any], samples: Rows, verified: Rows, keys: Keys,
    ledger: Ledger,
) -> dict[str, Any]:  # fmt: skip
    """The papers of a run as plain data: `laws`, `system`, `incidents`."""
    from safety.laws import fields

    images = [row["image"] for row in samples if isinstance(row["image"], str)]
    found: Sequence[Field] = fields(seen_files(folder, images, keys, ledger))
    return {
        "laws": [asdict(one) for one in found],
        "system": system_card(manifest, samples, verified),
        "incidents": incidents(run, manifest["created"], samples, verified),
    }


def papers_run(
    run: str, out: str | None, *, portraits: int, seed: int, replace: bool,
    say: Callable[[str], None],
) -> dict[str, Any]:  # fmt: skip
    """`pellucid papers`: a run's papers anew, with calibration cards, as a run of their own.

    Raises UserError where the run, its ledger or this machine's keys are missing.
    """
    from safety import Ledger
    from safety.keys import keys
    from toolkit.clip import load_clip
    from toolkit.errors import UserError
    from toolkit.guarding import load_guard
    from toolkit.runs import RunWriter, load_run
    from toolkit.studies.cards import cards, check_size
    from toolkit.studies.papers_page import write_papers

    source = load_run(run)
    check_size(portraits)
    if not (home() / "keys").is_dir():
        raise UserError(
            f"there is no key in {home() / 'keys'}; papers are made where the pictures were, or "
            "name that home with PELLUCID_HOME"
        )
    samples = source.samples.astype(object).where(lambda t: t.notna(), None).to_dict("records")
    mine = keys(home() / "keys")
    ledger = Ledger(source.path / "ledger", public=mine.ledger_public)
    verified = source.json("verify.json")
    out = out or f"{source.path}-papers"
    config = {"of": source.name, "portraits": portraits, "seed": seed}
    with RunWriter(out, "pellucid papers", config, replace) as made:
        say(f"reading {len(verified)} files of {source.name} again")
        found = papers(source.path, source.name, source.manifest, samples, verified, mine, ledger)
        guard = load_guard(load_clip())
        log = made.file("unguarded.jsonl")
        found["cards"] = cards(guard, mine, portraits, seed, log, say)
        back = os.path.relpath(source.path / "report.html", made.path / "papers")
        of = f"Run {source.name}, made {source.manifest['created'][:16].replace('T', ' ')} UTC by "
        of += f"{source.manifest['command']}: {len(verified)} released files."
        write_papers(made, found, Path(back).as_posix(), of)
    counts = Counter(one["result"] for one in found["laws"])
    return {
        "run": out,
        "page": f"{out}/papers/laws.html",
        "laws": dict(counts),
        "failed": [f"{f['law']}, {f['section']}: {f['asks']} ({f['hits']} of {f['n']})"
                   for f in found["laws"] if f["result"] == "fail"],
        "incidents": len(found["incidents"]),
        "cards": {one["detector"]: {"auc": one["auc"], "tpr": one["tpr"], "fpr": one["fpr"]}
                  for one in found["cards"]},
    }  # fmt: skip
