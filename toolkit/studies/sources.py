"""The user's own pictures as sources of what is drawn from them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safety.content_credentials import Source, Use


def sources_of(paths: Sequence[str | Path], anchors: bytes, use: Use) -> tuple[Source, ...]:
    """The files as sources for a manifest, drawn over ("edited") or looked at ("input").

    One that is signed under the pinned root (PEM) brings its own manifest along, so that the chain
    can be followed. Of any other the pixels alone are named: a stranger's manifest may say who
    they are. Raises UserError for a file that is no picture.
    """
    from safety.content_credentials import Source, read_credentials
    from safety.metadata import MIMES
    from safety.pictures import BadPicture, upright_picture
    from toolkit.errors import UserError

    found = []
    for path in map(Path, paths):
        try:
            picture = upright_picture(path).convert("RGB")
        except BadPicture as error:
            raise UserError(f"{path} can't be read as a picture ({error}); give another") from None
        data, mime = path.read_bytes(), MIMES.get(path.suffix.lower())
        if mime is None or read_credentials(data, mime, anchors).state != "trusted":
            file = io.BytesIO()
            picture.save(file, "PNG")
            data, mime = file.getvalue(), "image/png"
        found.append(Source(data, mime, use))
    return tuple(found)
