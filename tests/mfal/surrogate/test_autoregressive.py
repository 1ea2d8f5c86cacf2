"""The surrogate against a dense NumPy reference that follows Kennedy and O'Hagan's recursion term by term."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy.stats import binom, multivariate_normal

from mfal.dataset import EMPTY, OBSERVED, PENDING, Dataset
from mfal.surrogate.autoregressive import AutoregressiveGP, Parameters, default_prior

N, L, CAPACITY = 12, 3, 32
OFFSET_SD = np.array([0.5, 0.15, 0.15])
TYPICAL = -0.4
# What the surrogate adds to the diagonal, relative to the prior variance of the row.
NUGGET = 1e-9


def features(seed=0):
    return np.random.default_rng(seed).normal(size=(N, 2))


def parameters(slopes=(1.0, 0.8, 1.3)):
    return Parameters(
        jnp.log(jnp.array([1.2, 0.7, 2.0])),
        jnp.log(jnp.array([0.5, 0.12, 0.2])),
        jnp.log(jnp.array([0.1, 0.07, 0.05])),
        jnp.array(slopes),
    )


def surrogate(x=None, chosen=None):
    x = features() if x is None else x
    chosen = parameters() if chosen is None else chosen
    return AutoregressiveGP(jnp.asarray(x), default_prior(TYPICAL, 0.5, x.shape[1], L), chosen)


def dataset(rows, capacity=CAPACITY):
    """Build a dataset of (candidate, fidelity, value, noise variance, status)."""
    columns = [np.array(column) for column in zip(*rows, strict=True)] if rows else [np.zeros(0)] * 5
    blank = [np.zeros(capacity, np.int32), np.zeros(capacity, np.int32), np.zeros(capacity), np.ones(capacity)]
    blank.append(np.full(capacity, EMPTY, np.int32))
    for column, filled in zip(blank, columns, strict=True):
        column[: len(rows)] = filled
    return Dataset(*map(jnp.asarray, blank))


def scattered(seed=1, count=14, noise=0.01, status=OBSERVED):
    """Rows at random candidates and fidelities, most candidates not at all fidelities."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(N * L, size=count, replace=False)
    return [(i // L, i % L, rng.normal(-0.4, 0.5), noise * rng.uniform(0.5, 2.0), status) for i in chosen]


def matern(x, lengthscale, sd):
    """Rasmussen and Williams 2006, eq. 4.17."""
    r = np.sqrt(((x[:, None] - x[None]) ** 2).sum(-1)) / lengthscale
    return sd**2 * (1 + np.sqrt(5) * r + 5 * r**2 / 3) * np.exp(-np.sqrt(5) * r)


def reference_prior(x, p):
    """Return mean (n, L), covariance (n, L, n, L) and covariance of b_l with f_m, (L, L), by the recursion."""
    n, rho = len(x), np.asarray(p.slope)
    own = [
        matern(x, np.exp(p.log_lengthscale[level]), np.exp(p.log_amplitude[level]))
        + np.exp(2 * p.log_individual[level]) * np.eye(n) + OFFSET_SD[level] ** 2
        for level in range(L)
    ]  # fmt: skip
    mean, covariance, offsets = np.zeros((n, L)), np.zeros((n, L, n, L)), np.zeros((L, L))
    for level in range(L):
        mean[:, level] = TYPICAL if level == 0 else rho[level] * mean[:, level - 1]
        offsets[level, level] = OFFSET_SD[level] ** 2
        for other in range(level):
            crossed = rho[level] * covariance[:, level - 1, :, other]
            covariance[:, level, :, other], covariance[:, other, :, level] = crossed, crossed.T
            offsets[other, level] = rho[level] * offsets[other, level - 1]
        below = rho[level] ** 2 * covariance[:, level - 1, :, level - 1] if level else 0.0
        covariance[:, level, :, level] = own[level] + below
    return mean, covariance, offsets


def reference_posterior(x, p, rows, mean_rows=None):
    """Condition the dense prior on rows by the normal equations."""
    mean, covariance, offsets = reference_prior(x, p)
    at = [i * L + level for i, level, *_ in rows]
    levels = [level for _, level, *_ in rows]
    joint = covariance.reshape(N * L, N * L)
    noise = np.diag([variance + NUGGET * joint[k, k] for k, (*_, variance, _) in zip(at, rows, strict=True)])
    inverse = np.linalg.inv(joint[np.ix_(at, at)] + noise)
    residual = np.array([value for _, _, value, *_ in rows]) - mean.ravel()[at]
    return {
        "mean": (mean.ravel() + joint[:, at] @ inverse @ residual).reshape(N, L),
        "covariance": joint - joint[:, at] @ inverse @ joint[at],
        "offset_mean": offsets[:, levels] @ inverse @ residual,
        "offset_variance": OFFSET_SD**2 - np.einsum("la,ab,lb->l", offsets[:, levels], inverse, offsets[:, levels]),
        "evidence": multivariate_normal(np.zeros(len(at)), joint[np.ix_(at, at)] + noise).logpdf(residual),
    }


condition = eqx.filter_jit(lambda model, data: model.condition(data))
fit = eqx.filter_jit(lambda model, data: model.fit(data))


def close(ours, theirs, tolerance=1e-8):
    np.testing.assert_allclose(np.asarray(ours), theirs, rtol=0, atol=tolerance)


@pytest.mark.parametrize("slopes", [(1.0, 0.8, 1.3), (1.0, -1.0, 0.4), (1.0, 0.0, 1.0)])
@pytest.mark.parametrize("seed", [1, 2])
def test_posterior_equals_the_dense_reference(seed, slopes):
    rows, p = scattered(seed), parameters(slopes)
    ours, theirs = condition(surrogate(chosen=p), dataset(rows)), reference_posterior(features(), p, rows)
    close(ours.mean, theirs["mean"])
    close(ours.covariance, theirs["covariance"])
    close(ours.offset_mean, theirs["offset_mean"])
    close(ours.offset_sd**2, theirs["offset_variance"])


def test_without_data_the_posterior_is_the_prior():
    mean, covariance, _ = reference_prior(features(), parameters())
    ours = condition(surrogate(), dataset([]))
    close(ours.mean, mean)
    close(ours.covariance, covariance.reshape(N * L, N * L))
    close(ours.offset_sd, OFFSET_SD)


def test_padding_and_order_of_rows_do_not_matter():
    rows = scattered()
    first, second = condition(surrogate(), dataset(rows)), condition(surrogate(), dataset(rows[::-1], 16))
    close(first.mean, second.mean, 1e-11)
    close(first.covariance, second.covariance, 1e-11)
    close(surrogate().loss(parameters(), dataset(rows)), surrogate().loss(parameters(), dataset(rows[::-1], 16)), 1e-9)


def test_pending_rows_leave_the_mean_and_shrink_the_spread_as_if_answered():
    rows = scattered()
    seen, waiting = rows[:8], [(*row[:2], 0.0, row[3], PENDING) for row in rows[8:]]
    ours = condition(surrogate(), dataset(seen + waiting))
    close(ours.mean, reference_posterior(features(), parameters(), seen)["mean"])
    close(ours.covariance, reference_posterior(features(), parameters(), rows)["covariance"])
    before = condition(surrogate(), dataset(seen))
    assert (np.asarray(ours.variance) < np.asarray(before.variance) - 1e-9).any()


def test_failed_rows_teach_nothing():
    rows = scattered()
    failed = [(*row[:2], 9.9, row[3], 3) for row in rows[8:]]
    close(
        condition(surrogate(), dataset(rows[:8] + failed)).mean, condition(surrogate(), dataset(rows[:8])).mean, 1e-12
    )


def test_one_datum_moves_its_candidate_towards_it():
    rows = [(4, 1, 0.7, 0.01, OBSERVED)]
    ours, theirs = condition(surrogate(), dataset(rows)), reference_posterior(features(), parameters(), rows)
    close(ours.mean, theirs["mean"])
    prior = condition(surrogate(), dataset([]))
    assert prior.mean[4, 1] < ours.mean[4, 1] < 0.7
    assert ours.variance[4, 1] < 0.01


def test_samples_have_the_moments_of_the_posterior():
    posterior = condition(surrogate(), dataset(scattered()))
    draws = np.asarray(posterior.sample(40000, jax.random.key(0))).reshape(40000, -1)
    sd = np.sqrt(np.asarray(posterior.variance)).ravel()
    # Five standard errors; the largest of 36 means exceeds them with a probability under 1e-4.
    assert (np.abs(draws.mean(axis=0) - np.asarray(posterior.mean).ravel()) < 5 * sd / 200).all()
    assert np.abs(np.cov(draws.T) - np.asarray(posterior.covariance)).max() < 0.03 * sd.max() ** 2


def test_loss_is_evidence_plus_prior():
    rows, model, p = scattered(), surrogate(), parameters()
    prior = model.prior
    centre, spread, at = (ravel_pytree(tree)[0] for tree in (prior.mean, prior.sd, p))
    penalty = 0.5 * float(jnp.sum(((at - centre) / spread) ** 2))
    theirs = penalty - reference_posterior(features(), p, rows)["evidence"]
    assert float(model.loss(p, dataset(rows))) == pytest.approx(theirs, abs=1e-7)


def test_gradient_of_the_loss_agrees_with_finite_differences():
    data, model = dataset(scattered()), surrogate()
    point, rebuild = ravel_pytree(parameters())
    loss = jax.jit(lambda q: model.loss(rebuild(q), data))
    ours, step = np.asarray(jax.jit(jax.grad(loss))(point)), 1e-5
    for k, unit in enumerate(np.eye(len(point))):
        difference = (loss(point + step * unit) - loss(point - step * unit)) / (2 * step)
        assert ours[k] == pytest.approx(float(difference), rel=1e-5, abs=1e-6), k


@pytest.mark.parametrize("seed", range(6))
def test_fit_is_never_worse_than_its_starts(seed):
    rng = np.random.default_rng(seed)
    point, rebuild = ravel_pytree(parameters())
    model = surrogate(chosen=rebuild(point + rng.normal(0, 1.0, point.shape)))
    data = dataset(scattered(seed, noise=1e-4))
    loss = float(model.loss(fit(model, data).parameters, data))
    assert np.isfinite(loss)
    assert loss <= float(model.loss(model.parameters, data)) + 1e-9
    assert loss <= float(model.loss(model.prior.mean, data)) + 1e-9


@pytest.fixture(scope="module")
def errors_in_sd():
    """Errors of one unseen target value in each of 2000 drawn truths, in predicted standard deviations."""
    rng, sd, (mean, covariance, _) = np.random.default_rng(0), 0.05, reference_prior(features(), parameters())
    truths = rng.multivariate_normal(mean.ravel(), covariance.reshape(N * L, N * L), size=2000, method="cholesky")
    chosen = np.array([rng.permutation(N * L)[:16] for _ in truths])
    held = np.array([rng.choice(np.setdiff1d(np.arange(2, N * L, L), taken)) for taken in chosen])
    values = np.take_along_axis(truths, chosen, axis=1) + sd * rng.normal(size=chosen.shape)
    status, noise_variance = jnp.full(16, OBSERVED), jnp.full(16, sd**2)
    model = surrogate()

    def at_held(rows, value, k):
        posterior = model.condition(Dataset(rows // L, rows % L, value, noise_variance, status))
        return posterior.mean.ravel()[k], jnp.sqrt(posterior.variance.ravel()[k])

    columns = tuple(map(jnp.asarray, (chosen, values, held)))
    mean, spread = jax.jit(lambda xs: jax.lax.map(lambda x: at_held(*x), xs))(columns)
    return (truths[np.arange(2000), held] - np.asarray(mean)) / np.asarray(spread)


@pytest.mark.parametrize("level, z", [(0.80, 1.2815515655), (0.95, 1.9599639845)])
def test_intervals_cover_as_stated(errors_in_sd, level, z):
    """The truths are independent, so the count is binomial; central 99.9 % interval."""
    low, high = binom(len(errors_in_sd), level).interval(0.999)
    assert low <= (np.abs(errors_in_sd) < z).sum() <= high


def test_a_source_that_runs_the_other_way_is_learnt():
    """Twelve rough pairs outweigh the prior's slope of 1 +- 0.3; eight would not."""
    rng, x = np.random.default_rng(5), features(3)
    low = 0.6 * rng.normal(size=N)
    truth = np.column_stack([low, -low + 0.02 * rng.normal(size=N), -low + 0.1 + 0.02 * rng.normal(size=N)])
    rows = [(i, level, truth[i, level], 1e-6, OBSERVED) for i in range(N) for level in range(L) if level < 2 or i < 8]
    prior = default_prior(0.0, 0.5, 2, L)
    fitted = fit(AutoregressiveGP(jnp.asarray(x), prior, prior.mean), dataset(rows))
    assert -1.2 < float(fitted.parameters.slope[1]) < -0.7
    predicted = np.asarray(condition(fitted, dataset(rows)).mean)[8:, 2]
    assert np.abs(predicted - truth[8:, 2]).max() < 0.2


@pytest.mark.parametrize("case", ["duplicates", "constant"])
def test_degenerate_features_and_zero_noise_stay_finite(case):
    x = features()
    if case == "duplicates":
        x[1] = x[0]
        x[5] = x[4]
    else:
        x[:] = 0.0
    rows = [(i, level, 0.1 * i - 0.2 * level, 0.0, OBSERVED) for i in (0, 1, 4, 5) for level in range(L)]
    model = fit(surrogate(x), dataset(rows))
    posterior = condition(model, dataset(rows))
    assert np.isfinite(ravel_pytree(model.parameters)[0]).all()
    assert np.isfinite(posterior.covariance).all()
    # Noise-free answers are reproduced, also where two candidates look the same.
    for i, level, value, *_ in rows:
        assert float(posterior.mean[i, level]) == pytest.approx(value, abs=1e-4)
        assert float(posterior.variance[i, level]) < 1e-6
