"""Constrained acquisitions: joint sampling of gain and feasibility, filters, and the order of filter and rank."""

import jax
import jax.numpy as jnp
import numpy as np
from beliefs import (
    assert_mean_is,
    assert_refers_to_target,
    assert_sound,
    independent,
    joint_samples,
    known,
    posterior,
    smooth,
    worth,
)
from scipy.stats import norm

from mfal.acquisition.constrained import Filtered, Penalised, Requirement, Weighted
from mfal.acquisition.entropy import MaxValueEntropy
from mfal.acquisition.improvement import ExpectedImprovement
from mfal.acquisition.knowledge_gradient import KnowledgeGradient
from mfal.acquisition.maxima import GumbelMaxima

NOISE = jnp.array([0.05, 0.0, 0.2])


def improvement(noise=NOISE, target=1):
    return ExpectedImprovement(noise, jnp.asarray(1.0), target)


def requirement(belief, low=-0.2, high=0.8, target=2):
    return Requirement(belief, jnp.asarray(low), jnp.asarray(high), target)


def test_constrained_improvement_agrees_with_joint_samples():
    belief, second, facts = smooth(1), smooth(2), known(12, {3: 0.1})
    result = worth(Weighted(improvement(jnp.zeros(3)), requirement(second)), belief, facts)
    lead = 0.1 - joint_samples(belief, 200_000, 3)[:, :, 1]
    other = joint_samples(second, 200_000, 4)[:, :, 2]
    lead[:, 3] = -1.0
    met = (other >= -0.2) & (other <= 0.8)
    assert_mean_is(np.maximum(lead, 0.0) * met, result.gain[:, 1])
    assert_mean_is(((lead > 0.0) & met).astype(float), result.probability)


def test_requirement_refers_to_its_target():
    second = smooth(3)
    reference = np.asarray(requirement(second, target=2).probability())
    order = np.array([2, 0, 1])
    moved = posterior(second.mean[:, order], second.belief.covariance[:, order][:, :, :, order])
    np.testing.assert_allclose(requirement(moved, target=0).probability(), reference, rtol=1e-12)
    assert not np.allclose(requirement(second, target=1).probability(), reference)


def test_distance_is_the_expected_violation_and_smooth():
    second = smooth(4)
    outcome = joint_samples(second, 200_000, 5)[:, :, 2]
    violation = np.maximum(-0.2 - outcome, 0.0) + np.maximum(outcome - 0.8, 0.0)
    assert_mean_is(violation, np.asarray(requirement(second).distance()))

    def distance(mean):
        cells = jnp.full((1, 1, 1, 1), 0.09)
        return requirement(posterior(mean[None, None], cells), target=0).distance()[0]

    for at in (-0.5, -0.2, 0.3, 0.8, 1.5):
        step = 1e-5
        finite = (distance(jnp.asarray(at + step)) - distance(jnp.asarray(at - step))) / (2.0 * step)
        exact = norm.cdf((at - 0.8) / 0.3) - norm.cdf((-0.2 - at) / 0.3)
        np.testing.assert_allclose(jax.grad(distance)(jnp.asarray(at)), exact, atol=1e-9)
        np.testing.assert_allclose(finite, exact, atol=1e-6)


def test_filter_first_equals_a_pool_without_the_infeasible():
    belief, facts = smooth(5), known(12, {0: -5.0, 4: 0.2})
    feasible = np.ones(12, bool)
    feasible[[0, 7, 9]] = False
    left = np.flatnonzero(feasible)
    smaller = posterior(belief.mean[left], belief.belief.covariance[left][:, :, left])
    fewer = known(9, {int(np.flatnonzero(left == 4)[0]): 0.2})
    one = jnp.asarray(1.0)
    for inner in (
        improvement(),
        MaxValueEntropy(NOISE, one, GumbelMaxima(16), 1),
        KnowledgeGradient(NOISE, one, 1),
    ):
        result = worth(Filtered(inner, jnp.asarray(feasible)), belief, facts)
        expected = worth(inner, smaller, fewer)
        assert not result.gain[~feasible].any() and not result.probability[~feasible].any()
        # Where the Gumbel bracket starts depends on the size of the pool; its root does not.
        np.testing.assert_allclose(result.gain[left], expected.gain, rtol=1e-6, atol=1e-10)
        np.testing.assert_allclose(result.probability[left], expected.probability, rtol=1e-9)


