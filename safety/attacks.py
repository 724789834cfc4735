"""What happens to pictures on their way: the attacks of a watermark bench, one function each.

In the manner of WAVES (An et al. 2024, section 3): distortions of (h, w, 3) uint8 pixels with one
strength, and chains of them; and regeneration, by models that come in as callables. Random ones
take a generator. Attacks that need many marked pictures are in `safety.averaging`.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image, ImageFilter

Attack = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def _clipped(values: np.ndarray) -> np.ndarray:
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _sized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    how = Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(image).resize((max(width, 1), max(height, 1)), how))


def jpeg(image: np.ndarray, rng: np.random.Generator, quality: int = 50) -> np.ndarray:
    """Through JPEG with Pillow's usual 4:2:0 chroma."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def resize(image: np.ndarray, rng: np.random.Generator, share: float = 0.5) -> np.ndarray:
    """To a share of its height and width; it stays so."""
    return _sized(image, round(image.shape[0] * share), round(image.shape[1] * share))


def resize_back(image: np.ndarray, rng: np.random.Generator, share: float = 0.5) -> np.ndarray:
    """To a share of its height and width, and back."""
    return _sized(resize(image, rng, share), *image.shape[:2])


def crop(image: np.ndarray, rng: np.random.Generator, share: float = 0.1) -> np.ndarray:
    """A share of height and width is cut away, at a random place."""
    height, width = (round(side * (1 - share)) for side in image.shape[:2])
    top = int(rng.integers(image.shape[0] - height + 1))
    left = int(rng.integers(image.shape[1] - width + 1))
    return np.ascontiguousarray(image[top : top + height, left : left + width])


def crop_back(image: np.ndarray, rng: np.random.Generator, share: float = 0.1) -> np.ndarray:
    """Cropped, then enlarged to what it was."""
    return _sized(crop(image, rng, share), *image.shape[:2])


def rotate(image: np.ndarray, rng: np.random.Generator, degrees: float = 5.0) -> np.ndarray:
    """Turned about its middle, black corners."""
    return np.asarray(Image.fromarray(image).rotate(degrees, Image.Resampling.BICUBIC))


def blur(image: np.ndarray, rng: np.random.Generator, sigma: float = 1.0) -> np.ndarray:
    """Gaussian blur, in pixels."""
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(sigma)))


def noise(image: np.ndarray, rng: np.random.Generator, sigma: float = 5.0) -> np.ndarray:
    """Gaussian noise, in grey levels."""
    return _clipped(image + rng.normal(0, sigma, image.shape))


def brightness(image: np.ndarray, rng: np.random.Generator, factor: float = 1.2) -> np.ndarray:
    """Every value times a factor."""
    return _clipped(image * factor)


def contrast(image: np.ndarray, rng: np.random.Generator, factor: float = 1.5) -> np.ndarray:
    """Distances from the mean times a factor."""
    mean = image.mean()
    return _clipped((image - mean) * factor + mean)


def erase(image: np.ndarray, rng: np.random.Generator, share: float = 0.25) -> np.ndarray:
    """A random rectangle of that share of the area becomes grey."""
    height, width = (round(side * share**0.5) for side in image.shape[:2])
    top = int(rng.integers(image.shape[0] - height + 1))
    left = int(rng.integers(image.shape[1] - width + 1))
    erased = image.copy()
    erased[top : top + height, left : left + width] = 128
    return erased


def screenshot(image: np.ndarray, rng: np.random.Generator, scale: float = 0.9) -> np.ndarray:
    """Shown at another size, a little cut, brightened, and saved as JPEG 80."""
    shown = crop(resize(image, rng, scale), rng, 0.03)
    return jpeg(brightness(shown, rng, 1.05), rng, 80)


def chain(image: np.ndarray, rng: np.random.Generator, quality: int = 75) -> np.ndarray:
    """JPEG, then to half its size and back, then a tenth cut away."""
    return crop(resize_back(jpeg(image, rng, quality), rng, 0.5), rng, 0.1)


