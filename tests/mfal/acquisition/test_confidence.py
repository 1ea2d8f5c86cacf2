"""Confidence bounds: the formula, the ranking of UCB, and the share of variance that an answer explains."""

import jax.numpy as jnp
import numpy as np
from beliefs import (
    assert_refers_to_target,
    assert_runs_side_by_side,
    assert_sound,
    assert_survives_degenerate_beliefs,
    cell,
    independent,
    joint_samples,
    known,
    smooth,
    worth,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from mfal.acquisition.confidence import ConfidenceBound

NOISE = np.array([0.3, 0.0, 0.1])


def make(beta=4.0, sign=1.0):
    return lambda noise, target: ConfidenceBound(jnp.asarray(beta), noise, jnp.asarray(sign), target)


def test_bounds_are_sampled_quantiles():
    """With beta = 1.6449^2 the bounds are the 5 % and 95 % quantiles of the belief."""
    belief = smooth(1)
    gain = worth(make(1.6448536**2)(jnp.zeros(3), 1), belief, known(12)).gain[:, 1]
    outcome = joint_samples(belief, 400_000, 3)[:, :, 1]
    optimistic, guaranteed = np.quantile(outcome, 0.05, axis=0), np.quantile(outcome, 0.95, axis=0).min()
    # Standard error of a 5 % quantile: sqrt(.05 x .95 / N) / density = 0.0033 standard deviations.
    tolerance = 4.0 * np.sqrt(2.0) * 0.0034 * outcome.std(axis=0).max()
    np.testing.assert_allclose(gain, np.maximum(guaranteed - optimistic, 0.0), atol=tolerance)


def test_ranking_is_that_of_ucb_where_a_candidate_may_be_the_best():
    for sign in (1.0, -1.0):
        belief = smooth(2, n=30, spread=0.2)
        gain = worth(make(sign=sign)(jnp.zeros(3), 1), belief, known(30)).gain[:, 1]
        ucb = -sign * np.asarray(belief.mean)[:, 1] + 2.0 * np.sqrt(np.asarray(belief.variance)[:, 1])
        left = np.flatnonzero(gain > 0.0)
        assert 1 < left.size < 30
        assert (left[np.argsort(-gain[left])] == np.argsort(-ucb)[: left.size]).all()


def test_two_candidates_by_hand():
    belief = independent([0.0, 5.0], [cell(1.0, 1.0, 0.5)] * 2)
    gain = worth(make()(jnp.array([1.0, 0.0]), 1), belief, known(2)).gain
    # The first is surely below 2 and may be -2; the second may be 3 at best. Half the variance of y_0 is noise.
    np.testing.assert_allclose(gain, [[4.0 * 0.125, 4.0], [0.0, 0.0]], atol=1e-12)


def test_other_columns_by_the_variance_that_regression_explains():
    belief, target = smooth(3), 1
    gain = worth(make()(jnp.asarray(NOISE), target), belief, known(12)).gain
    draws = joint_samples(belief, 200_000, 4)
    answers = draws + np.sqrt(NOISE) * np.random.default_rng(5).normal(size=draws.shape)
    for low in range(3):
        share = [np.corrcoef(answers[:, i, low], draws[:, i, target])[0, 1] ** 2 for i in range(12)]
        np.testing.assert_allclose(gain[:, low], gain[:, target] * share, atol=0.01 * gain.max())


def test_perfect_correlation_of_either_sign_is_as_good_as_the_target():
    belief = independent([0.0, 0.0, 0.0], [cell(2.0, 1.0, c) for c in (1.0, -1.0, 0.0)])
    gain = worth(make()(jnp.zeros(2), 1), belief, known(3)).gain
    np.testing.assert_allclose(gain[:2, 0], gain[:2, 1], rtol=1e-12)
    assert gain[2, 0] == 0.0


def test_only_the_target_gives_the_single_fidelity_gain():
    belief = smooth(4)
    both = worth(make()(jnp.asarray(NOISE), 1), belief, known(12))
    alone = independent(np.asarray(belief.mean)[:, 1:2], np.asarray(belief.own)[:, 1:2, 1:2])
    single = worth(make()(jnp.asarray(NOISE[1:2]), 0), alone, known(12))
    np.testing.assert_allclose(single.gain[:, 0], both.gain[:, 1], rtol=1e-12)


def test_closed_candidates_guarantee_nothing():
    belief = independent([0.0, 5.0], [cell(1.0, 1.0, 0.5)] * 2)
    gain = worth(make()(jnp.zeros(2), 1), belief, known(2, closed=[0])).gain
    np.testing.assert_allclose(gain[:, 1], [0.0, 4.0], atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 9.0), st.sampled_from([1.0, -1.0]))
def test_sound_and_growing_with_beta(seed, beta, sign):
    belief = smooth(seed)
    narrow = worth(make(beta, sign)(jnp.asarray(NOISE), 1), belief, known(12))
    wide = worth(make(beta + 1.0, sign)(jnp.asarray(NOISE), 1), belief, known(12))
    assert_sound(narrow)
    assert (wide.gain >= narrow.gain - 1e-9).all()


def test_refers_to_the_target():
    assert_refers_to_target(make(), smooth(5), known(12, {0: 0.3}), NOISE, 1)


def test_degenerate_beliefs():
    assert_survives_degenerate_beliefs(make())


def test_side_by_side():
    assert_runs_side_by_side(make())
