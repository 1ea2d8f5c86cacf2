"""What an answer costs where attempts fail: the price of an attempt over the probability that one succeeds.

Whether a laboratory tries again itself or gives up, an attempt of price c that succeeds with probability p costs c / p
for each answer. p is learnt over the descriptors by logistic regression with a normal prior, averaged over what its
weights leave open (MacKay 1992, 10.1162/neco.1992.4.5.720).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from mfal.fidelity import Fidelity
from mfal.oracle import Observation
from mfal.space.pool import Pool

# Prior of the intercept, odds of nine to one give or take, and standard deviation of the slope along all descriptors.
INTERCEPT, INTERCEPT_SD, SLOPE_SD = np.log(9.0), 1.5, 1.5
_NEWTON_STEPS = 30


def expected_prices_eur(fidelity: Fidelity, pool: Pool, observations: Sequence[Observation]) -> dict[str, float]:
    """Return what an answer is expected to cost for every candidate; nothing before an attempt has failed.

    Args:
        fidelity: that is asked.
        pool: candidates.
        observations: so far, of all fidelities; those with ``details["attempts"]`` count.
    """
    tried = [one for one in observations if one.fidelity == fidelity.name and "attempts" in one.details]
    passed = np.array([one.failure is None for one in tried], dtype=float)
    failed = np.array([one.details["attempts"] for one in tried]) - passed
    if not failed.sum() > 0:
        return {}
    rows = pool.features[[pool.index(one.candidate) for one in tried]]
    probability = success(pool.features, rows, passed, failed)
    paid, attempts = sum(one.price_eur for one in tried), passed.sum() + failed.sum()
    each = (fidelity.price_eur + paid) / (1.0 + attempts)
    return {name: float(each / p) for name, p in zip(pool.ids, probability, strict=True)}


def success(
    features: Float[np.ndarray, "n d"],
    tried: Float[np.ndarray, "t d"],
    passed: Float[np.ndarray, " t"],
    failed: Float[np.ndarray, " t"],
) -> Float[np.ndarray, " n"]:
    """Return the probability that an attempt succeeds, for every row of `features`.

    Args:
        features: standardised descriptors.
        tried: those of the candidates that were tried.
        passed: successful attempts at each.
        failed: failed attempts at each.
    """
    columns = features.shape[1]
    scale = np.append(np.full(columns, SLOPE_SD / columns**0.5), INTERCEPT_SD)
    centre = np.append(np.zeros(columns), INTERCEPT / INTERCEPT_SD)
    seen = np.column_stack([tried, np.ones(len(tried))]) * scale
    weights, precision = _fitted(seen, centre, passed, passed + failed)
    asked = np.column_stack([features, np.ones(len(features))]) * scale
    variance = np.einsum("nk,nk->n", asked, np.linalg.solve(precision, asked.T).T)
    return expit(asked @ weights / np.sqrt(1.0 + np.pi / 8.0 * variance))


def _fitted(
    design: Float[np.ndarray, "t k"],
    centre: Float[np.ndarray, " k"],
    passed: Float[np.ndarray, " t"],
    attempts: Float[np.ndarray, " t"],
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "k k"]]:
    """Return the mode of the weights and the curvature there; their prior is normal around `centre` with variance 1.

    Newton's method, halved where it overshoots: the objective is convex.
    """

    def loss(weights: np.ndarray) -> float:
        score = design @ weights
        return float(
            np.sum(attempts * np.logaddexp(0.0, score) - passed * score) + 0.5 * np.sum((weights - centre) ** 2)
        )

    def curvature(weights: np.ndarray) -> np.ndarray:
        rate = expit(design @ weights)
        return design.T @ (design * (attempts * rate * (1.0 - rate))[:, None]) + np.eye(len(centre))

    weights = centre.copy()
    for _ in range(_NEWTON_STEPS):
        gradient = design.T @ (attempts * expit(design @ weights) - passed) + weights - centre
        step = np.linalg.solve(curvature(weights), gradient)
        while loss(weights - step) > loss(weights) and np.abs(step).max() > 1e-12:
            step = 0.5 * step
        weights = weights - step
    return weights, curvature(weights)
