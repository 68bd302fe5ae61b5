"""A metric that needs no weights."""

import numpy as np

from colfw.samples import Samples, Score


class RootMeanSquare:
    """How far masked samples are from the dense ones, element by element."""

    def score(self, dense: Samples, masked: Samples) -> Score:
        difference = dense.data.astype(np.float64) - masked.data
        value = float(np.sqrt(np.mean(difference**2)))
        return Score(value=value, samples=int(dense.data.shape[0]))
