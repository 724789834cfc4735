"""Other people's watermarks behind the same two calls, to measure ours beside them.

invisible-watermark 0.2 (ShieldMnt), which Stable Diffusion XL ships, is an extra that is not
needed to run Pellucid: `pip install "pellucid[baselines]"`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

METHODS = ("dwtDct", "dwtDctSvd")


@dataclass(frozen=True)
class InvisibleWatermark:
    """`dwtDct` or `dwtDctSvd` of invisible-watermark, with a payload of `bits` bits.

    It has no key, no error correction and no test of presence: `detect` always reads something.
    Raises ValueError for another method, or where the package is not installed.
    """

    method: str = "dwtDct"
    bits: int = 32

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"no method is named {self.method!r}; choose {' or '.join(METHODS)}")
        try:
            import imwatermark  # noqa: F401  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise ValueError(
                f"invisible-watermark can't be loaded ({error}); install pellucid[baselines]"
            ) from error

    def embed(self, image: np.ndarray, payload: int) -> np.ndarray:
        """A marked copy of (h, w, 3) uint8 pixels, at least 256 x 256."""
        from imwatermark import WatermarkEncoder  # pyright: ignore[reportMissingImports]

        encoder = WatermarkEncoder()
        encoder.set_watermark("bits", [payload >> i & 1 for i in reversed(range(self.bits))])
        marked = encoder.encode(np.ascontiguousarray(image[..., ::-1]), self.method)
        return np.ascontiguousarray(marked[..., ::-1])

    def detect(self, image: np.ndarray) -> int:
        """The payload read in (h, w, 3) uint8 pixels, right or not."""
        from imwatermark import WatermarkDecoder  # pyright: ignore[reportMissingImports]

        decoder = WatermarkDecoder("bits", self.bits)
        read = decoder.decode(np.ascontiguousarray(image[..., ::-1]), self.method)
        return int("".join("1" if bit else "0" for bit in read), 2)
