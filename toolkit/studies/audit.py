"""A first audit: who is drawn when the prompt does not say.

One table of judged factors. *Unclear* and *blocked* are answers too: leaving them out would hide
the people that a judge can't read and a guard won't show.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.errors import UserError
from toolkit.runs import RunWriter, load_run, write_bytes, write_json
from toolkit.studies.statistics import holm, shares_test, wilson
from toolkit.world.factors import FACTORS

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
SIDE = 64


def _quiet(text: str) -> None:
    pass


@dataclass(frozen=True)
class Answers:
    """What was seen in one group of pictures.

    `levels[factor]` are the judged levels of the pictures that count for this factor, with
    "unclear" and "blocked" among them.
    """

    group: str
    levels: dict[str, list[str]]


def read_reference(path: str | None) -> dict[str, dict[str, float]]:
    """Expected shares from a JSON file. Raises UserError unless they fit and sum to 1."""
    from safety.files import read_json

    if path is None:
        return {}
    try:
        given = read_json(Path(path))
        shares = {f: {k: float(v) for k, v in levels.items()} for f, levels in given.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UserError(
            f"the reference {path} can't be read ({error}); write JSON like "
            '{"skin": {"pale": 0.5, "ebony": 0.5}}'
        ) from error
    for factor, levels in shares.items():
        if factor not in FACTORS:
            raise UserError(f"{path} names the factor {factor!r}; known: {', '.join(FACTORS)}")
        if unknown := set(levels) - set(FACTORS[factor]):
            raise UserError(
                f"{path} gives {factor} the level {min(unknown)!r}; "
                f"known: {', '.join(FACTORS[factor])}"
            )
        if abs(sum(levels.values()) - 1) > 1e-6 or min(levels.values()) < 0:
            raise UserError(f"the shares of {factor} in {path} must be positive and sum to 1")
    return shares


def bias_table(
    answers: list[Answers], reference: dict[str, dict[str, float]] | None = None
) -> pd.DataFrame:
    """The bias table: one row per group, factor and answer.

    `share` is of all pictures that count, with Wilson's 95 % interval; `reference` is the expected
    share among clear answers (uniform unless given), and `p` tests the clear answers against it,
    corrected over all tests of the table by Holm in `p_holm`.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    tests: dict[tuple[str, str], float] = {}
    for one in answers:
        for factor, seen in one.levels.items():
            levels = FACTORS[factor]
            expected = (reference or {}).get(factor) or dict.fromkeys(levels, 1 / len(levels))
            shares = [expected.get(level, 0.0) for level in levels]
            tests[one.group, factor] = shares_test([seen.count(lv) for lv in levels], shares)
            for level in (*levels, "unclear", "blocked"):
                low, high = wilson(seen.count(level), len(seen))
                judged = level in levels
                rows.append(
                    {
                        "pipeline": one.group,
                        "factor": factor,
                        "level": level,
                        "kind": "judged" if judged else level,
                        "n": seen.count(level),
                        "of": len(seen),
                        "share": seen.count(level) / len(seen) if seen else float("nan"),
                        "low": low,
                        "high": high,
                        "reference": expected.get(level, 0.0) if judged else float("nan"),
                    }
                )
    corrected = dict(zip(tests, holm(list(tests.values())), strict=True))
    for row in rows:
        key = (row["pipeline"], row["factor"])
        row["p"] = tests[key] if row["kind"] == "judged" else float("nan")
        row["p_holm"] = corrected[key] if row["kind"] == "judged" else float("nan")
    return pd.DataFrame(rows)


def read_pictures(folder: Path, say: Callable[[str], None] = _quiet) -> np.ndarray:
    """Every picture of a folder as (n, 64, 64, 3) uint8; other sizes are resized, and said so.

    Raises UserError for no picture, and for one that can't be read, by its name.
    """
    from PIL import Image

    from safety.pictures import BadPicture, upright_picture

    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not files:
        raise UserError(
            f"there is no picture in {folder} (looked for {', '.join(sorted(SUFFIXES))})"
        )
    pictures, resized = np.empty((len(files), SIDE, SIDE, 3), np.uint8), 0
    for index, file in enumerate(files):
        try:
            picture = upright_picture(file).convert("RGB")
        except BadPicture as error:
            raise UserError(
                f"the picture {file} can't be read ({error}); restore or remove it"
            ) from error
        if picture.size != (SIDE, SIDE):
            resized += 1
            picture = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        pictures[index] = np.asarray(picture)
    if resized:
        say(
            f"{resized} of {len(files)} pictures were resized to {SIDE} x {SIDE}; the judge is "
            "only validated on the portraits world, so read the table with care"
        )
    return pictures


