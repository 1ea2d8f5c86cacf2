"""Answers that may be mistaken: predictions without the answer itself, and which answers are believed."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from mfal.dataset import OBSERVED, Dataset, from_rows
from mfal.surrogate.choose import joint_surrogate
from mfal.surrogate.diagnostics import leave_one_out
from mfal.surrogate.mistaken import doubted, left_out, settled
from mfal.surrogate.recursive import recursive_surrogate

_settled = eqx.filter_jit(settled)
_fitted = eqx.filter_jit(lambda surrogate, data: surrogate.fit(data, jnp.ones(1, bool)))


def smooth(seed, size=40, answers=25, noise=0.05):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(size, 2))
    truth = np.sin(1.5 * x[:, 0]) + 0.5 * x[:, 1]
    rows = rng.permutation(size)[:answers]
    value = truth[rows] + noise * rng.normal(size=answers)
    data = from_rows(rows, np.zeros(answers, int), value, np.full(answers, noise**2), size, 1)
    surrogate = recursive_surrogate(jnp.asarray(x), jnp.zeros(1), jnp.ones(1), False)
    return _fitted(surrogate, data), data, truth, rows


@pytest.mark.parametrize("seed", range(3))
def test_leaving_out_is_the_closed_form_of_leave_one_out(seed):
    """Up to the nugget that the factor carries beside the noise."""
    surrogate, data, _, _ = smooth(seed)
    belief = surrogate.condition(data)
    mean, variance = left_out(belief, data)
    process = belief.levels[0]
    foretold, used = leave_one_out(process), np.arange(process.point.shape[0]) < int(process.count)
    rows = np.asarray(process.point)[used]
    np.testing.assert_allclose(np.asarray(mean)[rows, 0], np.asarray(foretold.mean)[used], atol=3e-4)
    noise = np.asarray(data.noise_variance)[rows, 0]
    np.testing.assert_allclose(np.asarray(variance)[rows, 0] + noise, np.asarray(foretold.variance)[used], rtol=1e-3)


def test_where_nothing_is_mistaken_nothing_changes():
    surrogate, data, _, _ = smooth(0)
    counted = doubted(surrogate.condition(data), data, data, jnp.zeros(1))
    np.testing.assert_array_equal(counted.value, data.value)
    np.testing.assert_array_equal(counted.noise_variance, data.noise_variance)


def test_trust_is_the_posterior_probability_of_a_right_answer():
    """By the two densities, from the dense prediction without the answer."""
    surrogate, data, _, rows = smooth(1)
    belief, share = surrogate.condition(data), 0.2
    one = rows[3]
    without = Dataset(data.status.at[one, 0].set(0), data.value, data.noise_variance)
    alone = surrogate.condition(without)
    mean, variance = float(alone.mean[one, 0]), float(alone.own[one, 0, 0])
    pool = float(belief.mean.mean()), float(belief.mean.var() + belief.own.mean())
    noise, y = float(data.noise_variance[one, 0]), mean + 3.0 * variance**0.5
    right = (1 - share) * norm.pdf(y, mean, (variance + noise) ** 0.5)
    wrong = share * norm.pdf(y, pool[0], (pool[1] + noise) ** 0.5)
    told = Dataset(data.status, data.value.at[one, 0].set(y), data.noise_variance)
    counted = doubted(belief, data, told, jnp.array([share]))
    trust = right / (right + wrong)
    assert noise / float(counted.noise_variance[one, 0]) == pytest.approx(trust, rel=1e-3)
    assert float(counted.value[one, 0]) == pytest.approx(trust * y + (1 - trust) * mean, rel=1e-3)


def test_mistaken_answers_are_found_and_stand_where_the_others_foretell_them():
    """Over 10 worlds with one answer in ten two spreads off, which the fits would take for roughness."""
    moved, kept = [], []
    for seed in range(10):
        surrogate, data, truth, rows = smooth(seed)
        wrong = rows[np.argsort(np.abs(truth[rows]))[:2]]
        told = Dataset(data.status, data.value.at[wrong, 0].add(2.0), data.noise_variance)
        first = recursive_surrogate(surrogate.features, jnp.zeros(1), jnp.ones(1), False)
        counted = _settled(first, told, jnp.array([0.1]))[2]
        moved += np.abs(np.asarray(counted.value)[wrong, 0] - truth[wrong]).tolist()
        right = np.setdiff1d(rows, wrong)
        kept.append(
            np.mean(np.asarray(counted.noise_variance)[right, 0] < 2 * np.asarray(data.noise_variance)[right, 0])
        )
    assert np.median(moved) < 0.5
    assert np.mean(kept) > 0.9


def test_several_fidelities_are_weighed_together():
    """Only the fidelity that is sometimes mistaken is doubted; the other keeps every answer as it came."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 2))
    value = np.column_stack([np.sin(x[:, 0]), np.sin(x[:, 0]) + 0.1])
    value[4, 1] += 3.0
    data = Dataset(jnp.full((20, 2), OBSERVED, jnp.int8), jnp.asarray(value), jnp.full((20, 2), 1e-2))
    fresh = joint_surrogate(jnp.asarray(x), jnp.zeros(2), jnp.ones(2)).with_room([20, 20])
    counted = _settled(fresh, data, jnp.array([0.0, 0.1]))[2]
    np.testing.assert_array_equal(counted.value[:, 0], data.value[:, 0])
    trust = np.asarray(data.noise_variance / counted.noise_variance)
    assert trust[4, 1] < 0.5 < np.median(trust[:, 1])
    np.testing.assert_array_equal(trust[:, 0], 1.0)
