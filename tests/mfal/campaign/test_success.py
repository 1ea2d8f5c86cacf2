"""The price of an answer where attempts fail."""

import numpy as np
import pytest

from mfal.campaign.success import expected_prices_eur, success
from mfal.fidelity import Fidelity
from mfal.oracle import Observation
from mfal.space.pool import Pool

LAB = Fidelity("lab", "x", 300.0, 24.0, 4, 1.0)
POOL = Pool([f"c{i}" for i in range(6)], np.arange(6.0)[:, None] ** 2, ["x"])


def tried(candidate, attempts, passed, price):
    return Observation(candidate, "lab", 1.0 if passed else None, None, price, None if passed else "lost",
                       {"attempts": attempts})  # fmt: skip


def test_nothing_is_expected_before_an_attempt_has_failed():
    assert expected_prices_eur(LAB, POOL, [tried("c0", 1, True, 300.0)]) == {}
    assert expected_prices_eur(LAB, POOL, [Observation("c0", "lab", None, None, 300.0, "lost")]) == {}


def test_prices_rise_near_what_failed():
    prices = expected_prices_eur(LAB, POOL, [tried("c0", 2, False, 600.0), tried("c5", 1, True, 300.0)])
    assert prices["c0"] > prices["c1"] > prices["c5"] > 300.0


def test_the_mode_is_where_the_posterior_density_is_highest():
    """Against a general optimiser, on the same posterior written down anew."""
    from scipy.optimize import minimize
    from scipy.stats import binom, norm

    from mfal.campaign.success import _fitted

    rng = np.random.default_rng(0)
    design, centre = rng.normal(size=(12, 3)), np.array([0.0, 0.0, 1.5])
    attempts = rng.integers(1, 4, 12).astype(float)
    passed = np.minimum(rng.integers(0, 2, 12), attempts).astype(float)

    def density(weights):
        rate = 1.0 / (1.0 + np.exp(-design @ weights))
        return -binom.logpmf(passed, attempts, rate).sum() - norm.logpdf(weights, centre).sum()

    found = minimize(density, centre, tol=1e-10)
    weights, precision = _fitted(design, centre, passed, attempts)
    np.testing.assert_allclose(weights, found.x, atol=1e-5)
    np.testing.assert_allclose(np.linalg.inv(precision), found.hess_inv, rtol=0.1, atol=0.02)


def test_learnt_probabilities_are_calibrated():
    """200 laboratories with slopes drawn from the prior; in each fifth of the predictions the share that succeeds."""
    predicted, happened = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        features = rng.normal(size=(300, 4))
        true = 1.0 / (1.0 + np.exp(-(np.log(9.0) + 1.5 * rng.normal() + features @ (0.75 * rng.normal(size=4)))))
        luck = rng.random(300) < true
        p = success(features, features[:40], luck[:40] * 1.0, (~luck[:40]) * 1.0)
        predicted.append(p[40:])
        happened.append(luck[40:])
    predicted, happened = np.concatenate(predicted), np.concatenate(happened)
    for part in np.array_split(np.argsort(predicted), 5):
        assert happened[part].mean() == pytest.approx(predicted[part].mean(), abs=0.04)


def test_what_an_answer_costs_does_not_depend_on_who_tries_again():
    """Simulated: up to k attempts at EUR 1 each, until one succeeds; money over answers is 1 / p for every k."""
    rng, p = np.random.default_rng(0), 0.4
    for most in (1, 2, 5):
        luck = rng.random((200_000, most)) < p
        first = np.where(luck.any(axis=1), luck.argmax(axis=1) + 1, most)
        assert first.sum() / luck.any(axis=1).sum() == pytest.approx(1 / p, rel=0.01)
