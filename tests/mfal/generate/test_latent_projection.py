import jax
import jax.numpy as jnp
import numpy as np

from mfal.constraints.linear import LinearInequality
from mfal.constraints.stoichiometry import Ratio
from mfal.generate.heads import SimplexHead
from mfal.generate.latent_projection import projected_latents

HEAD = SimplexHead.of(3)
NAMES = ("A", "B", "C")


def _nearest_on_grid(slack, start):
    axis = np.linspace(-4.0, 4.0, 801)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    good = grid[np.asarray(slack(HEAD.fractions(jnp.asarray(grid)))) >= 0.0]
    return np.array([np.linalg.norm(good - z, axis=1).min() for z in start])


def test_latents_move_to_the_nearest_feasible_ones():
    slack = LinearInequality.at_least(NAMES, {"A": 1.0}, 0.6).slack
    start = 1.5 * jax.random.normal(jax.random.key(0), (40, 2))
    found = projected_latents(HEAD.fractions, slack, start, margin=1e-9)
    assert (slack(HEAD.fractions(found)) >= 0.0).all()
    moved = np.linalg.norm(found - start, axis=1)
    np.testing.assert_allclose(moved, _nearest_on_grid(slack, np.asarray(start)), atol=0.01)


def test_feasible_latents_stay():
    slack = LinearInequality.at_least(NAMES, {"A": 1.0}, 0.1).slack
    start = 0.1 * jax.random.normal(jax.random.key(1), (20, 2))
    np.testing.assert_array_equal(projected_latents(HEAD.fractions, slack, start), start)


def test_an_equality_is_reached_to_rounding():
    slack = Ratio.of(NAMES, ["A"], ["B"], (1, 2)).slack
    start = jax.random.normal(jax.random.key(2), (40, 2))
    x = HEAD.fractions(projected_latents(HEAD.fractions, slack, start))
    np.testing.assert_allclose(2.0 * x[:, 0], x[:, 1], atol=1e-9)


def test_what_cannot_be_reached_comes_back_nearer():
    slack = lambda x: jnp.min(x, axis=1) - 0.5  # noqa: E731
    start = jax.random.normal(jax.random.key(3), (10, 2))
    found = projected_latents(HEAD.fractions, slack, start)
    assert (slack(HEAD.fractions(found)) >= slack(HEAD.fractions(start))).all()
    assert np.isfinite(found).all()
