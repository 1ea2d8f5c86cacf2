"""Uniform samples against exact marginals, against rejection, and none of 10^6 invalid.

Distributions are tested by Kolmogorov and Smirnov, every component and three seeds; a set of tests fails at a level of
1e-3 divided by their number (Bonferroni).
"""

import math
import time

import jax
import numpy as np
import pytest
from scipy import stats

from mfal.constraints.polytope import Polytope
from tests.mfal.constraints.polytopes import ALLOY, DECLARED, FEW_AND_MANY, MANY, matrices, polytope

LEVEL = 1e-3
SEEDS = range(3)


def drawn(made, count, seed):
    return np.asarray(made.sample(count, jax.random.key(seed)))


def general(made):
    return Polytope(made.names, None, made.body, made.rows, made.values, made.spread)


def assert_uniform(chances):
    assert min(chances) > LEVEL / len(chances), (min(chances), len(chances))


@pytest.mark.parametrize("how", [lambda made: made, general], ids=["exchange", "hit and run"])
@pytest.mark.parametrize("size", [2, 3, 7, pytest.param(15, marks=pytest.mark.slow)])
def test_marginals_of_the_simplex_are_exact(size, how):
    """x_i is Beta(1, d - 1), x_i + x_j is Beta(2, d - 2), and the largest has a known mean; 40 000 designs a seed."""
    names = MANY[:size]
    made, chances = how(Polytope.simplex(names)), []
    for seed in SEEDS:
        x = drawn(made, 40_000, seed)
        chances += [stats.kstest(x[:, i], stats.beta(1, size - 1).cdf).pvalue for i in range(size)]
        if size > 2:
            chances += [stats.kstest(x[:, 0] + x[:, i], stats.beta(2, size - 2).cdf).pvalue for i in range(1, size)]
        # The largest of d spacings has the mean H_d / d.
        mean, largest = sum(1.0 / i for i in range(1, size + 1)) / size, x.max(axis=1)
        chances.append(stats.ttest_1samp(largest, mean).pvalue)
    assert_uniform(chances)


@pytest.mark.parametrize("how", [lambda made: made, general], ids=["exchange", "hit and run"])
def test_upper_bounds_cut_the_simplex_by_exact_volumes(how):
    """15 components up to .1, the share with x_0 <= c: inclusion and exclusion over cut corners, in whole numbers."""
    size, bound = 15, 10
    made = how(Polytope.simplex(MANY, {}, dict.fromkeys(MANY, 1.0 / bound)))

    def volume(first: int) -> float:
        """Return the volume with x_0 <= first/100 and the others <= .1, in units of the simplex's."""
        total = 0
        for k in range(size):
            for cut in (0, 1):
                left = 100 - 10 * k - first * cut
                total += (-1) ** (k + cut) * math.comb(size - 1, k) * max(left, 0) ** (size - 1)
        return total / 100 ** (size - 1)

    chances, whole = [], volume(10)
    for seed in SEEDS:
        x = drawn(made, 40_000, seed)
        for first in (2, 4, 6, 8, 9):
            below = int((x[:, seed] <= first / 100).sum())
            chances.append(stats.binomtest(below, len(x), volume(first) / whole).pvalue)
    assert_uniform(chances)


@pytest.mark.parametrize("how", [lambda made: made, general], ids=["exchange", "hit and run"])
@pytest.mark.parametrize(
    ("lower", "upper"),
    [
        ({"Fe": 0.1, "Co": 0.05}, {"Fe": 0.35, "Ni": 0.3, "Mn": 0.4}),
        # Two wide components and three narrow ones: pairs at random hardly ever meet the right partner.
        ({}, {"Ni": 0.05, "Cr": 0.05, "Mn": 0.05}),
        ({"Fe": 0.6}, {"Co": 0.04, "Ni": 0.2}),
    ],
)
def test_bounded_simplices_agree_with_rejection(lower, upper, how):
    made = how(Polytope.simplex(ALLOY, lower, upper))
    rng, chances = np.random.default_rng(0), []
    low, high = np.asarray(made.body.lower), np.asarray(made.body.upper)
    room = 1.0 - low.sum()
    expected = low + room * rng.dirichlet(np.ones(5), 1_500_000)
    expected = expected[(expected <= high).all(axis=1)][:40_000]
    assert len(expected) > 4_000
    for seed in SEEDS:
        x = drawn(made, 40_000, seed)
        features = [(x[:, i], expected[:, i]) for i in range(5)]
        features += [(x[:, 0] - x[:, i], expected[:, 0] - expected[:, i]) for i in range(1, 5)]
        features += [((x**2).sum(axis=1), (expected**2).sum(axis=1))]
        chances += [stats.ks_2samp(*pair).pvalue for pair in features]
    assert_uniform(chances)


def test_inequalities_agree_with_rejection():
    """15 components under three inequalities: rejection keeps a few in a thousand."""
    made, (rows, values, _, _) = polytope("inequalities"), matrices("inequalities")
    rng, kept = np.random.default_rng(0), []
    while sum(map(len, kept)) < 3_000:
        x = rng.dirichlet(np.ones(15), 500_000)
        kept.append(x[(x @ rows.T >= values).all(axis=1)])
    expected, chances = np.concatenate(kept), []
    for seed in SEEDS:
        x = drawn(made, 10_000, seed)
        chances += [stats.ks_2samp(x[:, i], expected[:, i]).pvalue for i in range(15)]
        chances += [stats.ks_2samp(x @ row, expected @ row).pvalue for row in rows[:3]]
    assert_uniform(chances)


def test_designs_are_independent():
    """Neighbours in the output are no more alike than chance: correlation within 4 standard errors."""
    x = drawn(polytope("fifteen"), 100_000, 0)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    assert np.abs((x[1:] * x[:-1]).mean(axis=0)).max() < 4.0 / math.sqrt(len(x))


@pytest.mark.parametrize("count", FEW_AND_MANY)
@pytest.mark.parametrize("name", DECLARED)
def test_no_sample_is_invalid(name, count):
    made, (rows, values, equal, totals) = polytope(name), matrices(name)
    x = drawn(made, count if made.groups else count // 10, 5)
    assert (x >= np.asarray(made.body.lower)).all() and (x <= np.asarray(made.body.upper)).all()
    assert (x @ rows.T - values).min() >= -8.0 * np.finfo(float).eps
    for weights, total in zip(equal, totals, strict=True):
        terms = (weights * x)[:100_000]
        assert max(abs(math.fsum(row) - total) for row in terms) <= 4.0 * np.spacing(max(total, 1.0))


def test_samples_that_cannot_move_are_the_one_point():
    made = Polytope.simplex(ALLOY, dict.fromkeys(ALLOY, 0.2))
    np.testing.assert_allclose(drawn(made, 3, 0), 0.2)
    np.testing.assert_allclose(drawn(general(made), 3, 0), 0.2)


def test_fifteen_bounded_components_take_well_under_a_second():
    made = polytope("fifteen")
    drawn(made, 10_000, 0)
    started = time.perf_counter()
    drawn(made, 10_000, 1)
    assert time.perf_counter() - started < 1.0
