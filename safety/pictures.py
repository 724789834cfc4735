"""Pictures from strangers: read whole or refused in one sentence, whatever is in them."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

from PIL import Image, ImageOps

LARGEST = 40_000_000  # pixels; ten times the largest picture that we mean to look at
LARGEST_FILE = 200_000_000  # bytes
# Formats that Pillow reads by itself: others call programs (EPS), or fetch a font (PDF).
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")


class BadPicture(ValueError):
    """Why a file can't be read as a picture: a part of a sentence, without the file's name."""


def load_picture(source: bytes | Path) -> Image.Image:
    """A picture with its pixels decoded, by its bytes or its place.

    Raises BadPicture for anything else: an unreadable or damaged file, one of another format, one
    that is too large as a file, and one that is small and would be huge when unpacked.
    """
    data = source if isinstance(source, bytes) else file_bytes(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a damaged file may warn before it fails
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            if image.width * image.height > LARGEST:
                raise BadPicture(f"{image.width}x{image.height} pixels, at most {LARGEST} are read")
            image.load()
    except BadPicture:
        raise
    except Exception as error:  # Pillow's plugins raise any kind on damaged files
        said = str(error).partition("\n")[0]
        if "cannot identify" in said:
            said = "no image format is recognised"
        raise BadPicture(said or type(error).__name__) from None
    return image


def upright_picture(source: bytes | Path) -> Image.Image:
    """A picture turned the way that its EXIF says; one whose EXIF is damaged stays as it lies.

    Raises BadPicture as `load_picture` does.
    """
    image = load_picture(source)
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # Pillow raises any kind on damaged EXIF
        return image


def file_bytes(path: Path) -> bytes:
    """A picture file's bytes. Raises BadPicture for none, and for too many."""
    try:
        size = path.stat().st_size
        if path.is_file() and size > LARGEST_FILE:
            raise BadPicture(f"the file has {size} bytes, at most {LARGEST_FILE} are read")
        return path.read_bytes()
    except OSError as error:
        raise BadPicture(str(error.strerror)) from None
