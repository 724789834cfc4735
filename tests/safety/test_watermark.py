"""The mark: seen by its key only, through PNG and JPEG, at the rate of false alarms it states."""

from __future__ import annotations

import binascii
import hashlib
import itertools
from math import comb

import numpy as np
import pytest
from scipy.fft import dctn
from scipy.stats import binomtest, kstest

from safety import ecc, luma
from safety.hide import reencode
from safety.watermark import Mark, detect_mark, layout, mark_image, sign_test
from toolkit.world import render_all, sample

PINNED = ([0.086826, 0.040667], [27, -1, -1])


def key(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


@pytest.fixture(scope="module")
def portraits() -> np.ndarray:
    return render_all(sample("test", 200, seed=31))


def test_the_mark_is_faint_and_read_back_after_png_and_jpeg(portraits: np.ndarray) -> None:
    mark = Mark(key("faint"))
    for index, image in enumerate(portraits):
        payload = (index * 2654435761) % 2**32
        marked = mark.embed(image, payload)
        assert psnr(image, marked) >= 38
        for seen in (marked, reencode(marked, 90)):
            found = mark.detect(seen)
            assert found.verdict == "present" and found.p_value < 1e-6
            assert found.payload == payload and found.confidence > 0.99


@pytest.mark.parametrize("shape", [(64, 64), (71, 130), (128, 128), (256, 320)])
def test_other_sizes(shape: tuple[int, int]) -> None:
    ramp = np.add.outer(np.linspace(0, 120, shape[0]), np.linspace(0, 120, shape[1]))
    image = np.repeat(ramp[..., None], 3, axis=2).astype(np.uint8)
    marked = mark_image(image, key("size"), 2**32 - 1)
    assert marked.shape == image.shape and psnr(image, marked) >= 38
    assert detect_mark(marked, key("size")).payload == 2**32 - 1
    assert detect_mark(reencode(marked), key("size")).payload == 2**32 - 1


@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 0, 255)])
def test_saturated_flat_pictures_carry_it_too(color: tuple[int, int, int]) -> None:
    image = np.full((64, 64, 3), color, np.uint8)
    marked = mark_image(image, key("flat"), 5)
    assert psnr(image, marked) >= 38
    assert detect_mark(reencode(marked), key("flat")).payload == 5


def test_false_alarms_of_fixed_keys_come_at_the_stated_rate(portraits: np.ndarray) -> None:
    """20 fixed keys on 200 portraits that share backgrounds, hats and the face's place."""
    p = np.array([[detect_mark(image, key(k)).p_value for image in portraits] for k in range(20)])
    for level in (0.1, 0.01, 0.001):
        assert binomtest(int((p < level).sum()), p.size, level).pvalue > 0.01
    assert kstest(p.ravel(), "uniform").pvalue > 0.01
    # Were a key's p-values on different pictures dependent, its mean would vary too much.
    spread = p.mean(axis=1).var(ddof=1) * 12 * len(portraits)
    assert 0.3 < spread < 2.2  # chi-square with 19 degrees of freedom, 0.1 % each side


def test_another_key_sees_nothing_on_a_marked_picture(portraits: np.ndarray) -> None:
    p = [
        detect_mark(mark_image(image, key("mine"), 1), key("yours", i)).p_value
        for i, image in enumerate(portraits)
    ]
    assert kstest(p, "uniform").pvalue > 0.01
    assert detect_mark(mark_image(portraits[0], key("mine"), 1), key("yours")).payload is None


def test_flat_pictures_are_judged_fairly_too() -> None:
    flat = np.full((64, 64, 3), (94, 180, 117), np.uint8)
    p = [detect_mark(flat, key("flat", i)).p_value for i in range(400)]
    assert kstest(p, "uniform").pvalue > 0.01


def test_a_mark_cut_from_one_picture_says_nothing_on_another(portraits: np.ndarray) -> None:
    mark = Mark(key("copy"))
    cut = mark.embed(portraits[0], 3).astype(int) - portraits[0]
    pasted = (portraits[1] + cut).clip(0, 255).astype(np.uint8)
    assert mark.detect(pasted).verdict != "present"


def test_averaging_many_marked_pictures_does_not_reveal_the_mark(portraits: np.ndarray) -> None:
    mark = Mark(key("average"))
    cuts = [mark.embed(image, 3).astype(float) - image for image in portraits[:100]]
    forged = (portraits[150] + 3 * np.mean(cuts, axis=0)).clip(0, 255).astype(np.uint8)
    assert mark.detect(forged).verdict != "present"


