"""Which models of faces this machine uses: paths in a small file of its home, checked by hash."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from safety.files import read_json
from toolkit.errors import UserError
from toolkit.people import home
from toolkit.runs import write_json

if TYPE_CHECKING:
    from safety.faces import Faces

TRIAL = "import sys; from safety.faces import Faces; Faces.load(*sys.argv[1:])"
HOW = "name YuNet's and SFace's ONNX files with: pellucid consent faces DETECTOR RECOGNISER"


def use_faces(detector: str, recogniser: str) -> Faces:
    """Take these models from now on. Raises BadFaces or UserError for what is none, before that.

    They are tried in a process of their own first: OpenCV's reader of ONNX can crash on bad bytes.
    """
    from safety.faces import Faces, models_id

    models_id(detector, recogniser)
    trial = [sys.executable, "-c", TRIAL, detector, recogniser]
    if subprocess.run(trial, capture_output=True).returncode < 0:
        raise UserError(f"OpenCV crashes on {detector} or {recogniser}; {HOW}")
    found = Faces.load(detector, recogniser)
    paths = {"detector": detector, "recogniser": recogniser}
    kept = {name: str(Path(path).resolve()) for name, path in paths.items()}
    write_json(home() / "faces.json", kept | {"id": found.id})
    return found


def known_faces() -> Faces | None:
    """The models that `use_faces` took, or None where it never did.

    Raises UserError where their files are gone or others than they were, and BadFaces.
    """
    from safety.faces import Faces, models_id

    path = home() / "faces.json"
    if not path.exists():
        return None
    try:
        facts = read_json(path)
        detector, recogniser, known = (facts[key] for key in ("detector", "recogniser", "id"))
        if not all(isinstance(value, str) and "\0" not in value for value in facts.values()):
            raise ValueError("it holds something else than paths")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} can't be read ({error}); {HOW}") from None
    if models_id(detector, recogniser) != known:
        raise UserError(f"{detector} or {recogniser} is another file than before; {HOW}")
    return Faces.load(detector, recogniser)
