"""Expected improvement: Jones's formula, Huang's factors, and joint sampling."""

import jax.numpy as jnp
import numpy as np
from beliefs import (
    assert_mean_is,
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
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from mfal.acquisition.improvement import ExpectedImprovement, expected_improvement

NOISE = np.array([0.05, 0.0, 0.2])


def make(sign=1.0):
    return lambda noise, target: ExpectedImprovement(noise, jnp.asarray(sign), target)


def test_known_values():
    lead = jnp.array([0.0, 1.0, -1.0, 0.0, 2.0, 2.0, -2.0])
    deviation = jnp.array([1.0, 1.0, 1.0, 3.0, 1.0, 0.0, 0.0])
    # phi(0), phi(1) + Phi(1), phi(1) - Phi(-1), 3 phi(0), 2 Phi(2) + phi(2), and the certain cases.
    table = [0.3989422804, 1.0833154706, 0.0833154706, 1.1968268412, 2.0084907023, 2.0, 0.0]
    np.testing.assert_allclose(expected_improvement(lead, deviation), table, atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.floats(-50.0, 50.0), st.floats(0.0, 10.0), st.floats(0.0, 5.0))
@example(4.0, 2.2250738585072014e-308, 1.0)
def test_improvement_grows_with_lead_and_spread(lead, deviation, more):
    value = lambda a, b: float(expected_improvement(jnp.array([a]), jnp.array([b]))[0])  # noqa: E731
    assert value(lead, deviation) >= max(lead, 0.0) - 1e-12
    assert value(lead + more, deviation) >= value(lead, deviation) - 1e-12
    assert value(lead, deviation + more) >= value(lead, deviation) - 1e-12


def test_target_column_and_hits_agree_with_joint_samples():
    for sign in (1.0, -1.0):
        belief, facts = smooth(1), known(12, {3: 0.4, 7: -0.2})
        result = worth(make(sign)(jnp.zeros(3), 1), belief, facts)
        best = min(sign * 0.4, sign * -0.2)
        lead = best - sign * joint_samples(belief, 200_000, 5)[:, :, 1]
        lead[:, [3, 7]] = -1.0
        assert_mean_is(np.maximum(lead, 0.0), result.gain[:, 1])
        assert_mean_is((lead > 0.0).astype(float), result.probability)


def test_other_columns_are_discounted_by_sampled_correlation_and_noise():
    belief, facts, target = smooth(2), known(12), 2
    result = worth(make()(jnp.asarray(NOISE), target), belief, facts)
    draws = joint_samples(belief, 200_000, 6)
    pure = worth(make()(jnp.zeros(3), target), belief, facts).gain[:, target]
    for low in range(3):
        correlation = [np.corrcoef(draws[:, i, low], draws[:, i, target])[0, 1] for i in range(12)]
        answer = draws[:, :, low].var(axis=0) + NOISE[low]
        expected = pure * np.abs(correlation) * (1.0 - np.sqrt(NOISE[low] / answer))
        np.testing.assert_allclose(result.gain[:, low], expected, atol=0.01)


def test_without_answers_the_best_mean_is_the_incumbent():
    belief = independent([0.0, 1.0], [cell(1.0, 1.0, 0.5)] * 2)
    result = worth(make()(jnp.zeros(2), 1), belief, known(2))
    np.testing.assert_allclose(result.gain[:, 1], [norm.pdf(0.0), norm.pdf(1.0) - norm.cdf(-1.0)], atol=1e-12)
    closed = worth(make()(jnp.zeros(2), 1), belief, known(2, closed=[0]))
    np.testing.assert_allclose(closed.gain[:, 1], [0.0, norm.pdf(0.0)], atol=1e-12)


def test_perfect_correlation_of_either_sign_is_as_good_as_the_target():
    belief = independent([0.0, 0.0, 0.0], [cell(2.0, 1.0, c) for c in (1.0, -1.0, 0.0)])
    gain = worth(make()(jnp.zeros(2), 1), belief, known(3)).gain
    np.testing.assert_allclose(gain[:2, 0], gain[:2, 1], rtol=1e-12)
    assert gain[2, 0] == 0.0


def test_only_the_target_gives_the_single_fidelity_gain():
    belief, facts = smooth(3), known(12, {2: 0.1})
    both = worth(make()(jnp.asarray(NOISE), 1), belief, facts)
    cells = np.asarray(belief.own)[:, 1:2, 1:2]
    alone = worth(make()(jnp.asarray(NOISE[1:2]), 0), independent(np.asarray(belief.mean)[:, 1:2], cells), facts)
    np.testing.assert_allclose(alone.gain[:, 0], both.gain[:, 1], rtol=1e-12)
    lead = 0.1 - np.asarray(belief.mean)[:, 1]
    sd = np.sqrt(cells[:, 0, 0])
    textbook = lead * norm.cdf(lead / sd) + sd * norm.pdf(lead / sd)
    textbook[2] = 0.0
    np.testing.assert_allclose(alone.gain[:, 0], textbook, rtol=1e-12)


def test_refers_to_the_target():
    assert_refers_to_target(make(), smooth(4), known(12, {0: 0.3}), NOISE, 1)


def test_degenerate_beliefs():
    assert_survives_degenerate_beliefs(make())


def test_side_by_side():
    assert_runs_side_by_side(make())


def test_sound():
    assert_sound(worth(make()(jnp.asarray(NOISE), 1), smooth(5), known(12, {1: 0.0}, [2])))