def test_embedding_twice_gives_the_same_and_leaves_the_input_alone(portraits: np.ndarray) -> None:
    before = portraits[0].copy()
    first, second = (mark_image(portraits[0], key("same"), 9) for _ in range(2))
    assert (first == second).all() and (portraits[0] == before).all()


def test_the_sign_test_is_exact() -> None:
    """Three votes, by hand: P(K > 2) = 1/8, P(K = 2) = 3/8; and uniform over all outcomes."""
    assert sign_test(3, 3, 0.5) == pytest.approx(0.5 / 8)
    assert sign_test(2, 3, 0.5) == pytest.approx(1 / 8 + 0.5 * 3 / 8)
    ties = np.linspace(0.0005, 0.9995, 1000)
    for level in (0.1, 0.01):
        rate = sum(
            comb(9, k) / 2**9 * np.mean([sign_test(k, 9, t) <= level for t in ties])
            for k in range(10)
        )
        assert rate == pytest.approx(level, abs=1e-3)


def test_blocks_are_the_discrete_cosine_transform_and_pixels_undoes_it() -> None:
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (64, 72, 1), dtype=np.uint8)
    found = luma.blocks(np.repeat(grey, 3, axis=2))
    expected = np.asarray(dctn(grey[16:24, 24:32, 0].astype(float), norm="ortho"))
    assert np.allclose(found[2, 3], expected)
    assert np.allclose(luma.pixels(found, (64, 72)), grey[..., 0])


def test_draws_are_the_same_everywhere_and_differ_by_key_and_fingerprint() -> None:
    """Pinned: a mark made today is read by every later version."""
    plan = layout(b"k" * 16, b"f" * 16, (8, 8))
    again, other = layout(b"k" * 16, b"f" * 16, (8, 8)), layout(b"k" * 16, b"g" * 16, (8, 8))
    assert (plan.dither == again.dither).all() and (plan.chips == again.chips).all()
    assert abs(np.corrcoef(plan.dither, other.dither)[0, 1]) < 0.1
    assert (plan.chips < 0).sum() == 512 and set(np.unique(plan.chips)) == set(range(-1, 768))
    assert (plan.dither[:2].round(6).tolist(), plan.chips[:3].tolist()) == PINNED


def test_words_are_64_apart_and_every_payload_comes_back() -> None:
    words = ecc.words().astype(int)
    apart = (128 - words @ words.T) // 2
    assert set(apart[~np.eye(256, dtype=bool)]) == {64, 128}
    for payload in (0, 1, 2**31, 2**32 - 1, 0xDEADBEEF):
        assert ecc.decode(ecc.encode(payload).astype(float))[0] == payload
    assert binascii.crc_hqx(b"123456789", 0xFFFF) == 0x29B1  # the CCITT check value


def test_the_code_stands_noise_and_refuses_what_it_cannot_read() -> None:
    rng = np.random.default_rng(1)
    sent = ecc.encode(0xCAFE)
    flipped = np.where(rng.random(768) < 0.25, -sent, sent).astype(float)
    assert ecc.decode(flipped)[0] == 0xCAFE
    wrong = [ecc.decode(rng.normal(size=768)) for _ in range(200)]
    assert all(payload is None for payload, _ in wrong)
    assert max(confidence for _, confidence in wrong) < 0.5


def test_bad_input_is_one_sentence(portraits: np.ndarray) -> None:
    mark = Mark(key("bad"))
    for image, words in [
        (portraits[0][:63], "64x63 pixels"),
        (portraits[0].astype(float), "float64"),
        (portraits[0][..., 0], "RGB"),
    ]:
        with pytest.raises(ValueError, match=words):
            mark.embed(image, 1)
    for payload in (-1, 2**32):
        with pytest.raises(ValueError, match="32 bits"):
            mark.embed(portraits[0], payload)
    with pytest.raises(ValueError, match="16 bytes"):
        Mark(b"short")
    assert mark.detect(portraits[0][:32]).verdict == "inconclusive"
    assert str(mark.key) not in repr(mark)


def test_all_cell_numbers_are_used() -> None:
    for rows, columns in itertools.product((8, 9, 13), repeat=2):
        assert set(luma.cell_of(rows, columns).reshape(-1)) == set(range(16))
