"""The joint process against dense NumPy that follows its equation term by term."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree
from scipy.stats import multivariate_normal

from mfal.dataset import Dataset, empty_dataset, from_rows
from mfal.surrogate.base import Posterior
from mfal.surrogate.coregionalised import Coregionalised
from mfal.surrogate.joint import JointGP, Parameters, joint_prior, slopes
from tests.mfal.surrogate.comparing import (
    CHOSEN,
    NUGGET,
    SPREAD,
    TYPICAL,
    WEIGHTS,
    D,
    L,
    all_finite,
    close,
    compiled,
    condition,
    expect,
    extend,
    features,
    fit,
    matern,
    views,
)

N = 12
STRUCTURES = ("icm", "lmc", "autoregressive")


def surrogate(structure="lmc", seed=0, x=None, rows=32):
    """Return a surrogate with random hyper-parameters; slopes of either sign."""
    prior = joint_prior(TYPICAL, SPREAD, D, structure)
    point, rebuild = ravel_pytree(prior.mean)
    spread = ravel_pytree(prior.sd)[0]
    drawn = rebuild(point + 0.7 * spread * np.random.default_rng(seed).normal(size=point.shape))
    drawn = eqx.tree_at(lambda p: p.slope, drawn, drawn.slope * np.resize([1.0, -1.3], drawn.slope.shape))
    return JointGP(jnp.asarray(features(N) if x is None else x), prior, drawn, rows)


def answers(seed=1, count=14, noise=0.01, value=None):
    """Return scattered answers; most candidates not at all fidelities, some at the target alone."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(N * L, size=count, replace=False)
    value = rng.normal(0.0, 1.0, count) if value is None else value.ravel()[chosen]
    return chosen, value, noise * rng.uniform(0.5, 2.0, count)


