"""Recursive co-kriging against dense NumPy that works level by level, with levels and slopes integrated out."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mfal.surrogate import joint
from mfal.surrogate.base import Posterior
from tests.mfal.surrogate.comparing import (
    CHOSEN,
    NUGGET,
    SPREAD,
    TYPICAL,
    WEIGHTS,
    D,
    L,
    close,
    condition,
    expect,
    matern,
    views,
)
from tests.mfal.surrogate.recursive_cases import N, nested, surrogate, tables


def smooth_and_individual(model, level):
    p, x = model.parameters, np.asarray(model.features)
    smooth = np.exp(2 * p.log_amplitude[level]) * matern(x, x, np.exp(p.log_lengthscale[level]))
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
    # Samples too, at the candidates with a gap and elsewhere; slopes on missing answers are drawn too.
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


def test_draws_have_slopes_of_their_own_on_missing_answers():
    model, count = surrogate(7, levels=2), 6000
    belief = condition(model, tables(*nested(7, (9, 6))))
    draws = np.asarray(eqx.filter_jit(belief.draws)(count, 1, jax.random.key(0)))
    slope, sd = float(belief.links().slope_mean[1, 0]), float(belief.links().slope_sd[1, 0])
    assert sd > 0.1, "otherwise this tests nothing"
    expected = np.asarray(belief.own[:, 1, 1])
    prior = float(
        jnp.exp(2 * model.parameters.log_amplitude[1]) + slope**2 * jnp.exp(2 * model.parameters.log_amplitude[0])
    )
    # A product of slope and value has heavier tails than a normal.
    error = 8 * expected * np.sqrt(2 / count) + 4 * prior * 0.022
    assert (np.abs(draws.var(axis=0) - expected) < error + 1e-8).all()
    assert (np.abs(draws.mean(axis=0) - belief.mean[:, 1]) < 5 * np.sqrt(expected / count) + 1e-4).all()
