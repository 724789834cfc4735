"""The mark: seen by its key only, through what pictures go through, at its stated rate."""

from __future__ import annotations

import binascii
import hashlib

import numpy as np
import pytest
from PIL import Image
from scipy.special import j0
from scipy.stats import binomtest, kstest

from safety import chance, ecc, geometry, luma, tile
from safety.hide import reencoded
from safety.watermark import Mark, detect_mark, mark_image, phases, read, wanted
from toolkit.world import render_all, sample

PINNED = [0.5735, 0.8376, -1.6325]


def key(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


def resized(image: np.ndarray, width: int, height: int) -> np.ndarray:
    how = Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(image).resize((width, height), how))


@pytest.fixture(scope="module")
def portraits() -> np.ndarray:
    return render_all(sample("test", 200, seed=31))


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """A photo of 512 x 512 pixels that scikit-image ships."""
    from skimage import data

    return data.astronaut()


def test_small_pictures_are_marked_faintly_and_read_back(portraits: np.ndarray) -> None:
    mark = Mark(key("faint"))
    for index, image in enumerate(portraits[:60]):
        payload = (index * 2654435761) % 2**32
        marked = mark.embed(image, payload)
        assert psnr(image, marked) >= 38
        for seen in (marked, reencoded(marked, 90)):
            found = mark.detect(seen)
            assert found.verdict == "present" and found.p_value < 1e-6
            assert found.payload == payload and found.votes > 0.7


@pytest.mark.parametrize("shape", [(64, 64), (71, 130), (128, 128), (300, 257), (700, 1030)])
def test_other_sizes(shape: tuple[int, int]) -> None:
    ramp = np.add.outer(np.linspace(0, 120, shape[0]), np.linspace(0, 120, shape[1]))
    image = np.repeat(ramp[..., None], 3, axis=2).astype(np.uint8)
    marked = mark_image(image, key("size"), 2**32 - 1)
    assert marked.shape == image.shape and psnr(image, marked) >= 38
    assert detect_mark(marked, key("size")).payload == 2**32 - 1
    assert detect_mark(reencoded(marked), key("size")).payload == 2**32 - 1


@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (255, 0, 0), (240, 238, 236)])
def test_saturated_flat_pictures_carry_it_too(color: tuple[int, int, int]) -> None:
    image = np.full((64, 64, 3), color, np.uint8)
    marked = mark_image(image, key("flat"), 5)
    assert psnr(image, marked) >= 38
    assert detect_mark(reencoded(marked), key("flat")).payload == 5


def test_a_photo_keeps_64_bits_through_what_photos_go_through(photo: np.ndarray) -> None:
    mark, payload = Mark(key("photo")), 0xFEDC_BA98_7654_3210
    marked = mark.embed(photo, payload)
    assert psnr(photo, marked) > 42
    rng = np.random.default_rng(3)
    noisy = marked + rng.normal(0, 5, marked.shape)
    half = resized(marked, 256, 256)
    through = {
        "JPEG 50": reencoded(marked, 50),
        "crop": marked[37:471, 11:480],
        "crop to a sixth": marked[100:305, 201:420],
        "brighter": np.rint(marked * 1.2).clip(0, 255).astype(np.uint8),
        "darker": np.rint(marked * 0.8).astype(np.uint8),
        "noise": np.rint(noisy).clip(0, 255).astype(np.uint8),
        "half and back": resized(half, 512, 512),
        "chain": resized(resized(reencoded(marked, 75), 256, 256), 512, 512)[9:470, 40:],
    }
    for name, seen in through.items():
        found = mark.detect(np.ascontiguousarray(seen), search=False)
        assert found.payload == payload, name
    for scale, turn, seen in [
        (0.5, 0, half),
        (1.3, 0, resized(marked, 666, 666)),
        (1, -7, np.asarray(Image.fromarray(marked).rotate(-7, Image.Resampling.BICUBIC))),
    ]:
        found = mark.detect(seen)
        assert found.payload == payload, (scale, turn)
        assert found.scale == pytest.approx(scale, rel=0.01)
        assert found.turn == pytest.approx(turn, abs=0.3)


def test_false_alarms_of_fixed_keys_come_at_the_stated_rate(portraits: np.ndarray) -> None:
    """20 fixed keys on 200 portraits that share backgrounds, hats and the face's place."""
    p = np.array([[read(image, key(k)).p_value for image in portraits] for k in range(20)])
    for level in (0.1, 0.01, 0.001):
        assert binomtest(int((p < level).sum()), p.size, level).pvalue > 0.01
    assert kstest(p.ravel(), "uniform").pvalue > 0.01
    # Were a key's p-values on different pictures dependent, its mean would vary too much.
    spread = p.mean(axis=1).var(ddof=1) * 12 * len(portraits)
    assert 0.3 < spread < 2.2  # chi-square with 19 degrees of freedom, 0.1 % each side


