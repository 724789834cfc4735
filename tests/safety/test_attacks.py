"""The attacks: known answers on a toy mark that they must break, and the measures of quality."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from safety import averaging
from safety.attacks import SWEEPS, diffuse, regenerate
from safety.quality import psnr, ssim
from safety.watermark import Mark
from toolkit.world import render_all, sample

RNG = np.random.default_rng(5)
SIGN = np.where(RNG.random((64, 64, 1)) < 0.5, -4.0, 4.0)  # the toy's one constant pattern


def toy_marked(image: np.ndarray, shift: tuple[int, int] = (0, 0)) -> np.ndarray:
    return np.rint(image + np.roll(SIGN, shift, (0, 1))).clip(0, 255).astype(np.uint8)


def toy_p(image: np.ndarray) -> float:
    """How likely so much correlation is where the signs were drawn without this picture."""
    grey = image.astype(float).mean(-1)
    grey = grey - np.roll(grey, 1, 1)  # neighbours of a drawing are alike: compare their steps
    sign = SIGN[..., 0] - np.roll(SIGN[..., 0], 1, 1)
    return float(norm.sf((grey * sign).sum() / np.sqrt((sign**2 * grey**2).sum() + 1e-9)))


@pytest.fixture(scope="module")
def portraits() -> np.ndarray:
    return render_all(sample("test", 130, seed=41))


def test_the_toy_detector_sees_its_mark_and_nothing_else(portraits: np.ndarray) -> None:
    assert all(toy_p(toy_marked(one)) < 1e-3 for one in portraits[:30])
    assert np.mean([toy_p(one) < 1e-3 for one in portraits]) < 0.03


@pytest.mark.parametrize("known", [True, False])
def test_averaging_steals_and_forges_a_constant_mark(portraits: np.ndarray, known: bool) -> None:
    """A detector of a constant pattern has to come out as broken, or the bench is blind."""
    ours, others = portraits[:60], portraits[:60] if known else portraits[60:120]
    pattern = averaging.averaged([toy_marked(one) for one in ours], list(others))
    if known:
        assert np.abs(pattern - SIGN).mean() < 0.5
    tested = portraits[120:]
    stolen = [toy_p(averaging.stolen(toy_marked(one), pattern)) for one in tested]
    forged = [toy_p(averaging.forged(one, pattern)) for one in tested]
    assert np.mean(np.array(stolen) < 1e-3) <= 0.1
    assert np.mean(np.array(forged) < 1e-3) >= 0.9


def test_lining_up_finds_a_pattern_that_begins_anywhere(portraits: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    shifts = [tuple(rng.integers(64, size=2)) for _ in range(30)]
    pairs = list(zip(portraits[:30], shifts, strict=True))
    cut = np.stack([toy_marked(one, at).astype(np.float32) - one for one, at in pairs])
    plain = averaging.averaged([toy_marked(*pair) for pair in pairs], list(portraits[:30]))
    assert np.abs(plain).mean() < 1.5  # averaged as they are, they cancel
    found = averaging.lined_up(cut).mean(-1)
    best = max(
        np.corrcoef(np.roll(found, (i, j), (0, 1)).ravel(), SIGN.ravel())[0, 1]
        for i in range(64)
        for j in range(64)
    )
    assert best > 0.95


def test_a_thief_who_lines_up_steals_a_pattern_that_begins_anywhere(portraits: np.ndarray) -> None:
    for index, shift in enumerate([(3, 50), (31, 7), (0, 0), (63, 63)]):
        marked, away = toy_marked(portraits[index], shift), tuple(-np.array(shift))
        assert toy_p(np.roll(marked, away, (0, 1))) < 1e-3
        pattern = averaging.placed(SIGN.repeat(3, 2), marked)
        assert (pattern == np.roll(SIGN, shift, (0, 1))).all()
        assert toy_p(np.roll(averaging.stolen(marked, pattern), away, (0, 1))) > 1e-3


def test_a_pattern_is_made_as_loud_as_a_mark() -> None:
    rng = np.random.default_rng(3)
    pattern = averaging.as_loud(rng.normal(0, 0.01, (64, 64, 3)), 40.0)
    assert 10 * np.log10(255**2 / np.mean(pattern**2)) == pytest.approx(40)
    assert not averaging.as_loud(np.zeros((8, 8, 3)), 40.0).any()


def test_whoever_lines_ours_up_first_steals_and_forges_it(portraits: np.ndarray) -> None:
    """What beginning elsewhere does not protect from, as the mark's own page says."""
    mark = Mark(bytes(range(32)))
    cut = np.stack([mark.embed(one, 7).astype(np.float32) - one for one in portraits[:40]])
    pattern = averaging.as_loud(averaging.lined_up(cut), 38.4)
    tested = [(one, mark.embed(one, 7)) for one in portraits[120:]]
    stolen = [averaging.stolen(marked, averaging.placed(pattern, marked)) for _, marked in tested]
    assert np.mean([mark.detect(one).p_value < 1e-3 for one in stolen]) <= 0.3
    forged = [averaging.forged(one, pattern) for one, _ in tested]
    assert np.mean([mark.detect(one).p_value < 1e-3 for one in forged]) >= 0.7