def test_both_orders_give_different_top_ten_lists():
    rng = np.random.default_rng(6)
    mean = rng.normal(size=60)
    feasible = mean > np.sort(mean)[5]
    belief = independent(mean, rng.uniform(0.2, 1.5, 60)[:, None, None] ** 2)
    # The best answer in hand comes from an infeasible candidate, and so do the best beliefs.
    facts = known(60, {int(np.argmin(mean)): float(mean.min())})
    inner = ExpectedImprovement(jnp.zeros(1), jnp.asarray(1.0), 0)
    top = lambda result: list(np.argsort(-result.gain[:, 0], kind="stable")[:10])  # noqa: E731
    filtered_first = top(worth(Filtered(inner, jnp.asarray(feasible)), belief, facts))
    ranked_first = top(worth(inner, belief, facts))
    survivors = [i for i in ranked_first if feasible[i]]
    distance = jnp.asarray(np.maximum(np.sort(mean)[6] - mean, 0.0))
    soft = top(worth(Penalised(inner, distance, jnp.asarray(0.2)), belief, facts))
    assert all(feasible[filtered_first]) and len(survivors) < 10
    # Not only shorter: against the infeasible incumbent spread counts for more, so the feasible are ordered otherwise.
    assert survivors != filtered_first[: len(survivors)]
    assert soft != filtered_first and soft != ranked_first


def test_penalty_subtracts_from_the_greatest_gain_and_scales_the_rest():
    belief, facts = smooth(7), known(12)
    plain = worth(improvement(), belief, facts)
    distance = np.random.default_rng(8).uniform(0.0, 1.0, 12) * (np.arange(12) % 2)
    soft = worth(Penalised(improvement(), jnp.asarray(distance), jnp.asarray(0.5)), belief, facts)
    most = plain.gain.max(axis=1)
    np.testing.assert_allclose(soft.gain.max(axis=1), np.maximum(most - 0.5 * distance, 0.0), atol=1e-14)
    kept = (soft.gain.max(axis=1) > 0.0) & (most > 0.0)
    ratio = soft.gain[kept] / plain.gain[kept]
    np.testing.assert_allclose(ratio, np.repeat(ratio[:, :1], 3, 1), rtol=1e-10)
    np.testing.assert_allclose(soft.gain[::2], plain.gain[::2], rtol=1e-12)


def test_refer_to_the_target():
    second, facts = smooth(9), known(12, {0: 0.3})
    feasible, distance = jnp.arange(12) % 3 > 0, jnp.linspace(0.0, 0.2, 12)
    wrappers = (
        lambda inner: Weighted(inner, requirement(second)),
        lambda inner: Filtered(inner, feasible),
        lambda inner: Penalised(inner, distance, jnp.asarray(1.0)),
    )
    for wrap in wrappers:
        assert_refers_to_target(
            lambda noise, target, wrap=wrap: wrap(improvement(noise, target)), smooth(8), facts, np.asarray(NOISE), 1
        )


def test_certain_requirements_and_decided_candidates():
    certain = independent([0.0, 2.0], np.zeros((2, 1, 1)))
    rule = requirement(certain, target=0)
    np.testing.assert_array_equal(rule.probability(), [1.0, 0.0])
    np.testing.assert_allclose(rule.distance(), [0.0, 1.2], atol=1e-14)
    belief = independent([0.0, -1.0], np.ones((2, 1, 1)))
    inner = ExpectedImprovement(jnp.zeros(1), jnp.asarray(1.0), 0)
    rules = (
        Weighted(inner, rule),
        Filtered(inner, jnp.array([True, False])),
        Penalised(inner, rule.distance(), jnp.ones(())),
    )
    for rule_ in rules:
        for facts in known(2), known(2, {0: 0.1}), known(2, closed=[0, 1]):
            result = worth(rule_, belief, facts)
            assert_sound(result)
            assert not result.gain[np.asarray(facts.decided)].any()
