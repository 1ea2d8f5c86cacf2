"""Recursive co-kriging against dense NumPy that works level by level, with levels and slopes integrated out."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mfal.dataset import EMPTY, FAILED, OBSERVED, Dataset
from mfal.surrogate import joint
from mfal.surrogate.base import Posterior
from mfal.surrogate.inducing import InducingProcess
from mfal.surrogate.recursive import recursive_surrogate

N, L, D = 20, 3, 2
TYPICAL, SPREAD = jnp.array([-0.4, 0.1, 2.0]), jnp.array([0.5, 0.8, 0.4])
# What a process adds to the diagonal, relative to the prior variance of the row.
NUGGET = 1e-9


def features(seed=0, n=N):
    return np.random.default_rng(seed).normal(size=(n, D))


def surrogate(seed=0, x=None, levels=L, nonlinear=False):
    """Return a surrogate with random hyper-parameters."""
    x = jnp.asarray(features() if x is None else x)
    model = recursive_surrogate(x, TYPICAL[:levels], SPREAD[:levels], nonlinear)
    rng = np.random.default_rng(seed)
    drawn = jax.tree.map(lambda m, s: m + 0.5 * s * rng.normal(size=m.shape), model.prior.mean, model.prior.sd)
    return eqx.tree_at(lambda m: m.parameters, model, drawn)


def tables(observed, value, noise=0.0, failed=False):
    """Return the dataset of the answers marked in `observed`, and of failed queries."""
    observed = np.asarray(observed, bool)
    status = np.where(observed, OBSERVED, np.where(failed, FAILED, EMPTY)).astype(np.int8)
    noise = np.where(observed, noise, 0.0)
    return Dataset(*map(jnp.asarray, (status, np.where(observed, value, 0.0), noise)))


def nested(seed=1, counts=(10, 7, 4), noise=0.0, n=N):
    """Return a mask in which each fidelity was asked only where those before it have answered, values and noise."""
    rng = np.random.default_rng(seed)
    order, levels = rng.permutation(n), len(counts)
    observed = np.zeros((n, levels), bool)
    for level, count in enumerate(counts):
        observed[order[:count], level] = True
    value = np.asarray(TYPICAL)[:levels] + np.asarray(SPREAD)[:levels] * rng.normal(size=(n, levels))
    variance = np.zeros((n, levels))
    variance[:, -1] = noise * rng.uniform(0.5, 2.0, n)
    return observed, value, variance


def matern(x, lengthscale):
    """Rasmussen and Williams 2006, eq. 4.17, unit variance."""
    r = np.sqrt((((x[:, None] - x[None]) / lengthscale) ** 2).sum(-1))
    return (1 + np.sqrt(5) * r + 5 * r**2 / 3) * np.exp(-np.sqrt(5) * r)


def smooth_and_individual(model, level):
    p, x = model.parameters, np.asarray(model.features)
    smooth = np.exp(2 * p.log_amplitude[level]) * matern(x, np.exp(p.log_lengthscale[level]))
    return smooth + np.exp(2 * p.log_individual[level]) * np.eye(len(x))


def reference(model, observed, value, noise):
    """Return means (n, L), covariance (n, L, n, L), levels' covariances and links, one level after the other.

    Given the answers below, f_l = b + sum rho_j (m_j - c_j) + g with known m_j is one linear model; what is unknown of
    the f_j is independent of its coefficients and comes on top, weighted with E[rho rho'].
    """
    n, levels = observed.shape
    prior, c = model.prior, np.asarray(model.prior.typical_value)
    mean, covariance = np.zeros((n, levels)), np.zeros((n, levels, n, levels))
    cross, between = np.zeros((n, levels, levels)), np.zeros((levels, levels))
    link = [np.zeros(levels), np.zeros(levels), np.zeros((levels, levels)), np.zeros((levels, levels))]
    for level in range(levels):
        basis = np.column_stack([np.ones(n), mean[:, :level] - c[:level]])
        centre = np.r_[c[level], prior.slope_mean[level, :level]]
        spread = np.diag(np.r_[prior.level_sd[level], prior.slope_sd[level, :level]] ** 2)
        kernel = smooth_and_individual(model, level)
        whole = np.block([[kernel + basis @ spread @ basis.T, basis @ spread], [spread @ basis.T, spread]])
        prior_mean = np.r_[basis @ centre, centre]
        rows = np.flatnonzero(observed[:, level])
        own = np.einsum("iaib->iab", covariance[:, :level, :, :level])[rows]
        # What the nugget leaves below counts as noise; it depends on the slopes.
        extra = NUGGET * np.diag(kernel)[rows]
        for _ in range(3):
            seen = whole[np.ix_(rows, rows)] + np.diag(noise[rows, level] + extra)
            gain = np.linalg.solve(seen, whole[rows]).T
            posterior = prior_mean + gain @ (value[rows, level] - prior_mean[rows])
            left = whole - gain @ whole[rows]
            beta, spread = posterior[n:], left[n:, n:]
            second = np.outer(beta[1:], beta[1:]) + spread[1:, 1:]
            extra = NUGGET * np.diag(kernel)[rows] + np.einsum("ab,iab->i", second, own)
        mean[:, level], slope = posterior[:n], beta[1:]
        for below in range(level):
            covariance[:, level, :, below] = np.einsum("a,iaj->ij", slope, covariance[:, :level, :, below])
            covariance[:, below, :, level] = covariance[:, level, :, below].T
        inherited = np.einsum("ab,iajb->ij", second, covariance[:, :level, :, :level])
        covariance[:, level, :, level] = left[:n, :n] + inherited
        # The level of a fidelity: its own offset and, through the mean slopes, those below.
        cross[:, level] = slope @ cross[:, :level]
        path = np.eye(levels)[level] + np.r_[slope, np.zeros(levels - level)] @ between
        between[level], cross[:, level, level] = path, cross[:, level, level] + left[:n, n]
        for part, entry in zip(link, (beta[0], np.sqrt(spread[0, 0])), strict=False):
            part[level] = entry
        link[2][level, :level], link[3][level, :level] = slope, np.sqrt(np.diag(spread)[1:])
    level_cross = np.einsum("ilk,jk->ilj", cross, between)
    return mean, covariance, level_cross, between**2 @ link[1] ** 2, link


compiled = {"condition": 0, "extend": 0, "fit": 0}


def counted(name):
    """Compile a method, counting how often."""

    def method(model, *arguments):
        compiled[name] += 1
        return getattr(model, name)(*arguments)

    return eqx.filter_jit(method)


condition, extend, fit = counted("condition"), counted("extend"), counted("fit")
expect = eqx.filter_jit(Posterior.expect)
CHOSEN, WEIGHTS = np.array([5, 0, 7]), np.array([0.3, -1.0, 2.0])


@eqx.filter_jit
def views(belief):
    chosen, weights, levels = jnp.asarray(CHOSEN), jnp.asarray(WEIGHTS), range(belief.mean.shape[1])
    blocks = [belief.block(chosen, fidelity) for fidelity in levels]
    combinations = [belief.combination(chosen, jnp.asarray(fidelity), weights) for fidelity in levels]
    return blocks, combinations, belief.level_covariance(), belief.links()


def close(ours, theirs, tolerance=1e-8):
    np.testing.assert_allclose(np.asarray(ours), theirs, rtol=0, atol=tolerance)


def same_belief(ours, theirs, tolerance=1e-8):
    close(ours.mean, theirs.mean, tolerance)
    close(ours.own, theirs.own, tolerance)
    for one, other in zip(jax.tree.leaves(views(ours)), jax.tree.leaves(views(theirs)), strict=True):
        close(one, other, tolerance)


def all_finite(tree):
    return all(
        np.isfinite(x).all() for x in jax.tree.leaves(tree) if jnp.issubdtype(jnp.asarray(x).dtype, jnp.floating)
    )


everything = jnp.ones(L, bool)


@pytest.mark.parametrize(
    "counts", [(12, 8, 4), (N, 6, 3), (N, N, 5), (3, 0, 0), (0, 0, 0), (1, 1, 1)], ids=lambda c: "-".join(map(str, c))
)
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_belief_equals_the_dense_reference(counts, noise):
    model, data = surrogate(sum(counts)), nested(sum(counts), counts, noise)
    belief = condition(model, tables(*data))
    mean, covariance, level_cross, level_variance, link = reference(model, *data)
    close(belief.mean, mean)
    close(belief.own, np.einsum("ilim->ilm", covariance))
    blocks, combinations, (cross, own), links = views(belief)
    for fidelity in range(L):
        close(blocks[fidelity], covariance[CHOSEN][:, fidelity][:, CHOSEN, fidelity])
        close(combinations[fidelity], np.einsum("s,sjm->jm", WEIGHTS, covariance[CHOSEN, fidelity]))
    close(cross, level_cross)
    close(own, level_variance)
    for ours, theirs in zip((links.level_mean, links.level_sd, links.slope_mean, links.slope_sd), link, strict=True):
        close(ours, theirs)


@pytest.mark.parametrize("gap", [False, True])
def test_joint_covariance_is_positive_and_consistent_between_views(gap):
    model, (observed, value, noise) = surrogate(2), nested(2, (12, 8, 5), 0.02)
    observed[np.flatnonzero(observed[:, 2])[:2], 0] = not gap
    belief = condition(model, tables(observed, value, noise))
    assert bool((belief.rest > 0.0).any()) == gap
    column = eqx.filter_jit(lambda i, f: belief.combination(i[None], f, jnp.ones(1)))
    whole = np.array([[column(jnp.asarray(i), jnp.asarray(f)) for f in range(L)] for i in range(N)])
    whole = whole.reshape(N * L, N * L)
    close(whole, whole.T, 1e-12)
    assert np.linalg.eigvalsh(whole).min() > -1e-10
    close(whole.reshape(N, L, N, L)[np.arange(N), :, np.arange(N)], belief.own, 1e-12)
    for fidelity, block in enumerate(views(belief)[0]):
        close(block, whole.reshape(N, L, N, L)[CHOSEN][:, fidelity][:, CHOSEN, fidelity], 1e-12)
    # Samples too, at the candidates with a gap and elsewhere; slopes on missing answers are held at their mean.
    count, variance = 4000, np.diagonal(belief.own, 0, 1, 2)[:, 2]
    draws = np.asarray(eqx.filter_jit(belief.draws)(count, 2, jax.random.key(0)))
    seen = observed[:, 2]
    assert (np.abs(draws.mean(axis=0) - belief.mean[:, 2])[seen] < 5 * np.sqrt(variance[seen] / count) + 1e-4).all()
    assert (draws.var(axis=0)[seen] < 1.15 * variance[seen]).all()


def test_mixture_over_the_slope_gives_the_same_belief():
    """With the slope on a grid, each value a joint normal over both fidelities: no recursion in the reference."""
    model, (observed, value, noise) = surrogate(5, levels=2), nested(5, (9, 6), 0.01)
    belief, prior = condition(model, tables(observed, value, noise)), model.prior
    own = [smooth_and_individual(model, level) + float(prior.level_sd[level]) ** 2 for level in range(2)]
    seen = np.flatnonzero(observed.T.ravel())
    nugget = np.repeat([NUGGET * np.exp(2 * float(prior.mean.log_amplitude[0])), 0.0], N)[seen]
    centre, width = float(prior.slope_mean[1, 0]), float(prior.slope_sd[1, 0])
    moments = []
    for slope in centre + width * np.linspace(-6, 6, 1201):
        whole = np.block([[own[0], slope * own[0]], [slope * own[0], slope**2 * own[0] + own[1]]])
        mean = np.repeat(np.asarray(prior.typical_value), N)
        answers = value.T.ravel()[seen] - mean[seen]
        dense = whole[np.ix_(seen, seen)] + np.diag(noise.T.ravel()[seen] + nugget)
        gain = np.linalg.solve(dense, whole[seen]).T
        weight = -0.5 * (answers @ np.linalg.solve(dense, answers) + np.linalg.slogdet(dense)[1])
        weight -= 0.5 * ((slope - centre) / width) ** 2
        moments.append((weight, slope, mean + gain @ answers, whole - gain @ whole[seen]))
    log_weight, slopes, means, covariances = (np.array(part) for part in zip(*moments, strict=True))
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    mean = weight @ means
    spread = np.einsum("w,wij->ij", weight, covariances) + np.cov(means.T, aweights=weight, ddof=0)
    close(belief.mean, mean.reshape(2, N).T, 1e-6)
    close(belief.own, np.einsum("limi->ilm", spread.reshape(2, N, 2, N)), 1e-6)
    links = belief.links()
    assert float(links.slope_mean[1, 0]) == pytest.approx(weight @ slopes, abs=1e-6)
    assert float(links.slope_sd[1, 0]) == pytest.approx(np.sqrt(weight @ (slopes - weight @ slopes) ** 2), abs=1e-6)


@pytest.mark.parametrize("counts", [(N, 7, 4), (N, N, 4), (12, 7, 4)], ids=["first", "both", "nested"])
def test_agrees_with_the_joint_process_where_slopes_are_known(counts):
    """Offsets of the lower fidelities are fixed, as the joint process has them independent of the slopes."""
    slope = np.array([1.3, -0.7])
    model, data = surrogate(3), tables(*nested(3, counts, 0.01))
    model = eqx.tree_at(
        lambda m: (m.prior.slope_mean, m.prior.slope_sd, m.prior.level_sd),
        model,
        (jnp.asarray(np.diag(slope, -1)), jnp.zeros((L, L)), jnp.array([0.0, 0.0, 0.2])),
    )
    ours, p = condition(model, data), model.parameters
    prior = joint.joint_prior(TYPICAL, SPREAD, D, "autoregressive")
    prior = eqx.tree_at(lambda prior: prior.level_sd, prior, model.prior.level_sd)
    stored = joint.Parameters(
        p.log_lengthscale, p.log_amplitude, p.log_individual - p.log_amplitude, jnp.asarray(slope)
    )
    theirs = condition(joint.JointGP(model.features, prior, stored, N * L), data)
    close(ours.mean, theirs.mean, 2e-6)
    close(ours.own, theirs.own, 2e-6)
    for one, other in zip(views(ours)[:3], views(theirs)[:3], strict=True):
        for left, right in zip(one, other, strict=True):
            close(left, right, 2e-6)


@pytest.mark.parametrize("level", range(L))
def test_an_expected_answer_narrows_the_belief_as_answers_do_on_average(level):
    """An answer moves the slopes; over all answers that may come the variance is what was expected of it.

    The variance given an answer is a polynomial in it, so that Gauss-Hermite nodes average exactly.
    """
    counts, noise = (10, 7, 4), 0.03 if level == L - 1 else 0.0
    model, (observed, value, variance) = surrogate(4), nested(4, counts, 0.01)
    belief = condition(model, tables(observed, value, variance))
    asked = int(np.flatnonzero(observed[:, :level].all(axis=1) & ~observed[:, level])[0])
    posterior = expect(Posterior.of(belief, 2), jnp.asarray(asked), jnp.asarray(level), jnp.asarray(noise))
    nodes, weights = np.polynomial.hermite_e.hermegauss(9)
    mean, own, block = 0.0, 0.0, 0.0
    more, noisier = observed.copy(), variance.copy()
    more[asked, level], noisier[asked, level] = True, noise
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        answer = value.copy()
        sd = np.sqrt(belief.own[asked, level, level] + noise)
        answer[asked, level] = belief.mean[asked, level] + node * sd
        after = condition(model, tables(more, answer, noisier))
        # Where the lower fidelities are known, no answer's value matters.
        mean, own = mean + weight * np.asarray(after.mean), own + weight * np.asarray(after.own)
        block = block + weight * np.asarray(views(after)[0][L - 1])
        if level == L - 1:
            close(
                posterior.variance[observed[:, 1], L - 1], np.diagonal(after.own, 0, 1, 2)[observed[:, 1], L - 1], 1e-7
            )
    close(mean, belief.mean, 1e-7)
    close(own, posterior.own, 1e-7)
    close(block, posterior.block(jnp.asarray(CHOSEN), L - 1), 1e-7)
    assert int(posterior.narrowing.count) == 1


def test_expectations_beyond_the_room_change_nothing():
    posterior = Posterior.of(condition(surrogate(), tables(*nested())), 1)
    once = expect(posterior, jnp.asarray(3), jnp.asarray(2), jnp.asarray(0.01))
    twice = expect(once, jnp.asarray(5), jnp.asarray(2), jnp.asarray(0.01))
    close(twice.own, once.own, 0.0)


@pytest.mark.parametrize("fidelity", range(L))
def test_draws_have_the_moments_of_the_belief(fidelity):
    """Five standard errors, and four of the features'; slopes below are known from a screened pool."""
    model, count = surrogate(6), 4000
    belief = condition(model, tables(*nested(6, (N, N, 5)) if fidelity == L - 1 else nested(6, (N, 6, 3))))
    draws = np.asarray(eqx.filter_jit(belief.draws)(count, fidelity, jax.random.key(fidelity)))
    covariance = np.asarray(belief.block(jnp.arange(N), fidelity))
    variance = np.diag(covariance)
    assert (np.abs(draws.mean(axis=0) - belief.mean[:, fidelity]) < 5 * np.sqrt(variance / count) + 1e-4).all()
    error = 5 * np.sqrt((covariance**2 + np.outer(variance, variance)) / count)
    prior = float(jnp.exp(2 * model.parameters.log_amplitude[fidelity]))
    assert (np.abs(np.cov(draws.T) - covariance) < error + 4 * prior * 0.022 + 1e-8).all()


def test_draws_hold_the_slope_on_missing_answers_at_its_mean():
    model, count = surrogate(7, levels=2), 6000
    belief = condition(model, tables(*nested(7, (9, 6))))
    draws = np.asarray(eqx.filter_jit(belief.draws)(count, 1, jax.random.key(0)))
    slope, sd = float(belief.links().slope_mean[1, 0]), float(belief.links().slope_sd[1, 0])
    expected = np.asarray(belief.own[:, 1, 1] - sd**2 * belief.own[:, 0, 0])
    prior = float(
        jnp.exp(2 * model.parameters.log_amplitude[1]) + slope**2 * jnp.exp(2 * model.parameters.log_amplitude[0])
    )
    error = 5 * expected * np.sqrt(2 / count) + 4 * prior * 0.022
    assert (np.abs(draws.var(axis=0) - expected) < error + 1e-8).all()
    assert (np.abs(draws.mean(axis=0) - belief.mean[:, 1]) < 5 * np.sqrt(expected / count) + 1e-4).all()


def grown_equals_conditioned(model, before, now, tolerance=1e-8):
    fresh = now.observed & ~before.observed
    same_belief(extend(model, condition(model, before), now, fresh), condition(model, now), tolerance)


@pytest.mark.parametrize("start", [(0, 0, 0), (9, 0, 0), (9, 6, 2), (10, 7, 4)], ids=lambda c: "-".join(map(str, c)))
def test_extending_with_nested_answers_equals_conditioning(start):
    observed, value, noise = nested(8, (12, 9, 5), 0.01)
    before, _, _ = nested(8, start)
    grown_equals_conditioned(surrogate(8), tables(before, value, noise), tables(observed, value, noise))


@pytest.mark.parametrize("level", range(L))
def test_extending_with_answers_that_are_not_nested_equals_conditioning(level):
    observed, value, noise = nested(9, (9, 6, 3), 0.01)
    more = observed.copy()
    more[np.flatnonzero(~observed[:, 0])[:2], level] = True
    grown_equals_conditioned(surrogate(9), tables(observed, value, noise), tables(more, value, noise))


def test_extending_with_the_answers_that_were_missing_below_equals_conditioning():
    """Rows that had counted with the gap's variance count in full once the gap is closed."""
    observed, value, noise = nested(10, (9, 6, 3))
    gaps = observed.copy()
    gaps[np.flatnonzero(observed[:, 2])[:2], 0] = False
    grown_equals_conditioned(surrogate(10), tables(gaps, value, noise), tables(observed, value, noise))


def test_extending_as_a_source_dies_or_revives_equals_conditioning():
    observed, value, noise = nested(11, (0, 0, 0))
    failed = np.zeros((N, L), bool)
    failed[:3, 0] = True
    two, dead = failed.copy(), tables(observed, value, noise, failed)
    two[2, 0] = False
    grown_equals_conditioned(surrogate(11), tables(observed, value, noise, two), dead)
    revived = observed.copy()
    revived[5, 0] = True
    grown_equals_conditioned(surrogate(11), dead, tables(revived, value, noise, failed))


@pytest.mark.parametrize("many", [16, 17, N])
def test_extending_with_many_answers_equals_conditioning(many):
    observed, value, noise = nested(12, (N, 8, 3))
    before = nested(12, (N - many, min(N - many, 8), 0))[0]
    grown_equals_conditioned(surrogate(12), tables(before, value, noise), tables(observed, value, noise))


def test_extending_the_nonlinear_surrogate_equals_conditioning():
    observed, value, noise = nested(13, (9, 6, 3))
    before = nested(13, (8, 5, 2))[0]
    model = surrogate(13, nonlinear=True)
    now, earlier = tables(observed, value, noise), tables(before, value, noise)
    grown, whole = (
        extend(model, condition(model, earlier), now, now.observed & ~earlier.observed),
        condition(model, now),
    )
    close(grown.mean, whole.mean, 1e-10)
    close(grown.own, whole.own, 1e-10)


@pytest.mark.parametrize("level", [0, 1])
def test_extending_through_inducing_points_equals_conditioning(level):
    model = dataclasses.replace(surrogate(14), inducing=(jnp.arange(6), None, None))
    observed, value, noise = nested(14, (9, 6, 3))
    before = observed.copy()
    before[np.flatnonzero(observed[:, 2])[:1], level:] = False
    belief = condition(model, tables(before, value, noise))
    assert isinstance(belief.levels[0], InducingProcess)
    grown_equals_conditioned(model, tables(before, value, noise), tables(observed, value, noise))


def test_room_is_doubled_and_leaves_inducing_levels_alone():
    model = dataclasses.replace(surrogate(), rows=(1024, 4, 3), inducing=(jnp.arange(5), None, None))
    assert model.with_room((5000, 4, 3)).rows == (1024, 4, 3)
    assert model.with_room((5000, 5, 7)).rows == (1024, 8, 12)
    assert model.with_room((5000, 100, 0)).rows == (1024, N, 3)
    model, data = dataclasses.replace(surrogate(levels=2), rows=(16, 8)), tables(*nested(1, (10, 7)))
    close(condition(model.with_room((10, 9)), data).own, condition(model, data).own, 1e-12)


def test_nothing_compiles_again_as_data_grow():
    model, (_, value, noise) = surrogate(), nested(1)
    before, started = tables(np.zeros((N, L)), value, noise), dict(compiled)
    for counts in ((1, 0, 0), (5, 3, 1), (N, 9, 4)):
        now = tables(nested(1, counts)[0], value, noise)
        model = fit(model, before, jnp.array([True, False, counts[2] > 0]))
        extend(model, condition(model, before), now, now.observed & ~before.observed)
        before = now
    assert all(compiled[name] <= started[name] + 1 for name in compiled)


@pytest.mark.parametrize("seed", range(4))
def test_rows_with_missing_answers_below_count_for_less(seed):
    """Against the same answers with those below in hand, on their means: the mean slope is the same or weaker known."""
    model, (observed, value, noise) = surrogate(seed), nested(seed, (9, 6, 4))
    gaps = observed.copy()
    missing = np.flatnonzero(observed[:, 2])[:2]
    gaps[missing, :2] = False
    without = gaps.copy()
    without[missing, 2] = False
    belief, poorer = condition(model, tables(gaps, value, noise)), condition(model, tables(without, value, noise))
    assert all_finite((belief, views(belief)))
    richer = condition(model, tables(observed, value, noise))
    variance = [np.diagonal(one.own, 0, 1, 2)[missing, 2] for one in (richer, belief, poorer)]
    assert (variance[0] <= variance[1] + 1e-9).all() and (variance[1] < variance[2]).all()
    # They do not teach the levels below.
    close(belief.mean[:, :2], poorer.mean[:, :2], 1e-10)
    close(belief.own[:, :2, :2], poorer.own[:, :2, :2], 1e-10)


@pytest.mark.parametrize("gap", [[0], [1], [0, 1]])
def test_a_measured_candidate_is_reproduced_also_with_gaps_below(gap):
    model, (observed, value, noise) = surrogate(3), nested(3, (9, 6, 4))
    missing = np.flatnonzero(observed[:, 2])[:2]
    observed[np.ix_(missing, gap)] = False
    belief = condition(model, tables(observed, value, noise))
    close(np.asarray(belief.mean)[observed], value[observed], 1e-5)
    assert np.abs(np.diagonal(belief.own, 0, 1, 2)[observed]).max() < 1e-7


@pytest.mark.parametrize("observed", [(0, 0, 6), (0, 6, 0), (0, 6, 6), (6, 0, 6)], ids=lambda c: "-".join(map(str, c)))
def test_a_fidelity_without_any_answer_leaves_the_others_finite(observed):
    model, (_, value, noise) = surrogate(4), nested(4)
    data = tables(nested(4, observed)[0], value, noise)
    fitted = fit(model, data, everything)
    belief = condition(fitted, data)
    assert all_finite((fitted.parameters, belief, views(belief)))
    assert np.linalg.eigvalsh(np.asarray(belief.own)).min() > -1e-9