def test_the_search_pays_for_what_it_tries(photo: np.ndarray) -> None:
    small = [resized(photo[i : i + 300, j : j + 300], 256, 256) for i in (0, 200) for j in (0, 200)]
    p = np.array([detect_mark(image, key("s", k)).p_value for image in small for k in range(12)])
    assert p.min() >= 1e-4
    for level in (0.1, 0.3):
        assert binomtest(int((p < level).sum()), p.size, level, "greater").pvalue > 0.01


def test_another_key_sees_nothing_on_a_marked_picture(portraits: np.ndarray) -> None:
    p = [
        read(mark_image(image, key("mine"), 1), key("yours", i)).p_value
        for i, image in enumerate(portraits[:80])
    ]
    assert kstest(p, "uniform").pvalue > 0.01
    assert detect_mark(mark_image(portraits[0], key("mine"), 1), key("yours")).payload is None


def test_flat_pictures_are_judged_fairly_too() -> None:
    flat = np.full((64, 64, 3), (94, 180, 117), np.uint8)
    p = [read(flat, key("flat", i)).p_value for i in range(400)]
    assert kstest(p, "uniform").pvalue > 0.01


def test_averaging_many_marked_pictures_does_not_reveal_the_mark(portraits: np.ndarray) -> None:
    mark = Mark(key("average"))
    cuts = [mark.embed(image, i).astype(float) - image for i, image in enumerate(portraits[:100])]
    forged = (portraits[150] + 3 * np.mean(cuts, axis=0)).clip(0, 255).astype(np.uint8)
    assert mark.detect(forged).verdict != "present"


def test_embedding_twice_gives_the_same_and_leaves_the_input_alone(portraits: np.ndarray) -> None:
    before = portraits[0].copy()
    first, second = (mark_image(portraits[0], key("same"), 9) for _ in range(2))
    assert (first == second).all() and (portraits[0] == before).all()


def test_the_chance_of_one_shift_is_that_of_a_sum_of_cosines() -> None:
    """Against the inversion of the characteristic function J0(t)^n (Gil-Pelaez 1951)."""
    t = np.linspace(1e-12, 12, 400_001)
    for n, level in ((103, 10.0), (103, 25.0), (103, 32.0), (50, 18.0)):
        tail = 0.5 - np.trapezoid(np.sin(t * level) * j0(t) ** n / t, t) / np.pi
        assert chance.one_shift(level, n) == pytest.approx(tail, rel=2e-3)
    assert chance.one_shift(103.0, 103) == 0 and 0 < chance.one_shift(102.0, 103) < 1e-100


def test_the_chance_of_the_best_shift_is_uniform_over_phases() -> None:
    rng = np.random.default_rng(4)
    turned = np.exp(2j * np.pi * rng.random((3000, len(tile.PILOT))))
    p = [chance.best_shift(tile.alignment(row).max(), len(tile.PILOT)) for row in turned]
    assert kstest(p, "uniform").pvalue > 0.01
    assert binomtest(int((np.array(p) < 0.01).sum()), 3000, 0.01).pvalue > 0.01
    rising = [chance.best_shift(a, 103) for a in np.linspace(5, 102, 200)]
    assert (np.diff(rising) <= 0).all()


def test_a_spread_tile_has_the_frequencies_it_was_made_of() -> None:
    rng = np.random.default_rng(5)
    amplitudes = [1, 1j] @ rng.normal(size=(2, len(tile.BAND)))
    picture = tile.spread(amplitudes, (128, 192))
    assert np.allclose(tile.spectrum(picture) / 6, amplitudes, atol=1e-3)
    assert np.mean(picture**2) == pytest.approx(2 * (np.abs(amplitudes) ** 2).sum() / 64**4)
    shifted = np.roll(picture, (5, 9), (0, 1))
    every = np.arange(len(tile.BAND))
    factors = tile.spectrum(shifted) / tile.spectrum(picture)
    assert np.allclose(factors, tile.moved((5, 9), every), atol=1e-3)


def test_the_pilot_tells_where_the_tile_begins() -> None:
    turned = tile.moved((7, 50), tile.PILOT)
    peaks = tile.alignment(turned)
    assert np.unravel_index(peaks.argmax(), peaks.shape) == (7, 50)
    assert peaks.max() == pytest.approx(len(tile.PILOT))


def test_evening_is_blind_to_brightness_and_sees_little_of_edges() -> None:
    rng = np.random.default_rng(6)
    grain = rng.normal(0, 2, (128, 128)).astype(np.float32)
    even, _ = tile.evened(100 + grain)
    brighter, _ = tile.evened(180 + grain)
    assert np.allclose(even, brighter, atol=1e-4)
    step = grain + 100.0 * (np.arange(128) > 60)
    assert tile.evened(step.astype(np.float32))[0].std() < 2 * even.std()


