"""Evidence against a decoder whose effects are known, against scipy, and by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy import stats

from probes import (
    Direction,
    Evidence,
    JudgeError,
    Manifold,
    Space,
    holm,
    measure_nulls,
    paired,
    prove,
    purify,
    random_directions,
    shuffled_directions,
)
from probes.analytic import SPACE, AnalyticDecoder
from probes.means import MeanDifference
from probes.verdict import Findings, verdict

WORLD = AnalyticDecoder.make()
DOSES = (-2.0, -1.0, 0.0, 1.0, 2.0)


def axis(factor: str, level: int = 0) -> np.ndarray:
    return WORLD.readouts[factor][level] / np.linalg.norm(WORLD.readouts[factor][level])


def proof(vector: np.ndarray, seed: int = 0, n: int = 24, target: str = "f0", **settings):
    x = WORLD.starts(n, seed + 50)
    seeds = [1000 * seed + i for i in range(n)]
    direction = WORLD.direction(vector, "0")
    return prove(
        direction, x, seeds, WORLD.decode, WORLD.judge, target,
        strengths=DOSES, batch=10_000, seed=seed, draws=500, **settings,
    )  # fmt: skip


def test_a_level_s_own_axis_is_causal_and_its_effect_is_right():
    found = proof(axis("f6"), target="f6", judge_error=WORLD.judge_error(1000, 1), n=64)
    true = WORLD.effect(WORLD.direction(axis("f6"), "0"), "f6", "0", 2.0)
    assert found.verdict == "causal" and found.leaking == ()
    assert found.effect.low < true < found.effect.high < found.effect.low + 0.4
    assert found.p_starts < 0.01 and found.p_nulls["random"] <= 0.05
    shares = [dose.share.value for dose in found.doses]
    assert shares == sorted(shares) and shares[-1] - shares[0] > 0.5


def test_an_axis_of_another_factor_is_a_correlate():
    found = proof(axis("f5"))
    assert found.verdict == "correlate" and found.leaking == ("f5",)
    leak = next(one for one in found.leaks if one.factor == "f5")
    assert abs(leak.shift.value) > 0.5 and leak.holm < 0.05 and leak.changed > leak.null_changed


def test_a_leak_larger_than_the_effect_is_a_correlate_and_a_smaller_one_is_named():
    # Two levels move much more than one of six.
    larger = proof(0.35 * axis("f0") + axis("f5"), n=64)
    assert larger.verdict == "correlate", larger.reasons
    smaller = proof(axis("f0") + 0.35 * axis("f1"), n=64)
    assert smaller.verdict == "causal"


def test_a_direction_that_moves_nothing_has_no_effect():
    axes = np.concatenate([readout / 3.0 for readout in WORLD.readouts.values()])
    vector = np.random.default_rng(0).normal(size=WORLD.d)
    vector -= (vector @ axes.T) @ axes
    found = proof(vector, n=64)
    assert found.verdict == "no effect" and abs(found.observed) < 0.1 and found.leaking == ()
    assert WORLD.effect(WORLD.direction(vector, "0"), "f0", "0", 2.0) == pytest.approx(0, abs=1e-3)


def test_too_few_starts_and_the_wrong_sign_are_inconclusive():
    few = proof(axis("f0"), n=4)
    assert few.verdict == "inconclusive" and "4 starts are too few" in few.reasons[0]
    wrong = proof(-axis("f5"), target="f5", n=32)
    assert wrong.verdict == "inconclusive" and "other way" in wrong.reasons[0]


def test_null_verdicts_err_as_often_as_they_say():
    words = []
    for repeat in range(200):
        vector = np.random.default_rng([7, repeat]).normal(size=WORLD.d)
        words.append(proof(vector, repeat, n=16, null_count=9).verdict)
    false = words.count("causal")
    assert stats.binomtest(false, len(words), 0.05).pvalue > 0.01, false
    # A gate at another level would be noticed by the same test.
    assert stats.binomtest(len(words) // 5, len(words), 0.05).pvalue < 0.01


def test_intervals_cover_the_known_effect():
    hits = []
    for repeat in range(120):
        rng = np.random.default_rng([8, repeat])
        vector = axis("f6") + rng.uniform(0, 3) * axis("f1", int(rng.integers(6)))
        found = proof(
            vector, repeat, target="f6", null_count=2, judge_error=WORLD.judge_error(300, repeat)
        )
        true = WORLD.effect(WORLD.direction(vector, "0"), "f6", "0", 2.0)
        hits.append(found.effect.low <= true <= found.effect.high)
    assert stats.binomtest(sum(hits), len(hits), 0.95).pvalue > 0.01, np.mean(hits)


def test_the_exact_effect_is_what_many_draws_give():
    x = WORLD.starts(30_000, 3)
    for factor in ("f0", "f6"):
        direction = WORLD.direction(axis(factor) + axis("f1"), "0")
        ends = [
            (WORLD.decode(direction.move(x, side), range(len(x))).levels[factor] == 0).mean()
            for side in (1.5, -1.5)
        ]
        assert WORLD.effect(direction, factor, "0", 1.5) == pytest.approx(
            ends[0] - ends[1], abs=0.015
        )


def test_one_seed_is_one_picture_in_any_batch():
    x = WORLD.starts(12, 0)
    together = WORLD.judge(WORLD.decode(x, range(12)))
    alone = WORLD.judge(WORLD.decode(x[5:6], [5]))
    assert all(together[factor][5] == alone[factor][0] for factor in together)
    one, other = (proof(axis("f0"), null_count=2, seed=s) for s in (3, 3))
    assert one == other


def test_sign_flips_by_hand_and_against_scipy():
    moved = np.array([1.0, 1, 1, 0, -1])
    flips = paired.sign_flips(5, 32, np.random.default_rng(0))
    # Sums of at least 2 among all 32 sign patterns of (1, 1, 1, 0, -1).
    sums = [np.dot(pattern, moved) for pattern in product((1, -1), repeat=5)]
    count = sum(total >= 2 for total in sums)
    assert paired.flip_p(moved, flips, False) == count / 32
    discordant = stats.binomtest(3, 4, 0.5, alternative="greater").pvalue
    assert paired.flip_p(moved, flips, False) == pytest.approx(discordant)
    many = np.random.default_rng(1).normal(0.3, 1, 40)
    flips = paired.sign_flips(40, 4000, np.random.default_rng(2))
    oracle = stats.permutation_test(
        (many,), np.mean, permutation_type="samples", alternative="greater",
        n_resamples=4000, rng=np.random.default_rng(3),
    ).pvalue  # fmt: skip
    assert paired.flip_p(many, flips, False) == pytest.approx(oracle, abs=0.02)


def test_the_null_p_value_is_uniform_whatever_the_ties():
    rng, chances = np.random.default_rng(4), []
    for _ in range(2000):
        effects = rng.integers(-3, 4, 10) / 16  # coarse, as of sixteen pictures
        chances.append(paired.null_p(effects[0], effects[1:], rng))
    assert stats.kstest(chances, "uniform").pvalue > 0.01
    clear = [paired.null_p(0.9, rng.normal(0, 0.1, 9), rng) for _ in range(50)]
    assert max(clear) <= 0.05
    assert min(paired.null_p(-0.9, rng.normal(0, 0.1, 9), rng) for _ in range(50)) >= 0.95


def test_holm_by_hand():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == {
        "a": pytest.approx(0.03), "c": pytest.approx(0.06), "b": pytest.approx(0.06)
    }  # fmt: skip


def test_shifts_by_hand():
    near = np.array(["no", "no", "yes", "unclear", "yes"])
    far = np.array(["yes", "no", "no", "yes", "unclear"])
    assert paired.shifts(near, far, ["yes"], seen=False)[:, 0].tolist() == [1, 0, -1, 1, -1]
    assert paired.shifts(near, far, ["yes"])[:, 0].tolist() == [1, 0, -1, 0, 0]


def test_the_judge_s_errors_shrink_what_is_read():
    truth = {"f": ["a"] * 50 + ["b"] * 50}
    read = {"f": np.array(["a"] * 45 + ["b"] * 5 + ["a"] * 10 + ["b"] * 40)}
    error = JudgeError.measure(truth, read)
    slopes = error.slopes("f", "a", 4000, np.random.default_rng(0))
    assert slopes.mean() == pytest.approx(45.5 / 51 - 10.5 / 51, abs=0.01)
    with pytest.raises(ValueError, match="can't tell f=a"):
        JudgeError.measure(truth, {"f": np.array(["a", "b"] * 50)}).slopes(
            "f", "a", 100, np.random.default_rng(0)
        )
    # Corrected, a judge that errs reports the effect of one that does not.
    fair, poor = (AnalyticDecoder.make(accuracy=a) for a in (1.0, 0.8))
    x, direction = fair.starts(400, 5), fair.direction(axis("f6"), "0")
    found = [
        prove(direction, x, range(400), one.decode, one.judge, "f6", strengths=(), null_count=2,
              batch=10_000, judge_error=one.judge_error(4000, 2))
        for one in (fair, poor)
    ]  # fmt: skip
    assert found[1].observed < found[0].observed - 0.1
    assert found[1].effect.value == pytest.approx(found[0].effect.value, abs=0.1)


def test_pools_serve_other_targets_and_refuse_other_starts():
    x, seeds = WORLD.starts(16, 1), list(range(16))
    direction = WORLD.direction(axis("f0"), "0")
    pool = measure_nulls(
        random_directions(direction, 9, 0), x, seeds, WORLD.decode, WORLD.judge,
        radius=2.0, batch=10_000,
    )  # fmt: skip
    assert len(pool) == 9 and len(pool.choose([0, 3])) == 2
    assert pool.of("f0", "never read").tolist() == [0] * 9
    for factor in ("f0", "f5"):
        found = prove(WORLD.direction(axis(factor), "0"), x, seeds, WORLD.decode, WORLD.judge,
                      factor, nulls=[pool])  # fmt: skip
        assert found.verdict == "causal" and found.nulls["random"] == tuple(pool.of(factor, "0"))
    with pytest.raises(ValueError, match="other starts"):
        prove(direction, x, range(1, 17), WORLD.decode, WORLD.judge, "f0", nulls=[pool])
    with pytest.raises(ValueError, match=r"nulls go 2 far.*4"):
        prove(direction, x, seeds, WORLD.decode, WORLD.judge, "f0", at=4.0, nulls=[pool])


def test_shuffled_labels_keep_the_method_and_lose_the_labels():
    x = WORLD.starts(400, 2)
    labels = WORLD.decode(x, range(400)).levels["f6"].astype(str).tolist()

    def fit(column) -> Direction:
        return MeanDifference(SPACE).fit(x, {"f6": column}).directions_["f6"]

    own = fit(labels)
    nulls = shuffled_directions(fit, labels, own, 5, 0)
    assert abs(own.vector @ (axis("f6", 1) - axis("f6", 0))) > 1.0  # of at most sqrt(2)
    assert all(abs(own.vector @ one.vector) < 0.4 and one.sigma == own.sigma for one in nulls)


def test_the_alarm_knows_real_vectors_from_far_ones():
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(8, 8)) * np.geomspace(10, 0.5, 8)
    real = rng.normal(size=(2000, 8)) @ mix
    alarm = Manifold.fit(real)
    fresh = rng.normal(size=(2000, 8)) @ mix
    assert 0.002 < (alarm.norm(fresh) > alarm.limit).mean() < 0.025
    whitened = np.linalg.norm(
        (fresh - real.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(real.T))).T, axis=1
    )
    assert np.corrcoef(alarm.norm(fresh), whitened)[0, 1] > 0.99
    thin = np.linalg.eigh(mix.T @ mix)[1][:, 0]  # where real vectors hardly vary
    assert (alarm.norm(fresh + 5 * thin) > alarm.limit).mean() > 0.9
    with pytest.raises(ValueError, match="at least 40"):
        Manifold.fit(real[:10])


def test_the_safe_range_ends_at_the_alarm_and_saturation_is_seen():
    alarm = Manifold.fit(WORLD.starts(2000, 9))
    found = prove(
        WORLD.direction(axis("f6"), "0"), WORLD.starts(40, 1), range(40), WORLD.decode,
        WORLD.judge, "f6", strengths=(-40, -4, -2, -1, 0, 1, 2, 4, 40), null_count=2,
        manifold=alarm, batch=10_000,
    )  # fmt: skip
    assert found.safe[1] in (2.0, 4.0) and found.safe[0] in (-2.0, -4.0)
    assert found.saturation in (1.0, 2.0, 4.0)
    assert found.doses[-1].beyond == 1.0 and (found.doses[4].beyond or 0) < 0.2


def test_removing_what_leaked_leaves_the_effect():
    vector = axis("f6") + 0.8 * axis("f5")
    before = proof(vector, n=64, target="f6")
    assert before.leaking == ("f5",)
    x = WORLD.starts(200, 3)
    others = {"f5": WORLD.direction(axis("f5") - axis("f5", 1), "0"),
              "f1=0": WORLD.direction(axis("f1"), "0")}  # fmt: skip
    pure = purify(WORLD.direction(vector, "0"), before, others, x)
    after = proof(pure.vector, n=64, target="f6")
    size = [next(k for k in e.leaks if k.factor == "f5").shift.value for e in (before, after)]
    assert after.verdict == "causal" and abs(size[1]) < abs(size[0]) / 2
    assert abs(after.observed) > 0.8 * abs(before.observed)
    with pytest.raises(ValueError, match="no direction of f5"):
        purify(WORLD.direction(vector, "0"), before, {"f1": others["f1=0"]}, x)
    with pytest.raises(ValueError, match="nothing to remove"):
        purify(pure, replace(before, leaks=()), others, x)


def test_evidence_survives_json():
    found = proof(axis("f0"), manifold=Manifold.fit(WORLD.starts(800, 9)), null_count=3)
    again = Evidence.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False)))
    assert again == found
    with pytest.raises(ValueError, match="prove it again"):
        Evidence.from_json({"format": "other"})


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({}, "causal"),
        ({"dominated": True}, "correlate"),
        ({"falls": True}, "inconclusive"),
        ({"n": 7}, "inconclusive"),
        ({"p": 0.2}, "inconclusive"),
        ({"p": 0.2, "leaks": ("age",)}, "correlate"),
        ({"p": 0.2, "low": -0.02, "high": 0.05}, "no effect"),
    ],
)
def test_the_verdict_s_rules(change, word):
    found = replace(Findings(24, 0.02, 0.3, 0.7, False, False, ()), **change)
    assert verdict(found, 0.1, 0.05)[0] == word


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"target": "f99"}, "reads no 'f99'"),
        ({"starts": np.full((16, WORLD.d), np.nan)}, "must be finite"),
        ({"starts": np.zeros((16, 3))}, "3 dimensions"),
        ({"seeds": [1, 2]}, "16 starts came with 2 seeds"),
        ({"at": 0.0}, "moves nothing"),
        ({"space": Space("another", "vector")}, "belongs to the vector of model analytic"),
        ({"judge_error": JudgeError({})}, "errors on 'f0' are not known"),
    ],
)
def test_mistakes_are_sentences(change, sentence):
    given = {"starts": WORLD.starts(16, 0), "seeds": range(16), "target": "f0"} | change
    with pytest.raises(ValueError, match=sentence):
        prove(WORLD.direction(axis("f0"), "0"), decode=WORLD.decode, judge=WORLD.judge, **given)
