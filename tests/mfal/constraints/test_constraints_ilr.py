"""Log-ratio coordinates: there and back, isometry, gradients, and 10^6 outcomes of which none is invalid."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mfal.constraints.ilr import LogRatios
from mfal.constraints.polytope import Polytope
from mfal.errors import ConstraintError
from tests.mfal.constraints.polytopes import ALLOY, MANY, polytope

MADE = {
    "two": LogRatios.between([(0, 1)], [1.0]),
    "alloy": LogRatios.of(polytope("simplex")),
    "fifteen": LogRatios.of(Polytope.simplex(MANY)),
    "sites": LogRatios.between([(0, 4, 2), (1, 3), (5,), (6, 7, 8)], [1.0, 1.0, 2.0, 3.0]),
}


def points(made, count, scale=1.0, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(0.0, scale, (count, made.basis.shape[1])))


@pytest.mark.parametrize("made", MADE.values(), ids=MADE)
def test_there_and_back(made):
    z = points(made, 10_000, 2.0)
    x = made.designs(z)
    np.testing.assert_allclose(made.coordinates(x), z, atol=1e-9)
    np.testing.assert_allclose(made.designs(made.coordinates(x)), x, rtol=1e-9)
    columns = sum(len(group) - 1 for group in made.groups)
    np.testing.assert_allclose(made.basis.T @ made.basis, np.eye(columns), atol=1e-14)


@pytest.mark.parametrize("made", MADE.values(), ids=MADE)
def test_every_outcome_is_a_design(made):
    """10^6 outcomes, mild and extreme: no fraction below zero, and sums to 4 units in the last place."""
    scales = np.random.default_rng(1).choice([0.1, 1.0, 10.0, 1e3], (1_000_000, 1))
    x = np.asarray(eqx.filter_jit(made.designs)(points(made, 1_000_000) * scales))
    assert np.isfinite(x).all() and (x >= 0.0).all()
    for group, total in zip(made.groups, np.asarray(made.totals), strict=True):
        assert np.abs(x[:, group].sum(axis=1) - total).max() <= 8.0 * np.spacing(total)
        assert max(abs(math.fsum(row) - total) for row in x[:50_000, group]) <= 4.0 * np.spacing(total)


def test_distances_are_those_of_aitchison():
    """The norm of centred log-ratios (Aitchison 1986), and independent of the order of the components."""
    made, rng = MADE["alloy"], np.random.default_rng(0)
    a, b = rng.dirichlet(np.ones(5), (2, 500))
    centred = lambda x: np.log(x) - np.log(x).mean(axis=1, keepdims=True)  # noqa: E731
    distance = jnp.linalg.norm(made.coordinates(jnp.asarray(a)) - made.coordinates(jnp.asarray(b)), axis=1)
    np.testing.assert_allclose(distance, np.linalg.norm(centred(a) - centred(b), axis=1), rtol=1e-10)


@pytest.mark.parametrize("made", MADE.values(), ids=MADE)
def test_gradients_are_those_of_finite_differences(made):
    z, step = points(made, 200), 1e-6
    exact = jax.vmap(jax.jacfwd(lambda row: made.designs(row[None])[0]))(z)
    for i in range(z.shape[1]):
        shift = step * jnp.eye(z.shape[1])[i]
        numeric = (made.designs(z + shift) - made.designs(z - shift)) / (2.0 * step)
        np.testing.assert_allclose(exact[..., i], numeric, atol=1e-8)
    back = jax.vmap(jax.jacfwd(lambda row: made.coordinates(row[None])[0]))(made.designs(z))
    # The inverse function theorem: the two Jacobians are inverse to each other.
    np.testing.assert_allclose(back @ exact, np.broadcast_to(np.eye(z.shape[1]), (200,) + (z.shape[1],) * 2), atol=1e-9)


def test_zeros_have_no_coordinates():
    assert jnp.isnan(MADE["two"].coordinates(jnp.asarray([[0.0, 1.0]]))).all()


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: LogRatios.of(polytope("bounded")), ["Fe", "0.1"]),
        (lambda: LogRatios.of(polytope("charge")), ["linear"]),
        (lambda: LogRatios.between([(0, 1), (1, 2)], [1.0, 1.0]), ["one group"]),
        (lambda: LogRatios.between([(0, 1)], [0.0]), ["above zero"]),
        (lambda: LogRatios.of(Polytope.simplex(ALLOY, {}, {"Mn": 0.9})), ["Mn", "0.9"]),
    ],
)
def test_nonsense_is_refused(build, words):
    with pytest.raises(ConstraintError) as refusal:
        build()
    assert all(word in str(refusal.value) for word in words), refusal.value
