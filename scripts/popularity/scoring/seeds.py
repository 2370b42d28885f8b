"""One forecast from several seeds of a model."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: Smallest share that a seed contributes: the logarithm of 0 would silence the other seeds.
LEAST_SHARE = 1e-12


def mean_over_seeds(shares: Sequence[Floats]) -> Floats:
    """Average the seeds' shares by their logarithms, so that no single seed can make a share large.

    Parameters
    ----------
    shares
        [candidates] predicted by each seed.

    Returns
    -------
    float64 [candidates], geometric means, which need not add up to 1.
    """
    means: Floats = np.exp(np.mean([np.log(np.maximum(seed, LEAST_SHARE)) for seed in shares], axis=0))
    return means
