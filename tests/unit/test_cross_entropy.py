"""Cross entropy: of a request, of a slot, and estimated from some of a slot's candidates."""

import math

import numpy as np
import pytest

from popularity.scoring.cross_entropy import distribution, request_losses, sampled_cross_entropy
from popularity.scoring.scores import score_slot


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)


def test_negative_shares_count_as_0_and_none_at_all_as_uniform_ones() -> None:
    assert distribution(array(3, -2, 1)).tolist() == [0.75, 0, 0.25]
    assert distribution(array(0, -1)).tolist() == [0.5, 0.5]
    assert distribution(array(0)).tolist() == [1]
    # What float32 can't add up.
    large = np.array([2.0**24, 1, 1], np.float32)
    assert distribution(large).tolist() == (large.astype(np.float64) / (2**24 + 2)).tolist()
    assert distribution(array()).tolist() == []
    assert distribution(array(3, -2, 1), np.array([2, 1])).tolist() == [0.25, 0]
    assert distribution(array(0, -1, 0, 0), np.array([3])).tolist() == [0.25]


def test_a_thousandth_of_the_shares_is_spread_evenly() -> None:
    losses = request_losses(array(0.4, 0), 5)
    assert losses == pytest.approx([-math.log(0.999 * 0.4 + 0.0002), -math.log(0.0002)])
    assert request_losses(array(0.4, 0), array(5, 10))[1] == pytest.approx(-math.log(0.0001))


def test_over_all_candidates_of_several_slots_it_is_the_scores_cross_entropy() -> None:
    draw = np.random.default_rng(4)
    sizes = [6, 9, 4]
    predicted = [draw.normal(0.3, 0.4, size) for size in sizes]
    predicted[2][:] = 0
    counts = [draw.integers(0, 4, size).astype(float) for size in sizes]
    scores = [score_slot(*pair, pair[1].sum()) for pair in zip(predicted, counts, strict=True)]
    expected = sum(score["log_loss"] for score in scores) / sum(score["covered"] for score in scores)
    estimated = sampled_cross_entropy(
        # Shares need not add up to 1: to more, or to less.
        np.concatenate([7 * predicted[0], predicted[1] / 50, predicted[2]]),
        np.concatenate(counts),
        np.ones(sum(sizes)),
        np.repeat(np.arange(3), sizes),
    )
    assert estimated == pytest.approx(expected)


def test_a_drawn_candidate_stands_for_as_many_as_its_weight() -> None:
    all_of_them = score_slot(array(0.5, 0.2, 0.1, 0.1, 0.1), array(3, 1, 0, 0, 0), 4)
    drawn = sampled_cross_entropy(array(0.5, 0.2, 0.1), array(3, 1, 0), array(1, 1, 3), np.zeros(3, int))
    assert drawn == pytest.approx(all_of_them["log_loss"] / 4)
