"""The process through inducing points against dense NumPy and against the exact process."""

import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfal.surrogate.inducing import choose_inducing, condition_inducing
from mfal.surrogate.kernels import SmoothAndIndividual
from mfal.surrogate.pool import condition, gather
from tests.mfal.surrogate.comparing import (
    INDIVIDUAL,
    SD,
    all_finite,
    close,
    features,
    kernel,
    process_agrees,
    smooth,
    trend,
)

N = 40
# What the inducing points add to their own covariance, relative to the prior variance of the smooth part.
NUGGET = 1e-8


def answers(x, count, seed=1, noise=0.02):
    """Return a mask, values of a draw from the process and variances."""
    rng = np.random.default_rng(seed)
    observed = np.zeros(len(x), bool)
    observed[rng.choice(len(x), size=count, replace=False)] = True
    covariance = smooth(x, x) + INDIVIDUAL**2 * np.eye(len(x))
    value = 0.4 - 0.2 * x[:, 0] + np.linalg.cholesky(covariance) @ rng.normal(size=len(x))
    variance = noise * rng.uniform(0.5, 2.0, len(x))
    value = value + np.sqrt(variance) * rng.normal(size=len(x))
    return tuple(map(jnp.asarray, (observed, np.where(observed, value, 0.0), np.where(observed, variance, 0.0))))


def reference(x, given_trend, observed, value, noise, inducing):
    """Return mean and covariance of (all points, beta) where the low-rank prior of the module is the truth."""
    between = smooth(x[inducing], x[inducing]) + NUGGET * SD**2 * np.eye(len(inducing))
    low_rank = smooth(x, x[inducing]) @ np.linalg.solve(between, smooth(x[inducing], x))
    prior = low_rank + np.diag(SD**2 - np.diag(low_rank) + INDIVIDUAL**2)
    basis, spread = np.asarray(given_trend.basis), np.diag(given_trend.variance)
    joint = np.block([[prior + basis @ spread @ basis.T, basis @ spread], [spread @ basis.T, spread]])
    mean, point = np.r_[basis @ given_trend.mean, given_trend.mean], np.flatnonzero(observed)
    seen = joint[np.ix_(point, point)] + np.diag(np.asarray(noise)[point])
    gain = np.linalg.solve(seen, joint[point]).T
    return mean + gain @ (np.asarray(value)[point] - mean[point]), joint - gain @ joint[point]


inducing_process, choose = eqx.filter_jit(condition_inducing), eqx.filter_jit(choose_inducing)


@eqx.filter_jit
def exact_process(of_kernel, of_trend, observed, value, noise):
    size = value.shape[0]
    return condition(of_kernel, of_trend, gather(observed, value, noise, jnp.arange(size), size))


@pytest.mark.parametrize("variance", [(0.5, 0.2), (0.0, 0.2), (0.0, 0.0)])
@pytest.mark.parametrize("noise", [0.02, 0.0])
@pytest.mark.parametrize("count", [0, 1, 25, N])
def test_belief_equals_the_dense_reference(count, noise, variance):
    x, inducing = features(N), np.array([0, 7, 9, 21, 30, 33])
    data = answers(x, count, noise=noise)
    process = inducing_process(kernel(x), trend(x, variance), *data, jnp.asarray(inducing))
    process_agrees(process, *reference(x, trend(x, variance), *data, inducing))


@pytest.mark.parametrize("noise", [0.02, 0.0])
@pytest.mark.parametrize("count", [1, 25])
def test_with_every_point_inducing_it_is_the_exact_process(count, noise):
    x = features(N)
    data = answers(x, count, noise=noise)
    ours = inducing_process(kernel(x), trend(x), *data, jnp.arange(N))
    theirs = exact_process(kernel(x), trend(x), *data)
    close(ours.mean, theirs.mean, 1e-5)
    close(ours.variance, theirs.variance, 1e-5)
    close(ours.coefficient_mean, theirs.coefficient_mean, 1e-5)
    close(ours.coefficient_covariance, theirs.coefficient_covariance, 1e-5)
    close(ours.coefficient_cross(), theirs.coefficient_cross(), 1e-5)
    close(ours.block(jnp.arange(N)), theirs.block(jnp.arange(N)), 1e-5)
    assert float(ours.unexplained) < 1e-6


