"""The cached process against the normal equations in dense NumPy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from mfal.surrogate.kernels import Product, SmoothAndIndividual, Sum
from mfal.surrogate.pool import Rows, condition, gather, negative_log_evidence, room_for
from tests.mfal.surrogate.comparing import INDIVIDUAL, NUGGET, close, features, kernel, process_agrees, smooth, trend

N, CAPACITY = 15, 12


def rows(point, value, noise, capacity=CAPACITY):
    pad = capacity - len(point)
    columns = (np.r_[point, np.zeros(pad)].astype(np.int32), np.r_[value, np.zeros(pad)], np.r_[noise, np.ones(pad)])
    return Rows(*map(jnp.asarray, columns), jnp.arange(capacity) < len(point))


def some(seed=1, count=9, noise=0.02):
    rng = np.random.default_rng(seed)
    point = rng.choice(N, size=count, replace=False)
    return point, rng.normal(size=count), noise * rng.uniform(0.5, 2.0, count)


def reference(x, given_trend, point, value, noise):
    """Return mean and covariance of (all points, beta), conditioned as one joint normal."""
    basis, prior = np.asarray(given_trend.basis), np.diag(given_trend.variance)
    own = smooth(x, x) + INDIVIDUAL**2 * np.eye(len(x))
    joint = np.block([[own + basis @ prior @ basis.T, basis @ prior], [prior @ basis.T, prior]])
    mean = np.r_[basis @ given_trend.mean, given_trend.mean]
    point = np.asarray(point, int)
    seen = joint[np.ix_(point, point)] + np.diag(noise + NUGGET * np.diag(own)[point])
    gain = np.linalg.solve(seen, joint[point]).T
    return mean + gain @ (value - mean[point]), joint - gain @ joint[point], seen


@jax.jit
def appended(process, more):
    def step(k, process):
        return process.append(more.point[k], more.value[k], more.noise_variance[k], more.used[k])

    return jax.lax.fori_loop(0, more.point.shape[0], step, process)


conditioned = eqx.filter_jit(condition)


@pytest.mark.parametrize("variance", [(0.5, 0.2), (0.0, 0.2), (0.0, 0.0)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_condition_equals_the_dense_reference(seed, variance):
    x, (point, value, noise) = features(N, seed), some(seed)
    process = conditioned(kernel(x), trend(x, variance), rows(point, value, noise))
    mean, covariance, _ = reference(x, trend(x, variance), point, value, noise)
    process_agrees(process, mean, covariance)
    assert int(process.count) == len(point)


@pytest.mark.parametrize("variance", [(0.5, 0.2), (0.0, 0.2)])
@pytest.mark.parametrize("start", [0, 1, 5])
def test_appended_answers_equal_conditioning_on_all(start, variance):
    x, (point, value, noise) = features(N), some()
    first = conditioned(kernel(x), trend(x, variance), rows(point[:start], value[:start], noise[:start]))
    grown = appended(first, rows(point[start:], value[start:], noise[start:]))
    process_agrees(grown, *reference(x, trend(x, variance), point, value, noise)[:2])
    whole = conditioned(kernel(x), trend(x, variance), rows(point, value, noise))
    for ours, theirs in zip(jax.tree.leaves(grown), jax.tree.leaves(whole), strict=True):
        close(ours, theirs, 1e-9)


def test_without_answers_the_belief_is_the_prior():
    x = features(N)
    process = conditioned(kernel(x), trend(x), rows([], [], []))
    process_agrees(process, *reference(x, trend(x), [], np.zeros(0), np.zeros(0))[:2], 1e-12)


def test_one_datum():
    x = features(N)
    process = conditioned(kernel(x), trend(x), rows([4], [1.7], [0.01]))
    process_agrees(process, *reference(x, trend(x), [4], np.array([1.7]), np.array([0.01]))[:2], 1e-10)


def test_padding_is_inert():
    x, (point, value, noise) = features(N), some()
    tight = conditioned(kernel(x), trend(x), rows(point, value, noise, len(point)))
    padded = rows(point, value, noise, 20)
    # Whatever stands in the padding.
    junk = Rows(
        jnp.where(padded.used, padded.point, 7), jnp.where(padded.used, padded.value, 9e9),
        jnp.where(padded.used, padded.noise_variance, 0.0), padded.used,
    )  # fmt: skip
    for loose in (conditioned(kernel(x), trend(x), padded), conditioned(kernel(x), trend(x), junk)):
        close(loose.mean, tight.mean, 1e-12)
        close(loose.variance, tight.variance, 1e-12)
        close(loose.coefficient_covariance, tight.coefficient_covariance, 1e-12)


def test_an_unused_answer_changes_nothing():
    x, (point, value, noise) = features(N), some()
    before = conditioned(kernel(x), trend(x), rows(point, value, noise))
    after = before.append(jnp.asarray(2), jnp.asarray(9.0), jnp.asarray(0.0), jnp.asarray(False))
    assert eqx.tree_equal(before, after, rtol=1e-14, atol=1e-14)


def test_an_answer_without_a_free_row_changes_nothing():
    x, (point, value, noise) = features(N), some()
    before = conditioned(kernel(x), trend(x), rows(point, value, noise, len(point)))
    after = before.append(jnp.asarray(2), jnp.asarray(9.0), jnp.asarray(0.0), jnp.asarray(True))
    assert eqx.tree_equal(before, after, rtol=1e-14, atol=1e-14)


def test_room_is_doubled_until_it_holds_the_answers():
    assert [room_for(*case) for case in ((3, 4, 9), (5, 4, 9), (9, 4, 9), (50, 4, 9), (0, 4, 9))] == [4, 8, 9, 9, 4]
    assert [room_for(*case) for case in ((0, 0, 9), (3, 0, 9), (3, 0, 0))] == [1, 4, 0]


def test_a_second_answer_at_a_point_counts_like_the_first():
    x = features(N)
    point, value, noise = np.array([4, 4, 9]), np.array([1.0, 1.4, -0.3]), np.array([0.1, 0.1, 0.2])
    process = conditioned(kernel(x), trend(x), rows(point, value, noise))
    process_agrees(process, *reference(x, trend(x), point, value, noise)[:2])
    grown = appended(conditioned(kernel(x), trend(x), rows([], [], [])), rows(point, value, noise))
    process_agrees(grown, *reference(x, trend(x), point, value, noise)[:2])


@pytest.mark.parametrize("at_once", [True, False])
def test_exact_answers_are_reproduced_also_where_candidates_look_alike_or_repeat(at_once):
    x = features(N)
    x[1], x[5] = x[0], x[4]
    point = np.array([0, 1, 4, 5, 5, 0])
    value = np.array([0.3, 0.3, -0.5, -0.5, -0.5, 0.3])
    chosen = rows(point, value, np.zeros(6))
    start = conditioned(kernel(x), trend(x), rows([], [], []))
    process = conditioned(kernel(x), trend(x), chosen) if at_once else appended(start, chosen)
    close(process.mean[point], value, 1e-6)
    assert np.isfinite(process.mean).all() and np.isfinite(process.variance).all()
    assert (np.asarray(process.variance)[point] < 1e-7).all()
    assert (np.asarray(process.variance) >= 0.0).all()


def test_another_basis_keeps_what_the_rows_taught():
    """With the same h at the rows, a new h elsewhere is as if it had always been there."""
    x, (point, value, noise) = features(N), some()
    other = np.array(trend(x).basis)
    unseen = np.setdiff1d(np.arange(N), point)
    other[unseen, 1] += 1.0
    moved = eqx.tree_at(lambda t: t.basis, trend(x), jnp.asarray(other))
    process = conditioned(kernel(x), trend(x), rows(point, value, noise)).with_basis(jnp.asarray(other))
    process_agrees(process, *reference(x, moved, point, value, noise)[:2])


@pytest.mark.parametrize("variance", [(0.5, 0.2), (0.0, 0.2)])
def test_evidence_is_the_log_density_of_the_rows(variance):
    x, (point, value, noise) = features(N), some()
    given_trend, chosen = trend(x, variance), rows(point, value, noise)
    covariance, basis = kernel(x).cross(chosen.point, chosen.point), given_trend.basis[chosen.point]
    ours = negative_log_evidence(covariance, basis, given_trend, chosen)
    seen = reference(x, given_trend, point, value, noise)[2]
    mean = np.asarray(given_trend.basis)[point] @ np.asarray(given_trend.mean)
    assert float(ours) == pytest.approx(-multivariate_normal(mean, seen).logpdf(value), abs=1e-8)


def test_gather_takes_the_first_points_in_the_given_order():
    mask, value, noise = np.zeros(N, bool), np.arange(N) * 1.0, np.arange(N) * 0.1
    mask[[2, 5, 7]] = True
    order = jnp.asarray(np.r_[7, 1, 2, np.setdiff1d(np.arange(N), [7, 1, 2])])
    whole = gather(jnp.asarray(mask), jnp.asarray(value), jnp.asarray(noise), order, 5)
    assert whole.point.tolist() == [7, 2, 5, 0, 0]
    assert whole.used.tolist() == [True, True, True, False, False]
    close(whole.value, [7.0, 2.0, 5.0, 0.0, 0.0], 0.0)
    close(whole.noise_variance, [0.7, 0.2, 0.5, 1.0, 1.0], 1e-12)
    assert gather(jnp.asarray(mask), jnp.asarray(value), jnp.asarray(noise), order, 2).point.tolist() == [7, 2]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), combine=st.sampled_from([Sum, Product]))
def test_sums_and_products_of_kernels_are_kernels(seed, combine):
    rng = np.random.default_rng(seed)
    x = features(N, seed)
    other = SmoothAndIndividual(
        jnp.asarray(rng.normal(size=(N, 3))), *(jnp.asarray(rng.normal(size=s)) for s in (3, (), ()))
    )
    joint, all_points = combine((kernel(x), other)), jnp.arange(N)
    matrix = np.asarray(joint.cross(all_points))
    parts = [np.asarray(part.cross(all_points)) for part in (kernel(x), other)]
    close(matrix, parts[0] + parts[1] if combine is Sum else parts[0] * parts[1], 1e-12)
    # Distances come from a product: what cancels in their squares is lost, 1e-16 of them in length scales.
    close(joint.diagonal(), np.diag(matrix), 1e-10)
    close(joint.cross(all_points[:4], all_points[5:7]), matrix[:4, 5:7], 1e-10)
    assert np.linalg.eigvalsh(matrix).min() > -1e-9 * np.trace(matrix)
