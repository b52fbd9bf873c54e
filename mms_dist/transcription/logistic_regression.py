"""Multinomial logistic regression on a few standardised measures, with a penalty on the weights.

Legend: M measures, N classes, U utterances (or words).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_PENALTY = 1.0  # of the squared weights; 0.3 to 3 gave the same on the demo


@dataclass(frozen=True)
class LogisticRegression:
    """`softmax((x - mean) / scale · weights + bias)`."""

    mean_M: NDArray[np.float64]
    scale_M: NDArray[np.float64]
    weight_MN: NDArray[np.float64]
    bias_N: NDArray[np.float64]

    def probabilities(self, measures_UM: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of each class, `[U, N]`."""
        logit_UN = (measures_UM - self.mean_M) / self.scale_M @ self.weight_MN + self.bias_N
        exponent_UN = np.exp(logit_UN - logit_UN.max(axis=1, keepdims=True))
        return np.asarray(exponent_UN / exponent_UN.sum(axis=1, keepdims=True))


def fit(measures_UM: NDArray[np.float64], class_U: NDArray[np.int64], classes: int) -> LogisticRegression:
    """Fit the regression to utterances of known classes, given by their numbers."""
    import torch

    mean_M, scale_M = measures_UM.mean(axis=0), measures_UM.std(axis=0) + 1e-6
    inputs = torch.from_numpy((measures_UM - mean_M) / scale_M)
    targets = torch.from_numpy(class_U)
    weights = torch.zeros(inputs.shape[1], classes, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, bias], max_iter=400, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = torch.nn.functional.cross_entropy(inputs @ weights + bias, targets)
        value = value + _PENALTY * weights.square().sum() / len(targets)
        value.backward()
        return value

    optimizer.step(loss)
    return LogisticRegression(mean_M, scale_M, weights.detach().numpy(), bias.detach().numpy())