@pytest.mark.parametrize("noise", [0.02, 0.0])
@pytest.mark.parametrize("before", [0, 20])
def test_appended_answers_give_what_conditioning_on_all_gives(before, noise):
    x, inducing = features(N), jnp.array([0, 7, 9, 21, 30, 33])
    observed, value, variance = answers(x, 25, noise=noise)
    point = jnp.flatnonzero(observed)
    early = jnp.zeros(N, bool).at[point[:before]].set(True)
    later = jnp.resize(point[before:], 32)
    use = jnp.arange(32) < 25 - before
    start = inducing_process(kernel(x), trend(x), early, value, variance, inducing)
    grown = start.append(later, value[later], variance[later], use)
    anew = inducing_process(kernel(x), trend(x), observed, value, variance, inducing)
    everyone = jnp.arange(N)
    close(grown.mean, anew.mean, 1e-10)
    close(grown.block(everyone), anew.block(everyone), 1e-10)
    close(grown.coefficient_mean, anew.coefficient_mean, 1e-10)
    close(grown.coefficient_covariance, anew.coefficient_covariance, 1e-10)
    close(grown.coefficient_cross(), anew.coefficient_cross(), 1e-10)


@pytest.mark.parametrize("individual", [0.3, 1e-4])
def test_exact_answers_are_reproduced_exactly(individual):
    x = features(N)
    observed, value, noise = answers(x, 25, noise=0.0)
    process = inducing_process(kernel(x, individual), trend(x), observed, value, noise, jnp.arange(0, N, 5))
    seen = np.asarray(observed)
    close(process.mean[seen], value[seen], 1e-10)
    close(process.variance[seen], 0.0, 1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(0, N), noise=st.sampled_from([0.0, 1e-6, 0.1]))
def test_joint_covariance_is_positive_and_consistent_between_views(seed, count, noise):
    x, everyone = features(N, seed), jnp.arange(N)
    process = inducing_process(kernel(x), trend(x), *answers(x, count, seed, noise), jnp.arange(8))
    block = np.asarray(process.block(everyone))
    assert np.linalg.eigvalsh(block).min() > -1e-12
    close(np.diag(block), process.variance, 1e-12)
    column = jax.vmap(lambda i: process.combination(i[None], jnp.ones(1)))(everyone)
    close(column, block, 1e-12)


@pytest.fixture(scope="module")
def pool():
    """Return 600 candidates, 300 answers of a draw from the process, and the exact belief."""
    x = features(600, 5)
    data = answers(x, 300, 5)
    return x, data, exact_process(kernel(x), trend(x), *data)


def test_more_inducing_points_leave_less_unexplained_and_come_closer_to_the_exact_belief(pool):
    """Errors as root mean squares over the pool, in exact posterior standard deviations."""
    x, data, exact = pool
    sd, unexplained, errors, widths = np.sqrt(exact.variance), [], [], []
    for count in (8, 32, 128):
        points = choose(kernel(x), jnp.arange(600), count)
        ours = inducing_process(kernel(x), trend(x), *data, points)
        unexplained.append(float(ours.unexplained))
        errors.append(float(np.sqrt(np.mean(((ours.mean - exact.mean) / sd) ** 2))))
        widths.append(float(np.abs(np.sqrt(ours.variance) / sd - 1).max()))
    assert 1.0 > unexplained[0] > unexplained[1] > unexplained[2] > 0.0
    assert errors[0] > errors[1] > errors[2]
    assert unexplained[2] < 4e-3 and errors[2] < 0.03 and widths[2] < 0.03


def test_chosen_points_explain_more_than_points_at_random(pool):
    """As many as are used; a few greedy ones lie at the rim, where points at random are better on average."""
    x, data, _ = pool
    chosen = choose(kernel(x), jnp.arange(600), 128)
    ours = float(inducing_process(kernel(x), trend(x), *data, chosen).unexplained)
    rng = np.random.default_rng(0)
    for _ in range(5):
        others = jnp.asarray(rng.choice(600, 128, replace=False))
        assert ours < 0.3 * float(inducing_process(kernel(x), trend(x), *data, others).unexplained)


