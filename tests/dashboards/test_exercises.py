"""The lesson's answers are measured, and hand-computed here."""

from __future__ import annotations

import numpy as np

from dashboards.exercises import ordering, settling


def fading(levels: list[int]) -> np.ndarray:
    """(steps, 48, 48, 3) flat guesses of the given grey levels."""
    return np.stack([np.full((48, 48, 3), level, np.uint8) for level in levels])


def test_frames_are_equally_far_from_each_other() -> None:
    # Distances to the end are 90, 80, 61, 30, 10, 5, 0; thirds of 90 are 60 and 30.
    task = ordering(fading([0, 10, 29, 60, 80, 85, 90]), seed=1)
    assert sorted(task.steps.values()) == [0, 2, 3, 6]
    assert [task.steps[letter] for letter in task.answer] == [0, 2, 3, 6]


def test_the_order_shown_is_never_the_answer() -> None:
    frames = fading([0, 30, 60, 90])
    for seed in range(60):
        task = ordering(frames, seed)
        assert tuple(task.steps) != task.answer
        assert sorted(task.steps.values()) == [0, 1, 2, 3]
        assert ordering(frames, seed) == task


def test_the_first_wrong_place_is_found() -> None:
    task = ordering(fading([0, 30, 60, 90]), seed=0)
    first, second, third, fourth = task.answer
    assert task.first_wrong(task.answer) is None
    assert task.first_wrong((first, third, second, fourth)) == 1
    assert task.first_wrong((second, first, third, fourth)) == 0


def test_what_settles_first() -> None:
    frames = fading([0, 0, 0, 0])
    frames[:2, :8] = 200  # the upper edge is wrong until the third guess
    frames[:3, 18:30, 18:30] = 200  # the middle until the fourth
    found = settling(frames)
    assert found.steps == {"background": 3, "face": 4}
    assert found.answer == "background"
    assert found.curves == {"background": [200, 200, 0, 0], "face": [200, 200, 200, 0]}


def test_coming_close_and_leaving_again_is_not_settled() -> None:
    frames = fading([0, 0, 0, 0])
    frames[2, 18:30, 18:30] = 50
    frames[0, :8] = 50
    assert settling(frames).steps == {"background": 2, "face": 4}


def test_both_at_once_is_together() -> None:
    assert settling(fading([200, 200, 5, 0])).answer == "together"
