"""One forecast from several seeds of a model."""

import numpy as np
import pytest

from popularity.scoring.seeds import LEAST_SHARE, mean_over_seeds


def test_seeds_are_averaged_by_their_logarithms() -> None:
    seeds = [np.array([0.1, 0.5, 0.2]), np.array([0.4, 0.5, 0.05])]
    assert mean_over_seeds(seeds) == pytest.approx([0.2, 0.5, 0.1])


def test_a_seed_that_predicts_0_does_not_silence_the_others() -> None:
    mean = mean_over_seeds([np.array([0.0, 0.3]), np.array([0.01, 0.3])])
    assert mean == pytest.approx([np.sqrt(LEAST_SHARE * 0.01), 0.3])


def test_one_seed_keeps_its_shares_and_their_order() -> None:
    shares = np.random.default_rng(1).dirichlet(np.full(50, 0.2))
    mean = mean_over_seeds([shares])
    assert mean == pytest.approx(np.maximum(shares, LEAST_SHARE))
    assert np.array_equal(np.argsort(mean), np.argsort(np.maximum(shares, LEAST_SHARE)))
