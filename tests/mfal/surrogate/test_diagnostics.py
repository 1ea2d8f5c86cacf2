"""Leave-one-out against brute-force refits, densities and coverage against SciPy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binom, norm

from mfal.dataset import EMPTY, from_rows
from mfal.surrogate.diagnostics import Foretold, leave_one_out, rows_at, source_evidence
from mfal.surrogate.joint import JointGP, joint_prior
from mfal.surrogate.kernels import SmoothAndIndividual
from mfal.surrogate.pool import Rows, Trend, condition

N, CAPACITY = 20, 14
X = np.random.default_rng(0).normal(size=(N, 2))
KERNEL = SmoothAndIndividual(
    jnp.asarray(X), jnp.log(jnp.array([1.2, 0.7])), jnp.log(jnp.asarray(0.8)), jnp.log(jnp.asarray(0.2))
)

conditioned, left_out = eqx.filter_jit(condition), eqx.filter_jit(leave_one_out)
moments = eqx.filter_jit(lambda process: (process.mean, process.variance))
append = eqx.filter_jit(lambda process, *answer: process.append(*answer))


def trend(variance):
    return Trend(jnp.asarray(np.column_stack([np.ones(N), X[:, 0]])), jnp.array([0.4, -0.2]), jnp.asarray(variance))


def rows(point, value, noise):
    pad = CAPACITY - len(point)
    columns = np.r_[point, np.zeros(pad)].astype(np.int32), np.r_[value, np.zeros(pad)], np.r_[noise, np.ones(pad)]
    return Rows(*map(jnp.asarray, columns), jnp.arange(CAPACITY) < len(point))


def some(seed=1, count=11):
    rng = np.random.default_rng(seed)
    return rng.choice(N, size=count, replace=False), rng.normal(size=count), 0.05 * rng.uniform(0.5, 2.0, count)


def foretold(seed=0, count=4000):
    rng = np.random.default_rng(seed)
    mean, variance = rng.normal(size=count), rng.uniform(0.2, 3.0, count)
    value = rng.normal(mean, np.sqrt(variance))
    return Foretold(*map(jnp.asarray, (mean, variance, value)), jnp.arange(count) < count - 500)


@pytest.mark.parametrize("variance", [(0.5, 0.2), (0.0, 0.2), (25.0, 9.0)])
def test_leave_one_out_equals_refits_without_the_row(variance):
    point, value, noise = some()
    ours = left_out(conditioned(KERNEL, trend(variance), rows(point, value, noise)))
    for k in range(len(point)):
        others = [np.delete(column, k) for column in (point, value, noise)]
        mean, variance_of_all = moments(conditioned(KERNEL, trend(variance), rows(*others)))
        # The nugget belongs to the answer as its noise does.
        expected = variance_of_all[point[k]] + noise[k] + 1e-9 * (0.8**2 + 0.2**2)
        assert float(ours.mean[k]) == pytest.approx(float(mean[point[k]]), abs=1e-8)
        assert float(ours.variance[k]) == pytest.approx(float(expected), abs=1e-8)
        assert float(ours.value[k]) == pytest.approx(value[k], abs=1e-10)
    assert ours.used.tolist() == [True] * len(point) + [False] * (CAPACITY - len(point))


def test_leave_one_out_knows_appended_answers():
    point, value, noise = some()
    process = conditioned(KERNEL, trend((0.5, 0.2)), rows(point[:8], value[:8], noise[:8]))
    for k in range(8, len(point)):
        process = append(process, *map(jnp.asarray, (point[k], value[k], noise[k], True)))
    whole = left_out(conditioned(KERNEL, trend((0.5, 0.2)), rows(point, value, noise)))
    assert eqx.tree_equal(left_out(process), whole, rtol=1e-9, atol=1e-9)


def test_one_answer_is_foretold_by_the_prior():
    ours = left_out(conditioned(KERNEL, trend((0.5, 0.0)), rows([3], [1.0], [0.1])))
    assert float(ours.mean[0]) == pytest.approx(0.4 - 0.2 * X[3, 0], abs=1e-10)
    assert float(ours.variance[0]) == pytest.approx(0.8**2 + 0.2**2 + 0.1 + 0.5, abs=1e-8)


def test_densities_are_those_of_the_normal_and_unused_rows_count_for_nothing():
    ours = foretold()
    theirs = norm(ours.mean, np.sqrt(ours.variance)).logpdf(ours.value)
    np.testing.assert_allclose(ours.log_density[:3500], theirs[:3500], atol=1e-12)
    assert (ours.log_density[3500:] == 0.0).all()
    assert float(ours.negative_log_density) == pytest.approx(-theirs[:3500].mean(), abs=1e-12)
    first = ours.only(jnp.arange(4000) < 10)
    assert float(first.negative_log_density) == pytest.approx(-theirs[:10].mean(), abs=1e-12)


def test_coverage_counts_central_intervals():
    """Calibrated by construction: binomial, central 99.9 % interval; and too narrow where the variance is too small."""
    ours, levels = foretold(), np.array([0.5, 0.8, 0.95])
    low, high = binom(3500, levels).interval(0.999)
    counted = np.asarray(ours.coverage(jnp.asarray(levels))) * 3500
    assert ((low <= counted) & (counted <= high)).all()
    inside = np.abs(norm(ours.mean, np.sqrt(ours.variance)).cdf(ours.value)[:3500, None] - 0.5) <= levels / 2
    np.testing.assert_allclose(counted, inside.sum(axis=0), atol=1e-9)
    bold = Foretold(ours.mean, 0.25 * ours.variance, ours.value, ours.used)
    assert (np.asarray(bold.coverage(jnp.asarray(levels))) < levels - 0.1).all()


@pytest.mark.parametrize("useful", [True, False])
def test_a_source_shows_its_worth_at_the_target(useful):
    """A source that is the target plus a little noise is worth nats; one of pure noise, believed in, costs some."""
    rng = np.random.default_rng(4)
    truth = rng.normal(size=N)
    cheap = truth + 0.05 * rng.normal(size=N) if useful else rng.normal(size=N)
    candidate, fidelity = np.r_[np.arange(N), np.arange(12)], np.r_[np.zeros(N, int), np.ones(12, int)]
    data = from_rows(candidate, fidelity, np.r_[cheap, truth[:12]], np.full(N + 12, 1e-3), N, 2)
    alone = eqx.tree_at(lambda d: d.status, data, data.status.at[:, 0].set(EMPTY))
    prior = joint_prior(jnp.zeros(2), jnp.ones(2), 2, "autoregressive")
    model = JointGP(jnp.asarray(X), prior, prior.mean, N + 12)

    @jax.jit
    def at_target(table):
        process = model.condition(table).process
        return leave_one_out(process).only(rows_at(process, 1, 2))

    informed, uninformed = at_target(data), at_target(alone)
    assert int(informed.used.sum()) == int(uninformed.used.sum()) == 12
    worth = float(source_evidence(informed, uninformed))
    assert worth > 3.0 if useful else worth < 0.0
    difference = 12 * (float(uninformed.negative_log_density) - float(informed.negative_log_density))
    assert worth == pytest.approx(difference, abs=1e-9)