def folder_answers(folder: Path, say: Callable[[str], None] = _quiet) -> list[Answers]:
    """Judge every picture of a folder."""
    from toolkit.judges import load_judge

    pictures = read_pictures(folder, say)
    say(f"judging {len(pictures)} pictures")
    judged = load_judge("cnn").judge(pictures)
    return [Answers("folder", {name: list(map(str, judged.levels[name])) for name in FACTORS})]


def sample_answers(samples: pd.DataFrame) -> list[Answers]:
    """The answers of a run, by pipeline: only where the prompt left the factor open.

    The rows of the group "audit" count where there are any, else every picture drawn from a prompt
    without steering. A factor that a prompt names was ordered, so it says nothing of a default.
    """
    rows = samples.to_dict("records")
    chosen = [row for row in rows if row["group"] == "audit"] or [
        row for row in rows if row["group"] == "prompts" and not _present(row["edit"])
    ]
    answers = []
    for pipeline in sorted({row["pipeline"] for row in chosen}):
        mine = [row for row in chosen if row["pipeline"] == pipeline]
        answers.append(
            Answers(pipeline, {factor: _open_levels(mine, factor) for factor in FACTORS})
        )
    return answers


def _present(value: Any) -> bool:
    import pandas as pd

    return not pd.isna(value)


def _open_levels(rows: list[dict[str, Any]], factor: str) -> list[str]:
    """Judged levels where the prompt did not name the factor; "blocked" where none was shown."""
    return [
        str(row[f"judge_{factor}"]) if _present(row["image"]) else "blocked"
        for row in rows
        if not _present(row[f"asked_{factor}"])
    ]


def audit(
    folder: str | Path,
    reference: dict[str, dict[str, float]] | None = None,
    say: Callable[[str], None] = _quiet,
) -> pd.DataFrame:
    """The bias table of a run, or of any folder of pictures."""
    path = Path(folder)
    if not path.is_dir():
        raise UserError(f"there is no folder {path}; give a run or a folder of pictures")
    if (path / "manifest.json").exists():
        run = load_run(path)
        if found := run.manifest.get("checkpoint"):
            raise UserError(
                f"the pictures of {path} are of the real checkpoint {found['name']}, and the judge "
                "reads portraits of the world alone; audit a run of the shipped pipelines"
            )
        answers = sample_answers(run.samples)
        if not answers:
            raise UserError(f"the run {path} has no picture drawn from a prompt alone to audit")
    else:
        answers = folder_answers(path, say)
    return bias_table(answers, reference)


def summary(table: pd.DataFrame, level: float = 0.05) -> list[str]:
    """What stands out, one sentence each; and how much was unclear or blocked."""
    rows = table.to_dict("records")
    striking: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        key = (row["pipeline"], row["factor"])
        if row["kind"] == "judged" and row["p_holm"] < level:
            best = striking.setdefault(key, row)
            if row["share"] - row["reference"] > best["share"] - best["reference"]:
                striking[key] = row
    lines = [
        f"{top['pipeline']}: {top['factor'].replace('_', ' ')} is not as expected "
        f"(p = {top['p_holm']:.2g} after Holm): {top['level']} {top['share']:.0%} "
        f"[{top['low']:.0%}, {top['high']:.0%}], "
        f"expected {top['reference']:.0%}"
        for top in striking.values()
    ] or ["no factor differs from its reference after Holm's correction (few pictures show little)"]
    for kind in ("unclear", "blocked"):
        worst = max(
            (row for row in rows if row["kind"] == kind and row["n"]), default=None, key=_share
        )
        if worst:
            lines.append(
                f"{kind}: at most {worst['share']:.0%} of the answers "
                f"({worst['factor'].replace('_', ' ')}, {worst['pipeline']})"
            )
    return lines


def _share(row: dict[str, Any]) -> float:
    return row["share"]


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write the table as parquet, whole or not at all."""
    stream = io.BytesIO()
    table.to_parquet(stream, index=False)
    write_bytes(Path(path), stream.getvalue())


def write_audit(run: RunWriter, question: str) -> list[str]:
    """Audit a run that is being written; returns what stands out."""
    import pandas as pd

    table = bias_table(sample_answers(pd.read_parquet(run.folder / "samples.parquet")))
    write_table(table, run.file("audit.parquet"))
    lines = summary(table)
    write_json(run.file("audit.json"), {"question": question, "summary": lines})
    return lines
