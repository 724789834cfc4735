"""What a .safetensors file says of itself, read from its head: names, shapes, whether it is whole.

The format: eight bytes with the header's length (little endian), a JSON header, then the numbers.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

from toolkit.errors import UserError

LONGEST = 100_000_000  # bytes of a header; the format's own limit


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Tensor names to shapes, without reading a weight.

    Raises UserError for a file that is not of this format, or not as long as its header says.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= LONGEST:
                raise ValueError("its first bytes are no header")
            head = json.loads(file.read(length))
        head.pop("__metadata__", None)
        found = {name: tuple(map(int, one["shape"])) for name, one in head.items()}
        ends = [int(one["data_offsets"][1]) for one in head.values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(f"{path} is no safetensors file ({error}); fetch it again") from error
    expected, size = 8 + length + max(ends, default=0), path.stat().st_size
    if size != expected:
        raise UserError(
            f"{path} has {size:,} bytes where its header promises {expected:,}; it was cut short "
            "or damaged: fetch it again"
        )
    return found


def count(path: Path) -> int:
    """How many numbers a file holds. Raises UserError as `shapes` does."""
    return sum(math.prod(shape) for shape in shapes(path).values())