def test_guesses_find_a_known_resizing_without_the_key(photo: np.ndarray) -> None:
    marked = resized(mark_image(photo, key("guess"), 1), 400, 400)
    assert any(abs(g.scale / (400 / 512) - 1) < 0.004 for g in geometry.guesses(marked))
    assert geometry.guesses(marked[:100]) == []


def test_draws_are_the_same_everywhere_and_differ_by_key() -> None:
    """Pinned: a mark made today is read by every later version."""
    drawn, other = phases(b"k" * 16), phases(b"l" * 16)
    assert abs(np.vdot(drawn, other)) / len(drawn) < 0.2
    assert np.angle(drawn[:3]).round(4).tolist() == PINNED
    assert tile.BAND[:2].tolist() == [[-4, 1], [-1, 4]] and len(tile.BAND) == 308
    assert np.allclose(wanted(b"k" * 16, 0)[tile.PILOT], drawn[tile.PILOT])


@pytest.mark.parametrize("payload", [0, 1, 2**31, 2**32 - 1, 2**32, 2**64 - 1, 0xDEADBEEF])
def test_every_payload_comes_back(payload: int) -> None:
    assert ecc.decode(ecc.encode(payload, 410).astype(float)) == (payload, 1.0)


def test_the_code_stands_noise_and_refuses_what_it_cannot_read() -> None:
    rng = np.random.default_rng(1)
    for payload, flips in ((0xCAFE, 0.2), (2**63 + 5, 0.1)):
        sent = ecc.encode(payload, 410)
        flipped = np.where(rng.random(410) < flips, -sent, sent).astype(float)
        assert ecc.decode(flipped)[0] == payload
    wrong = [ecc.decode(rng.normal(size=410))[0] for _ in range(200)]
    assert all(payload is None for payload in wrong)
    assert binascii.crc_hqx(b"123456789", 0xFFFF) == 0x29B1  # the CCITT check value


def test_viterbi_finds_the_likeliest_of_all_words() -> None:
    """Against every word of eight bits, on noise."""
    rng = np.random.default_rng(2)
    branches, words = ecc.branches(), []
    for word in range(256):
        register, signs = 0, []
        for bit in [*map(int, f"{word:08b}"), *[0] * ecc.MEMORY]:
            register = (register << 1 | bit) & 511
            signs.append(branches[register])
        words.append(np.concatenate(signs))
    for _ in range(20):
        votes = rng.normal(size=64)
        best = int(np.argmax(np.stack(words) @ votes))
        assert ecc.viterbi(votes).tolist() == [int(bit) for bit in f"{best:08b}"]


@pytest.mark.parametrize("payload", [0, 1, 2**32 - 1, 2**32, 2**64 - 1, 0x123456789ABCDEF])
def test_the_quick_way_through_clean_votes_is_viterbis(payload: int) -> None:
    rng, size = np.random.default_rng(payload % 1000), 32 if payload < 2**32 else 64
    sent = ecc.encode(payload, 4 * (size + 16 + ecc.MEMORY))
    for noise in (0.0, 0.4):
        votes = sent + rng.normal(0, noise, len(sent))
        assert ecc.followed(votes).tolist() == ecc.viterbi(votes).tolist()
    broken = sent * np.where(rng.random(len(sent)) < 0.15, -1, 1)  # Viterbi is for these
    assert (
        ecc.viterbi(broken).tolist() == ecc.viterbi(sent).tolist() != ecc.followed(broken).tolist()
    )


def test_bad_input_is_one_sentence(portraits: np.ndarray) -> None:
    mark = Mark(key("bad"))
    for image, words in [
        (portraits[0][:63], "64x63 pixels"),
        (portraits[0].astype(float), "float64"),
        (portraits[0][..., 0], "RGB"),
    ]:
        with pytest.raises(ValueError, match=words):
            mark.embed(image, 1)
    for payload in (-1, 2**64):
        with pytest.raises(ValueError, match="64 bits"):
            mark.embed(portraits[0], payload)
    with pytest.raises(ValueError, match="16 bytes"):
        Mark(b"short")
    assert mark.detect(portraits[0][:32]).verdict == "inconclusive"
    assert mark.detect(portraits[0][:9]).verdict == "inconclusive"
    assert str(mark.key) not in repr(mark)


def test_fingerprints_outlive_re_encoding_and_tell_pictures_apart(portraits: np.ndarray) -> None:
    prints = [luma.fingerprint(image).hex() for image in portraits]
    again = [luma.fingerprint(reencoded(image, 75)).hex() for image in portraits]
    assert all(map(luma.alike, prints, again))
    pairs = [luma.alike(a, b) for i, a in enumerate(prints) for b in prints[:i]]
    assert np.mean(pairs) < 0.001
    assert not luma.alike("", "") and not luma.alike("None", prints[0])
