"""The polynomial in place of the double well, and that the solver finds it."""

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.inverse import unknown_term


def truth():
    """Return the coefficients of the true term, which has a lower degree than the polynomial."""
    phi = 0.5 * (1 + np.cos(np.pi * (np.arange(20) + 0.5) / 20))
    wanted = np.asarray(unknown_term.Truth().local(jnp.asarray(phi), jnp.zeros(())))
    return np.polynomial.chebyshev.chebfit(2 * phi - 1, wanted, unknown_term.DEGREE)


def test_the_polynomial_is_numpys_and_can_be_the_true_term():
    coefficients, phi = np.random.default_rng(0).normal(size=6), np.linspace(-0.1, 1.1, 7)
    found = unknown_term.Polynomial(jnp.ones(()), jnp.asarray(coefficients)).local(jnp.asarray(phi), jnp.zeros(()))
    np.testing.assert_allclose(found, np.polynomial.chebyshev.chebval(2 * phi - 1, coefficients), rtol=1e-12)
    np.testing.assert_allclose(unknown_term.errors(unknown_term.GRADIENT, truth()), 0.0, atol=1e-12)


@pytest.mark.slow
def test_the_solver_finds_the_term_with_the_first_field():
    off = unknown_term.errors(*unknown_term.by_solver(unknown_term.images(0), 0))
    assert off[0] < 0.01 and off[1] < 0.05