@pytest.mark.parametrize("kind", ["normal", "duplicates", "constant"])
def test_chosen_points_are_distinct_members_of_the_subset(kind):
    x, subset = features(N, 3), np.random.default_rng(3).permutation(N)[:30]
    x[: N // 2] = x[0] if kind == "duplicates" else x[: N // 2]
    x = np.zeros_like(x) if kind == "constant" else x
    chosen = np.asarray(choose(kernel(x), jnp.asarray(subset), 30))
    assert sorted(chosen) == sorted(subset)
    few = np.asarray(choose(kernel(x), jnp.asarray(subset), 5))
    assert len(set(few)) == 5 and set(few) <= set(subset)
    assert (few == chosen[:5]).all()


def test_points_are_chosen_by_what_the_earlier_ones_leave_unexplained():
    x, chosen = features(N, 4), []
    for point in np.asarray(choose(kernel(x), jnp.arange(N), 6)):
        if chosen:
            gain = np.linalg.solve(smooth(x[chosen], x[chosen]), smooth(x[chosen], x))
            left = SD**2 - np.einsum("ij,ij->j", smooth(x[chosen], x), gain)
            assert left[point] == pytest.approx(left.max(), abs=1e-10)
        chosen.append(int(point))


def test_draws_have_the_moments_of_the_belief():
    """Five standard errors of each mean and covariance."""
    x, count = features(N), 6000
    process = inducing_process(kernel(x), trend(x), *answers(x, 15), jnp.arange(8))
    draws = np.asarray(eqx.filter_jit(process.draws)(count, jax.random.key(0)))
    covariance = np.asarray(process.block(jnp.arange(N)))
    variance = np.diag(covariance)
    assert (np.abs(draws.mean(axis=0) - process.mean) < 5 * np.sqrt(variance / count)).all()
    error = np.sqrt((covariance**2 + np.outer(variance, variance)) / count)
    assert (np.abs(np.cov(draws.T) - covariance) < 5 * error).all()


@pytest.mark.parametrize("kind", ["duplicates", "constant", "one", "none", "contradictory"])
def test_poor_data_stay_finite(kind):
    x = features(N)
    if kind == "duplicates":
        x[1::2] = x[::2]
    if kind in ("constant", "contradictory"):
        x[:] = 0.0
    observed, value, noise = answers(features(N), {"none": 0, "one": 1}.get(kind, 30), noise=0.0)
    process = inducing_process(kernel(x, 1e-3), trend(x), observed, value, noise, choose(kernel(x), jnp.arange(N), 12))
    assert all_finite((process, process.variance, process.block(jnp.arange(N)), process.coefficient_covariance))
    close(process.mean[np.asarray(observed)], value[np.asarray(observed)], 1e-6)


def test_ten_thousand_candidates_take_seconds():
    x = np.random.default_rng(0).normal(size=(10_000, 5))
    of_kernel = SmoothAndIndividual(jnp.asarray(x), jnp.zeros(5), jnp.asarray(0.0), jnp.log(jnp.asarray(INDIVIDUAL)))
    value = jnp.asarray(np.sin(x[:, 0]) + 0.3 * np.random.default_rng(1).normal(size=10_000))
    blank = jnp.zeros(10_000)

    @eqx.filter_jit
    def screened(of_kernel, value):
        points = choose_inducing(of_kernel, jnp.arange(4096), 256)
        return condition_inducing(of_kernel, trend(x), blank == 0.0, value, blank + 0.09, points)

    jax.block_until_ready(screened(of_kernel, value))
    started = time.perf_counter()
    process = jax.block_until_ready(screened(of_kernel, value))
    took = time.perf_counter() - started
    assert took < 10.0, took
    truth = np.sin(x[:, 0])
    assert np.sqrt(np.mean((np.asarray(process.mean) - truth) ** 2)) < 0.31
    assert np.isfinite(process.variance).all() and (np.asarray(process.variance) < 0.09).all()