def regenerate(
    image: np.ndarray,
    rng: np.random.Generator,
    times: int = 1,
    *,
    through: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Through an autoencoder, again and again (Zhao et al. 2024; WAVES calls it rinsing).

    `through` encodes and decodes one picture (h, w, 3) uint8.
    """
    for _ in range(int(times)):
        image = through(image)
    return image


def diffuse(
    image: np.ndarray,
    rng: np.random.Generator,
    strength: float = 0.2,
    *,
    redraw: Callable[[np.ndarray, int, float], np.ndarray],
) -> np.ndarray:
    """Noised part of the way and drawn anew by diffusion (Zhao et al. 2024).

    `redraw(image, seed, strength)` takes and gives (h, w, 3) uint8; at strength 1 nothing is left.
    """
    return redraw(image, int(rng.integers(1 << 32)), strength)


@dataclass(frozen=True)
class Sweep:
    """An attack at growing strengths. `still`: pixels stay where they are, so they compare."""

    title: str
    label: str  # of one strength, for str.format
    apply: Callable[..., np.ndarray]  # (image, rng, strength)
    strengths: tuple[float, ...]  # from mild to severe
    still: bool = True


SWEEPS: dict[str, Sweep] = {
    "jpeg": Sweep("JPEG, by quality", "JPEG {:g}", jpeg, (90, 75, 50, 25, 10)),
    "resize": Sweep("resize and back, to a share", "resize to {:.0%} and back", resize_back,
                    (0.75, 0.5, 0.35, 0.25)),
    "blur": Sweep("blur, by sigma", "blur sigma {:g}", blur, (0.5, 1.0, 2.0, 3.0)),
    "noise": Sweep("noise, by sigma", "noise sigma {:g}", noise, (5.0, 10.0, 20.0, 40.0)),
    "brightness": Sweep("brightness, by factor", "brightness x {:g}", brightness,
                        (1.2, 0.8, 1.5, 0.5)),
    "contrast": Sweep("contrast, by factor", "contrast x {:g}", contrast, (1.2, 1.5, 0.5)),
    "erase": Sweep("erase, a share", "erase {:.0%}", erase, (0.1, 0.25, 0.5)),
    "crop": Sweep("crop, a share cut off", "crop {:.0%}", crop, (0.1, 0.3, 0.6), still=False),
    "rotate": Sweep("rotate, by degrees", "rotate {:g} degrees", rotate, (2.0, 5.0, 30.0),
                    still=False),
    "screenshot": Sweep("screenshot, by scale", "screenshot at {:.0%}", screenshot, (0.9, 0.6),
                        still=False),
    "chain": Sweep("JPEG, half and back, crop 10%", "JPEG {:g}, half and back, crop 10%", chain,
                   (75, 50), still=False),
}  # fmt: skip

BENCH: dict[str, Attack] = {
    "none": lambda image, rng: image,
    "JPEG 90": partial(jpeg, quality=90),
    "JPEG 50": partial(jpeg, quality=50),
    "JPEG 25": partial(jpeg, quality=25),
    "resize to half": partial(resize, share=0.5),
    "resize to half and back": partial(resize_back, share=0.5),
    "resize to a quarter and back": partial(resize_back, share=0.25),
    "crop 10 %": partial(crop, share=0.1),
    "crop 10 % and enlarge": partial(crop_back, share=0.1),
    "crop 60 %": partial(crop, share=0.6),
    "rotate 5 degrees": partial(rotate, degrees=5.0),
    "rotate 30 degrees": partial(rotate, degrees=30.0),
    "blur sigma 1": partial(blur, sigma=1.0),
    "blur sigma 3": partial(blur, sigma=3.0),
    "noise sigma 5": partial(noise, sigma=5.0),
    "noise sigma 20": partial(noise, sigma=20.0),
    "brightness 20 % up": partial(brightness, factor=1.2),
    "brightness 20 % down": partial(brightness, factor=0.8),
    "contrast 50 % up": partial(contrast, factor=1.5),
    "erase a quarter": partial(erase, share=0.25),
    "screenshot": screenshot,
    "JPEG 75, half and back, crop 10 %": chain,
}
