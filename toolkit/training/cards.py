"""Model cards (Mitchell et al. 2019): what a model is, learnt from what, for how long, how well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit.training import Recipe

USE = (
    "Made to study text-to-image systems on rendered portraits whose factors are known. It has "
    "seen nothing else: it says nothing about photographs or about real people."
)


def write_card(recipe: Recipe, record: dict, weights: Path) -> Path:
    """Write `NAME.card.md` and `NAME.card.json` beside the model; returns the readable one."""
    folder = weights / recipe.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{recipe.name}.card.json").write_text(json.dumps(record, indent=2) + "\n")
    flat = {key: value for key, value in record.items() if isinstance(value, str | int | float)}
    rows = "\n".join(f"| {key} | {value} |" for key, value in flat.items())
    if len(flat) < len(record):
        rest = ", ".join(key for key in record if key not in flat)
        rows += f"\n| {rest} | in `{recipe.name}.card.json` |"
    text = f"""# {recipe.what}

{USE}

- **Recipe**: `toolkit/training` (`{recipe.name}`); again with `pellucid train {recipe.name}`.
- **Data**: the portraits world (`toolkit/world`), its training split (the judge: its own split).
- **Figures**: `python -m benchmarks spine --json` measures them on test portraits.

| fact | value |
|---|---|
{rows}
"""
    path = folder / f"{recipe.name}.card.md"
    path.write_text(text)
    return path
