"""The knowledge gradient against full conditioning on sampled answers, and the effect of its shortlists."""

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
    posterior,
    smooth,
    worth,
)
from scipy.stats import norm

from mfal.acquisition.knowledge_gradient import KnowledgeGradient

NOISE = np.array([0.3, 0.05, 0.1])


def make(sign=1.0, queries=256, members=1024):
    return lambda noise, target: KnowledgeGradient(noise, jnp.asarray(sign), target, queries, members)


def conditioned_rise(belief, noise, sign, target, candidate, source, count, seed, competing):
    """Sample answers from joint samples, condition the whole belief on each, and return the rise of the best mean."""
    mean = np.asarray(belief.mean)
    covariance = np.asarray(belief.belief.covariance).reshape(mean.size, mean.size)
    at = candidate * mean.shape[1] + source
    truth = joint_samples(belief, count, seed)[:, candidate, source]
    answer = truth + np.sqrt(noise[source]) * np.random.default_rng(seed + 1).normal(size=count)
    weight = covariance[:, at] / (covariance[at, at] + noise[source])
    after = mean.ravel() + (answer - mean[candidate, source])[:, None] * weight
    after = after.reshape(count, *mean.shape)[:, :, target]
    return (-sign * after)[:, competing].max(axis=1) - (-sign * mean[competing, target]).max()


def test_every_query_against_sampled_answers():
    for sign in (1.0, -1.0):
        belief = smooth(1, n=8, fidelities=3)
        gain = worth(make(sign)(jnp.asarray(NOISE), 1), belief, known(8)).gain
        for candidate in range(8):
            for source in range(3):
                brute = conditioned_rise(
                    belief, NOISE, sign, 1, candidate, source, 20_000, 24 + candidate, np.arange(8)
                )
                assert_mean_is(brute, gain[candidate, source])


def test_closed_candidates_are_never_the_answer():
    belief, left = smooth(2, n=8), np.array([0, 2, 3, 4, 6, 7])
    gain = worth(make()(jnp.asarray(NOISE), 1), belief, known(8, closed=[1, 5])).gain
    assert not gain[[1, 5], 1].any()
    for candidate, source in ((0, 1), (1, 0), (5, 2), (4, 0)):
        brute = conditioned_rise(belief, NOISE, 1.0, 1, candidate, source, 20_000, 7, left)
        assert_mean_is(brute, gain[candidate, source])


def test_one_unknown_against_one_known_by_hand():
    belief = independent([0.0, 0.5], [cell(1.0, 1.0, 0.8), cell(0.0, 0.0, 0.0)])
    gain = worth(make()(jnp.array([1.0, 0.0]), 1), belief, known(2)).gain
    # The unknown leads by 1/2; an answer from the cheap source moves it by 0.8 / sqrt(2).
    expected = [s * (norm.pdf(0.5 / s) - 0.5 / s * norm.cdf(-0.5 / s)) for s in (0.8 / np.sqrt(2.0), 1.0)]
    np.testing.assert_allclose(gain[0], expected, rtol=1e-12)
    assert not gain[1].any()


def test_perfect_correlation_of_either_sign_is_as_good_as_the_target():
    belief = independent([0.0, 0.0, 0.0], [cell(2.0, 1.0, c) for c in (1.0, -1.0, 0.0)])
    gain = worth(make()(jnp.zeros(2), 1), belief, known(3)).gain
    np.testing.assert_allclose(gain[:2, 0], gain[:2, 1], rtol=1e-12)
    assert gain[2, 0] == 0.0


def test_only_the_target_gives_the_single_fidelity_gain():
    belief = smooth(4)
    both = worth(make()(jnp.asarray(NOISE), 1), belief, known(12))
    alone = posterior(belief.mean[:, 1:2], belief.belief.covariance[:, 1:2, :, 1:2])
    single = worth(make()(jnp.asarray(NOISE[1:2]), 0), alone, known(12))
    np.testing.assert_allclose(single.gain[:, 0], both.gain[:, 1], rtol=1e-10, atol=1e-15)


def test_expected_answers_count():
    belief = smooth(5, n=8)
    pending = belief.expect(jnp.asarray(2), jnp.asarray(0), jnp.asarray(NOISE[0]))
    covariance = np.asarray(belief.belief.covariance).reshape(24, 24)
    column = covariance[:, 6]
    left = covariance - np.outer(column, column) / (column[6] + NOISE[0])
    dense = posterior(belief.mean, left.reshape(8, 3, 8, 3))
    ours = worth(make()(jnp.asarray(NOISE), 1), pending, known(8)).gain
    np.testing.assert_allclose(ours, worth(make()(jnp.asarray(NOISE), 1), dense, known(8)).gain, rtol=1e-5, atol=1e-9)


def test_shortlists_only_lower_a_gain_and_keep_the_greatest():
    belief, facts = smooth(6, n=60), known(60, {3: 0.0}, [4])
    exact = worth(make()(jnp.asarray(NOISE), 1), belief, facts).gain
    short = worth(make(queries=15, members=20)(jnp.asarray(NOISE), 1), belief, facts).gain
    assert (short <= exact + 1e-12).all()
    assert ((short > 0.0).sum(axis=0) <= 15).all() and short.any(axis=0).all()
    np.testing.assert_allclose(short.max(axis=0), exact.max(axis=0), rtol=0.05)


def test_decided_candidates_still_speak_through_other_sources():
    gain = worth(make()(jnp.asarray(NOISE), 1), smooth(7), known(12, {1: 0.0, 8: 0.2})).gain
    assert not gain[[1, 8], 1].any() and gain[[1, 8], 0].all()


def test_refers_to_the_target():
    assert_refers_to_target(make(), smooth(8), known(12, {0: 0.3}), NOISE, 1)


def test_sound_and_degenerate():
    assert_sound(worth(make()(jnp.asarray(NOISE), 1), smooth(9), known(12, {1: 0.0}, [2])))
    assert_survives_degenerate_beliefs(make())
    assert_survives_degenerate_beliefs(make(queries=2, members=2))


def test_side_by_side():
    assert_runs_side_by_side(make())
