"""Thompson sampling: win rates against independent joint samples and closed forms."""

import jax.numpy as jnp
import numpy as np
from beliefs import (
    Z_LIMIT,
    assert_refers_to_target,
    assert_runs_side_by_side,
    assert_sound,
    assert_survives_degenerate_beliefs,
    cell,
    independent,
    joint_samples,
    known,
    posterior,
    smooth,
    worth,
)
from scipy.stats import norm

from mfal.acquisition.thompson import ThompsonSampling

COUNT = 20_000
NOISE = np.array([0.3, 0.0, 0.1])


def make(sign=1.0, count=COUNT):
    return lambda noise, target: ThompsonSampling(noise, jnp.asarray(sign), target, count)


def assert_rates_agree(first, second, first_count, second_count):
    pooled = (first * first_count + second * second_count) / (first_count + second_count)
    error = np.sqrt(pooled * (1.0 - pooled) * (1.0 / first_count + 1.0 / second_count))
    assert (np.abs(first - second) / np.maximum(error, 1e-9)).max() < Z_LIMIT


def test_wins_agree_with_joint_samples():
    for sign in (1.0, -1.0):
        belief = smooth(1)
        result = worth(make(sign)(jnp.zeros(3), 1), belief, known(12), seed=1)
        winners = np.argmin(sign * joint_samples(belief, 100_000, 2)[:, :, 1], axis=1)
        expected = np.bincount(winners, minlength=12) / 100_000
        assert_rates_agree(result.gain[:, 1], expected, COUNT, 100_000)
        np.testing.assert_allclose(result.probability.sum(), 1.0, atol=1e-9)


def test_two_correlated_candidates_in_closed_form():
    covariance = np.zeros((2, 1, 2, 1))
    covariance[:, 0, :, 0] = [[1.0, 0.6], [0.6, 2.0]]
    belief = posterior([[0.0], [0.5]], covariance)
    rate = worth(make()(jnp.zeros(1), 0), belief, known(2), seed=3).gain[0, 0]
    exact = norm.cdf(0.5 / np.sqrt(3.0 - 1.2))
    assert abs(rate - exact) < Z_LIMIT * np.sqrt(exact * (1.0 - exact) / COUNT)


def test_one_sample_names_one_winner():
    result = worth(make(count=1)(jnp.zeros(3), 1), smooth(2), known(12))
    assert sorted(result.gain[:, 1])[-2:] == [0.0, 1.0]


def test_other_columns_by_the_variance_that_regression_explains():
    belief = smooth(3)
    gain = worth(make()(jnp.asarray(NOISE), 1), belief, known(12)).gain
    draws = joint_samples(belief, 200_000, 4)
    answers = draws + np.sqrt(NOISE) * np.random.default_rng(5).normal(size=draws.shape)
    for low in (0, 2):
        share = [np.corrcoef(answers[:, i, low], draws[:, i, 1])[0, 1] ** 2 for i in range(12)]
        np.testing.assert_allclose(gain[:, low], gain[:, 1] * share, atol=0.01 * gain.max())


def test_perfect_correlation_of_either_sign_is_as_good_as_the_target():
    belief = independent([0.0, 0.0, 0.0], [cell(2.0, 1.0, c) for c in (1.0, -1.0, 0.0)])
    gain = worth(make()(jnp.zeros(2), 1), belief, known(3)).gain
    np.testing.assert_allclose(gain[:2, 0], gain[:2, 1], rtol=1e-12)
    assert gain[2, 0] == 0.0


def test_only_the_target_gives_the_single_fidelity_gain():
    belief = smooth(4)
    both = worth(make()(jnp.asarray(NOISE), 1), belief, known(12), seed=2)
    alone = posterior(belief.mean[:, 1:2], belief.belief.covariance[:, 1:2, :, 1:2])
    single = worth(make()(jnp.asarray(NOISE[1:2]), 0), alone, known(12), seed=2)
    np.testing.assert_allclose(single.gain[:, 0], both.gain[:, 1], atol=1e-12)


def test_closed_do_not_compete_and_measured_do():
    belief = independent([-9.0, -5.0, 0.0, 0.0], [cell(1.0, 1.0, 0.5)] * 4)
    closed = worth(make()(jnp.zeros(2), 1), belief, known(4, closed=[0, 1]))
    assert abs(closed.gain[2, 1] - 0.5) < Z_LIMIT * 0.5 / np.sqrt(COUNT)
    measured = worth(make()(jnp.zeros(2), 1), belief, known(4, {0: -9.0}))
    assert measured.gain[:, 1].max() < 0.01 and measured.gain[0, 1] == 0.0


def test_an_expected_answer_narrows_its_candidate():
    belief = independent([0.0, 0.5], [cell(1.0, 2.0, 0.5), cell(1.0, 1.0, 0.5)])
    pending = belief.expect(jnp.asarray(0), jnp.asarray(1), jnp.zeros(()))
    rate = worth(make()(jnp.zeros(2), 1), pending, known(2), seed=4).gain[1, 1]
    exact = norm.cdf(-0.5)
    assert abs(rate - exact) < Z_LIMIT * np.sqrt(exact * (1.0 - exact) / COUNT)


def test_refers_to_the_target():
    assert_refers_to_target(make(count=500), smooth(5), known(12, {0: 0.3}), NOISE, 1)


def test_sound_and_degenerate():
    assert_sound(worth(make()(jnp.asarray(NOISE), 1), smooth(6), known(12, {1: 0.0}, [2])))
    assert_survives_degenerate_beliefs(make(count=100))


def test_side_by_side():
    assert_runs_side_by_side(make(count=100))