def test_averaging_does_not_steal_ours_and_the_copy_attack_forges_it(portraits: np.ndarray) -> None:
    """Each mark begins elsewhere, so a mean holds none; but one mark lifted off is a mark."""
    mark = Mark(bytes(range(32)))
    marked = [mark.embed(one, 7) for one in portraits[:40]]
    pattern = averaging.averaged(marked, list(portraits[:40]))
    for one in portraits[120:]:
        assert mark.detect(averaging.stolen(mark.embed(one, 7), pattern)).p_value < 1e-3
        assert mark.detect(averaging.forged(one, pattern)).p_value > 1e-6
    single = averaging.averaged(marked[:1], list(portraits[:1]))
    accused = [mark.detect(averaging.forged(one, single)).p_value < 1e-3 for one in portraits[120:]]
    assert np.mean(accused) > 0.5


def test_regeneration_by_the_identity_is_the_identity(portraits: np.ndarray) -> None:
    image, rng = portraits[0], np.random.default_rng(0)
    same = regenerate(image, rng, 3, through=lambda x: np.uint8(x / 255 * 255.5))
    assert (same == image).all()
    assert (diffuse(image, rng, 0.5, redraw=lambda x, seed, strength: x) == image).all()


def test_regeneration_goes_round_as_often_as_it_is_told(portraits: np.ndarray) -> None:
    darker = regenerate(portraits[1], np.random.default_rng(0), 4, through=lambda x: x // 2)
    assert (darker == portraits[1] // 16).all()


def test_diffusion_gets_its_strength_and_a_seed_that_follows_from_the_generator() -> None:
    calls = []

    def redraw(picture: np.ndarray, seed: int, strength: float) -> np.ndarray:
        calls.append((picture.shape, seed, strength))
        return picture

    image = np.zeros((64, 64, 3), np.uint8)
    for seed in (1, 1, 2):
        diffuse(image, np.random.default_rng(seed), 0.3, redraw=redraw)
    assert calls[0] == calls[1] != calls[2] and calls[0][::2] == ((64, 64, 3), 0.3)


@pytest.mark.parametrize("name", list(SWEEPS))
def test_every_sweep_gets_worse_and_keeps_what_it_says(name: str, portraits: np.ndarray) -> None:
    sweep, image = SWEEPS[name], portraits[3]
    errors = []
    for strength in sweep.strengths:
        after = sweep.apply(image, np.random.default_rng(1), strength)
        assert after.dtype == np.uint8 and after.ndim == 3 and sweep.label.format(strength)
        if sweep.still:
            assert after.shape == image.shape
            errors.append(psnr(image, after))
    if name in ("jpeg", "resize", "blur", "noise"):
        assert errors == sorted(errors, reverse=True)


def test_quality_is_what_others_measure(portraits: np.ndarray) -> None:
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    from safety.tile import luma

    one = portraits[5]
    other = SWEEPS["jpeg"].apply(one, RNG, 25)
    assert psnr(one, other) == pytest.approx(peak_signal_noise_ratio(one, other), abs=1e-3)
    theirs = structural_similarity(
        luma(one).astype(float), luma(other).astype(float), data_range=255, gaussian_weights=True,
        sigma=1.5, use_sample_covariance=False,
    )  # fmt: skip
    assert ssim(one, other) == pytest.approx(theirs, abs=1e-6)
    assert ssim(one, one) == pytest.approx(1) and psnr(one, one) == 100
