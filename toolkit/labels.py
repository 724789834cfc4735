"""Labels of pictures from a CSV file, joined by id or by file name; nothing is dropped."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.embeddings import Store

KEYS = ("id", "file_name", "filename", "file", "path", "image")


def read_labels(file: str | Path, ids: Sequence[str]) -> pd.DataFrame:
    """(n rows, one column a label) of text in the order of `ids`, which are its index.

    The CSV's first line names its columns; one of id, file_name, filename, file, path or image
    says whose line it is, by id or, where that is no id, by file name. An empty cell is missing.
    Raises UserError naming the line or the id for a line of no id, an id without a line, or two
    lines of one id.
    """
    import pandas as pd

    columns, key, lines = _lines(Path(file))
    short = Counter(name.rpartition("/")[2] for name in ids)
    place = {name.rpartition("/")[2]: name for name in ids}
    known, found = set(ids), {}
    for number, line in lines:
        said = line[key] or ""
        name = said if said in known else place.get(said)
        if name is None:
            raise UserError(
                f"line {number} of {file} is about {said!r}, which is none of the {len(ids)} ids "
                f"(the first is {ids[0]!r})"
            )
        if said not in known and short[said] > 1:
            raise UserError(
                f"line {number} of {file} is about {said!r}, a file name that occurs "
                f"{short[said]} times; give the path below the folder"
            )
        if name in found:
            raise UserError(f"line {number} of {file} is about {said!r}, which had a line before")
        found[name] = [line[column].strip() or None for column in columns]
    missing = [name for name in ids if name not in found]
    if missing:
        raise UserError(
            f"{file} has no line about {missing[0]!r} ({len(missing)} of {len(ids)} are missing); "
            "add a line with empty cells if its labels are unknown"
        )
    index = pd.Index(list(ids), name="id")
    return pd.DataFrame([found[name] for name in ids], index, columns, dtype=object)


def columns_of(store: Store, file: str | Path | None = None) -> dict[str, list[str | None]]:
    """Label to n values of a store's rows, from a CSV in place of its own; None: no label.

    Raises UserError as `read_labels`.
    """
    table = store.labels if file is None else read_labels(file, store.ids)
    return {
        str(name): [None if one is None or one != one else str(one) for one in table[name]]
        for name in table.columns
    }


def _lines(file: Path) -> tuple[list[str], str, list[tuple[int, dict[str, str]]]]:
    """The label columns, the key column, and each line with its number in the file."""
    try:
        with open(file, newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, strict=True)
            names = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = names
            lines = [(reader.line_num, line) for line in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"the labels {file} can't be read ({error}); give a CSV file") from error
    key = next((name for name in KEYS if name in names), None)
    if key is None:
        raise UserError(f"{file} has no column that says whose labels they are: {', '.join(KEYS)}")
    columns = [name for name in names if name != key]
    if not columns or len(set(names)) < len(names) or "" in names:
        raise UserError(f"{file} needs label columns beside {key!r}, each with its own name")
    for number, line in lines:
        if None in line or None in line.values():
            raise UserError(f"line {number} of {file} has not {len(names)} cells as its first line")
    return columns, key, lines
