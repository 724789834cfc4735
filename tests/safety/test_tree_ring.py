"""Tree-Ring with a phase per coefficient: its key finds it, and false alarms keep their rate."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, kstest, norm

from safety.tree_ring import detect, imprint, turned

SHAPES = [(4, 16, 16), (3, 32, 32)]
KEY = b"a key of the test, 32 bytes long"


def _null(recovered: np.ndarray, rng: np.random.Generator, keys: int = 150) -> np.ndarray:
    return np.array(
        [[one.p_value for one in detect(recovered, rng.bytes(32))] for _ in range(keys)]
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_its_key_finds_it_and_the_p_values_of_other_keys_are_uniform(
    shape: tuple[int, ...],
) -> None:
    rng = np.random.default_rng(1)
    marked = imprint(rng.standard_normal((16, *shape)), KEY)
    assert max(one.p_value for one in detect(marked, KEY)) < 1e-30
    faint = 0.7 * marked + rng.standard_normal(marked.shape)
    assert np.median([one.p_value for one in detect(faint, KEY)]) < 1e-6
    # One picture a key: pictures that share a key need not be independent.
    null = np.array(
        [detect(one[None], rng.bytes(32))[0].p_value for one in marked for _ in range(60)]
    )
    assert kstest(null, "uniform").pvalue > 0.01


def test_the_rate_holds_on_strongly_coloured_noise_with_a_pattern_in_it() -> None:
    rng = np.random.default_rng(2)
    waves = np.fft.fft2(rng.standard_normal((5, 4, 16, 16)))
    far = np.hypot(*np.meshgrid(np.fft.fftfreq(16), np.fft.fftfreq(16)))
    stripes = 5 * np.cos(2 * np.pi * 3 * np.arange(16) / 16)
    coloured = np.fft.ifft2(waves / (0.01 + far) ** 2).real + 40 + stripes
    for one in coloured:
        null = _null(one[None], rng, 400).ravel()
        assert kstest(null, "uniform").pvalue > 0.002
        assert binomtest(int((null < 0.01).sum()), len(null), 0.01).pvalue > 0.002


def test_marked_noise_is_gaussian_to_a_stranger_keeps_its_energy_and_other_channels() -> None:
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((100, *SHAPES[0])).astype(np.float32)
    marked = np.concatenate([imprint(one[None], rng.bytes(32)) for one in noise])
    assert kstest(marked[:, 3].ravel(), norm.cdf).pvalue > 0.01
    np.testing.assert_allclose((marked**2).sum(), (noise**2).sum(), rtol=1e-4)
    np.testing.assert_array_equal(marked[:, :3], noise[:, :3])


def test_the_same_noise_is_marked_the_same_alone_and_in_a_batch() -> None:
    noise = np.random.default_rng(4).standard_normal((5, *SHAPES[1])).astype(np.float32)
    kept = noise.copy()
    together = imprint(noise, KEY)
    np.testing.assert_array_equal(noise, kept)
    np.testing.assert_array_equal(np.concatenate([imprint(o[None], KEY) for o in noise]), together)
    again = imprint(together, KEY)
    np.testing.assert_allclose(again, together, atol=1e-5)  # marking twice changes nothing


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.7, 0.8, -0.2])
def test_the_tail_of_angles_is_close_to_throwing_them(share: float) -> None:
    rng = np.random.default_rng(5)
    coin, sizes = 0.8, rng.uniform(0.3, 1.5, 8)
    angles = rng.uniform(0, 2 * np.pi, (400_000, 8))
    sums = np.cos(angles) @ sizes + coin * rng.choice([-1, 1], 400_000)
    total = share * (coin + sizes.sum())
    thrown = (sums >= total).mean()
    spread = 4 * np.sqrt(thrown * (1 - thrown) / 400_000)
    assert abs(turned(total, coin, sizes) - thrown) < spread + 0.05 * thrown


def test_nothing_at_all_says_nothing() -> None:
    assert turned(0.0, 1.0, np.ones(5)) == 0.5
    assert detect(np.zeros((1, *SHAPES[0])), KEY)[0].p_value == 0.5


def test_a_bad_key_a_bad_disc_and_what_is_not_noise_get_a_sentence() -> None:
    noise = np.zeros((1, *SHAPES[0]))
    with pytest.raises(ValueError, match="at least 16 bytes"):
        imprint(noise, b"short")
    with pytest.raises(ValueError, match="at least 16 bytes"):
        detect(noise, "a string is no key of bytes")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="takes one from 1 to under 8"):
        imprint(noise, KEY, radius=8)
    with pytest.raises(ValueError, match=r"takes \(4,\) of them"):
        detect(noise, KEY, mix=np.ones(3))
    with pytest.raises(ValueError, match=r"expected \(n, channels, height, width\)"):
        detect(np.zeros((16, 16)), KEY)