def dataset(chosen, value, noise, levels=L, candidates=N):
    chosen = np.asarray(chosen, int)
    return from_rows(chosen // levels, chosen % levels, value, noise, candidates, levels)


def reference_prior(model):
    """Return mean (n L), covariance (n L, n L) and the same without the levels, source by source."""
    x, p, n = np.asarray(model.features), model.parameters, model.features.shape[0]
    levels = len(p.log_amplitude)
    slope = np.zeros((levels, levels))
    stored = iter(np.asarray(p.slope))
    for later in range(1, levels):
        for earlier in range(later):
            if len(p.slope) != levels - 1 or earlier == later - 1:
                slope[later, earlier] = next(stored)
    # f_l = sum_j S_lj f_j + g_l: the weights of g_q in f_l, one source after the other.
    weight = np.zeros((levels, levels))
    for later in range(levels):
        weight[later] = slope[later] @ weight + np.eye(levels)[later]
    smooth = np.zeros((n, levels, n, levels))
    for q in range(levels):
        shared = 0 if len(p.log_ratio) == 1 else q
        own = matern(x, x, np.exp(p.log_lengthscale[shared])) + np.exp(2 * p.log_ratio[shared]) * np.eye(n)
        own = own * np.exp(2 * p.log_amplitude[q])
        smooth += np.einsum("l,m,ij->iljm", weight[:, q], weight[:, q], own)
    smooth = smooth.reshape(n * levels, n * levels)
    level = np.tile(np.diag(np.asarray(model.prior.level_sd) ** 2), (n, n))
    return np.tile(model.prior.level_mean, n), smooth + level, smooth, slope


def reference(model, chosen, value, noise):
    """Condition (all points, levels) as one joint normal."""
    mean, covariance, smooth, _ = reference_prior(model)
    variance = np.diag(np.asarray(model.prior.level_sd) ** 2)
    cross = np.tile(variance, (len(mean) // len(variance), 1))
    joint = np.block([[covariance, cross], [cross.T, variance]])
    mean = np.r_[mean, model.prior.level_mean]
    seen = joint[np.ix_(chosen, chosen)] + np.diag(noise + NUGGET * np.diag(smooth)[chosen])
    gain = np.linalg.solve(seen, joint[chosen]).T
    return mean + gain @ (value - mean[chosen]), joint - gain @ joint[chosen], seen


def fit_all(model, data):
    return fit(model, data, jnp.ones(data.status.shape[1], dtype=bool))


loss = eqx.filter_jit(lambda model, parameters, data: model.loss(parameters, data))


def agrees(belief, typical, mean, covariance, slope):
    size, (n, levels) = belief.mean.size, belief.mean.shape
    close(belief.mean, mean[:size].reshape(n, levels))
    full = covariance[:size, :size].reshape(n, levels, n, levels)
    close(belief.own, np.einsum("ilim->ilm", full))
    blocks, combinations, (cross, own), links = views(belief)
    for fidelity in range(levels):
        close(blocks[fidelity], full[CHOSEN][:, fidelity][:, CHOSEN, fidelity])
        close(combinations[fidelity], np.einsum("s,sjm->jm", WEIGHTS, full[CHOSEN, fidelity]))
    close(cross, covariance[:size, size:].reshape(n, levels, levels))
    close(own, np.diag(covariance)[size:])
    close(links.slope_mean, slope)
    close(links.slope_sd, 0.0)
    for level in range(levels):
        above = np.eye(levels)[level] - slope[level]
        # What fidelity l is expected to be where those before it stand at their typical values.
        close(links.level_mean[level], above @ mean[size:] + slope[level] @ typical)
        close(links.level_sd[level], np.sqrt(above @ covariance[size:, size:] @ above))


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_belief_equals_the_dense_reference(structure, seed):
    model, data = surrogate(structure, seed), answers(seed)
    mean, covariance, _ = reference(model, *data)
    agrees(condition(model, dataset(*data)), TYPICAL, mean, covariance, reference_prior(model)[3])


@pytest.mark.parametrize("structure", STRUCTURES)
def test_without_answers_the_belief_is_the_prior(structure):
    model, none = surrogate(structure), (np.zeros(0, int), np.zeros(0), np.zeros(0))
    mean, covariance, _ = reference(model, *none)
    agrees(condition(model, empty_dataset(N, L)), TYPICAL, mean, covariance, reference_prior(model)[3])


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("start", [0, 1, 6])
def test_extending_equals_conditioning_on_all(structure, start):
    model, data = surrogate(structure, 4), answers(4)
    first = condition(model, dataset(*(column[:start] for column in data)))
    whole = dataset(*data)
    grown = extend(model, first, whole, whole.observed & ~dataset(*(column[:start] for column in data)).observed)
    agrees(grown, TYPICAL, *reference(model, *data)[:2], reference_prior(model)[3])
    again = condition(model, whole)
    for ours, theirs in ((grown.mean, again.mean), (grown.own, again.own)):
        close(ours, theirs, 1e-10)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_single_source_is_a_plain_process(structure):
    prior = joint_prior(TYPICAL[:1], SPREAD[:1], D, structure)
    model = JointGP(jnp.asarray(features(N)), prior, prior.mean, 8)
    chosen, value, noise = np.array([2, 5, 7]), np.array([0.1, -0.3, 0.4]), np.full(3, 0.01)
    mean, covariance, _ = reference(model, chosen, value, noise)
    agrees(condition(model, dataset(chosen, value, noise, 1)), TYPICAL[:1], mean, covariance, np.zeros((1, 1)))


def test_the_three_structures_are_one_where_they_say_the_same():
    """An lmc whose processes share a kernel is an icm; one with slopes on the step before only is autoregressive."""
    x, data = jnp.asarray(features(N)), dataset(*answers())
    ell, amplitude, ratio = (
        jnp.log(jnp.array([[0.8, 1.5]])),
        jnp.log(jnp.array([0.5, 0.3, 0.2])),
        jnp.log(jnp.array([0.4])),
    )
    ours = {
        "icm": Parameters(ell, amplitude, ratio, jnp.array([-0.7, 0.0, 1.2])),
        "lmc": Parameters(jnp.tile(ell, (3, 1)), amplitude, jnp.tile(ratio, 3), jnp.array([-0.7, 0.0, 1.2])),
        "autoregressive": Parameters(jnp.tile(ell, (3, 1)), amplitude, jnp.tile(ratio, 3), jnp.array([-0.7, 1.2])),
    }
    prior = joint_prior(TYPICAL, SPREAD, D, "lmc")
    beliefs = [condition(JointGP(x, prior, parameters, 32), data) for parameters in ours.values()]
    for other in beliefs[1:]:
        close(other.mean, beliefs[0].mean, 1e-10)
        close(other.own, beliefs[0].own, 1e-10)


def test_prior_resembles_the_source_before():
    prior = joint_prior(TYPICAL, SPREAD, D, "lmc")
    expected = np.array([[0, 0, 0], [0.8 * 0.8 / 0.5, 0, 0], [0, 0.8 * 0.4 / 0.8, 0]])
    close(slopes(prior.mean), expected, 1e-12)
    close(jnp.exp(prior.mean.log_lengthscale), np.sqrt(D), 1e-12)
    close(prior.level_sd, [0.5, 0.4, 0.2], 1e-12)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), structure=st.sampled_from(STRUCTURES))
def test_prior_covariance_is_positive_definite_with_correlations_of_either_sign(seed, structure):
    rng, everyone = np.random.default_rng(seed), jnp.arange(N * L)
    mixing = jnp.asarray(np.tril(rng.normal(0.0, 2.0, (L, L)), -1) + np.eye(L))
    kernel = Coregionalised(
        jnp.asarray(features(N, seed)), mixing, *(jnp.asarray(rng.normal(size=shape)) for shape in ((L, D), L, L))
    )
    matrix = np.asarray(kernel.cross(everyone))
    assert np.linalg.eigvalsh(matrix).min() > -1e-10 * np.trace(matrix)
    close(kernel.diagonal(), np.diag(matrix), 1e-9 * np.trace(matrix))
    close(kernel.cross(everyone, everyone[::-1]), matrix[:, ::-1], 1e-12 * np.trace(matrix))


def test_a_source_of_opposite_sign_pulls_the_target_down():
    model = surrogate("lmc")
    turned = eqx.tree_at(lambda m: m.parameters.slope, model, jnp.array([-1.0, 0.0, 1.0]))
    before = condition(turned, empty_dataset(N, L)).mean
    after = condition(turned, dataset([3 * L], np.array([1.5]), np.array([1e-4]))).mean
    assert after[3, 0] > before[3, 0] and after[3, 1] < before[3, 1] and after[3, 2] < before[3, 2]


def test_a_source_that_repeats_another_is_as_good_as_the_target():
    """The individual part is shared too: with nothing of its own, the target is known where the source is."""
    model = surrogate("icm")
    same = Parameters(
        jnp.zeros((1, D)), jnp.log(jnp.array([1.0, 1e-6, 1e-6])), jnp.zeros(1), jnp.array([1.0, 0.0, 1.0])
    )
    model = eqx.tree_at(lambda m: m.parameters, model, same)
    chosen = np.r_[np.arange(N) * L, 0 * L + 1, 0 * L + 2]
    value = np.r_[np.sin(np.arange(N)), np.sin(0) + 0.3, np.sin(0) - 0.2]
    belief = condition(model, dataset(chosen, value, np.zeros(len(chosen))))
    close(belief.mean[:, 2], np.sin(np.arange(N)) - 0.2, 1e-4)
    assert float(belief.own[:, 2, 2].max()) < 1e-6


@pytest.mark.parametrize("structure", STRUCTURES)
def test_loss_is_evidence_plus_prior(structure):
    model, data = surrogate(structure), answers()
    centre, spread, at = (ravel_pytree(tree)[0] for tree in (model.prior.mean, model.prior.sd, model.parameters))
    penalty = 0.5 * float(jnp.sum(((at - centre) / spread) ** 2))
    mean, _, _, _ = reference_prior(model)
    evidence = multivariate_normal(mean[data[0]], reference(model, *data)[2]).logpdf(data[1])
    assert float(loss(model, model.parameters, dataset(*data))) == pytest.approx(penalty - evidence, abs=1e-7)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_gradient_of_the_loss_agrees_with_finite_differences(structure):
    model, data = surrogate(structure), dataset(*answers())
    point, rebuild = ravel_pytree(model.parameters)
    value = jax.jit(lambda q: model.loss(rebuild(q), data))
    ours, step = np.asarray(jax.jit(jax.grad(value))(point)), 1e-5
    for k, unit in enumerate(np.eye(len(point))):
        difference = (value(point + step * unit) - value(point - step * unit)) / (2 * step)
        assert ours[k] == pytest.approx(float(difference), rel=1e-5, abs=1e-6), k


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("structure", STRUCTURES)
def test_fit_is_never_worse_than_its_starts(structure, seed):
    model, data = surrogate(structure, seed), dataset(*answers(seed, noise=1e-4))
    best = float(loss(model, fit_all(model, data).parameters, data))
    assert np.isfinite(best)
    assert best <= float(loss(model, model.parameters, data)) + 1e-9
    assert best <= float(loss(model, model.prior.mean, data)) + 1e-9


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_fit_finds_the_sign_of_the_correlation(structure, sign):
    """Each of four seeds: 12 rough pairs are strong evidence, also against the prior's slope of 0.8 +- 0.6."""
    prior = joint_prior(jnp.zeros(L), jnp.ones(L), D, structure)
    chosen = np.r_[np.arange(N) * L, np.arange(N) * L + 1, np.arange(8) * L + 2]
    model = JointGP(jnp.asarray(features(N)), prior, prior.mean, 32)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        low = rng.normal(size=N)
        middle = sign * 0.8 * low + 0.5 + 0.1 * rng.normal(size=N)
        truth = np.column_stack([low, middle, middle - 0.3 + 0.1 * rng.normal(size=N)])
        data = dataset(chosen, truth.ravel()[chosen], np.full(len(chosen), 1e-4))
        fitted = fit_all(model, data)
        assert 0.5 < sign * float(slopes(fitted.parameters)[1, 0]) < 1.1, seed
        assert np.abs(np.asarray(condition(fitted, data).mean) - truth)[8:, 2].max() < 0.6, seed


def test_a_fit_on_few_rows_keeps_the_candidates_that_the_target_answered():
    chosen = np.r_[np.arange(N) * L, 7 * L + 2, 4 * L + 2, 4 * L + 1]
    data = dataset(chosen, np.ones(len(chosen)), np.ones(len(chosen)))
    rows = surrogate(rows=5)._fit_rows(data)
    assert set(np.asarray(rows.point)) == {12, 13, 14, 21, 23}


def test_nothing_compiles_again_as_data_grow():
    model, (chosen, value, noise) = surrogate(), answers()
    before, started = empty_dataset(N, L), dict(compiled)
    for count in (1, 5, 14):
        now = dataset(chosen[:count], value[:count], noise[:count])
        extend(model, condition(fit_all(model, before), before), now, now.observed & ~before.observed)
        before = now
    assert all(compiled[name] <= started[name] + 1 for name in compiled)


def test_room_is_doubled_and_changes_nothing_else():
    model, data = surrogate(rows=16), dataset(*answers())
    assert [model.with_room((count, 2, 3)).rows for count in (0, 11, 12, 27, 28)] == [16, 16, 32, 32, N * L]
    close(condition(model.with_room((12, 2, 3)), data).mean, condition(model, data).mean, 1e-12)


def test_expected_answers_narrow_the_belief_as_answers_do():
    model, data = surrogate(), answers()
    later = answers(9, 4)
    later = tuple(column[~np.isin(later[0], data[0])] for column in later)
    posterior = Posterior.of(condition(model, dataset(*data)), 6)
    for point, noise in zip(later[0], later[2], strict=True):
        posterior = expect(posterior, jnp.asarray(point // L), jnp.asarray(point % L), jnp.asarray(noise))
    whole = condition(model, dataset(*(np.r_[a, b] for a, b in zip(data, later, strict=True))))
    close(posterior.own, whole.own, 1e-7)
    close(posterior.block(jnp.arange(N), 2), whole.block(jnp.arange(N), 2), 1e-7)


def test_draws_have_the_moments_of_the_belief():
    """Five standard errors, and four of the features' in the covariance."""
    model, count = surrogate("lmc", 4), 4000
    belief = condition(model, dataset(*answers(4)))
    for fidelity in (2,):
        draws = np.asarray(eqx.filter_jit(belief.draws)(count, fidelity, jax.random.key(fidelity)))
        covariance = np.asarray(belief.block(jnp.arange(N), fidelity))
        variance = np.diag(covariance)
        assert (np.abs(draws.mean(axis=0) - belief.mean[:, fidelity]) < 5 * np.sqrt(variance / count)).all()
        error = 5 * np.sqrt((covariance**2 + np.outer(variance, variance)) / count)
        assert (np.abs(np.cov(draws.T) - covariance) < error + 4 * belief.kernel.own[fidelity, fidelity] * 0.022).all()


@pytest.mark.parametrize("case", ["duplicates", "constant", "one", "none", "equal"])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_degenerate_data_and_zero_noise_stay_finite(structure, case):
    x = features(N)
    if case == "duplicates":
        x[1], x[5] = x[0], x[4]
    elif case == "constant":
        x[:] = 0.0
    chosen = (
        [] if case == "none" else [4] if case == "one" else [i * L + level for i in (0, 1, 4, 5) for level in range(L)]
    )
    value = np.zeros(len(chosen)) if case == "equal" else 0.1 * np.arange(len(chosen)) ** 1.5
    data = dataset(np.array(chosen, int), value, np.zeros(len(chosen)))
    model = fit_all(surrogate(structure, x=x), data)
    belief = condition(model, data)
    assert all_finite((model.parameters, belief, belief.draws(3, 2, jax.random.key(0)), belief.links()))
    # Noise-free answers are reproduced, also where two candidates look the same.
    for point, answer in zip(chosen, value, strict=True):
        assert float(belief.mean[point // L, point % L]) == pytest.approx(answer, abs=1e-4)
        assert float(belief.own[point // L, point % L, point % L]) < 1e-6


def test_everything_runs_under_vmap():
    model = surrogate()
    tables = [dataset(*answers(seed, count)) for seed, count in ((1, 4), (2, 14), (3, 9))]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *tables)

    def grown(data: Dataset):
        late = data.observed & (jnp.arange(N) >= 6)[:, None]
        first = model.condition(eqx.tree_at(lambda d: d.status, data, jnp.where(late, 0, data.status).astype(jnp.int8)))
        return model.extend(first, data, late).mean

    means = jax.jit(jax.vmap(grown))(stacked)
    for mean, data in zip(means, tables, strict=True):
        close(mean, condition(model, data).mean, 1e-9)
