"""Few elements under any linear conditions: beside the special case, an independent solver and rejection."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import kstest

from mfal.acquisition.optimise import maximise
from mfal.constraints.cardinality import Cardinality, SparseDesigns
from mfal.constraints.faces import Faces
from mfal.constraints.linear import Bounds, LinearEquality, LinearInequality
from mfal.constraints.polytope import Polytope
from mfal.errors import ConstraintError

NAMES = ("Mo", "Nb", "Ta", "W", "Ti")
WHOLE = [LinearEquality.group(NAMES, NAMES), Bounds.between(NAMES, {}, dict.fromkeys(NAMES, 0.7))]
DEAR = LinearInequality.at_most(NAMES, {"Ta": 1.0, "W": 0.5}, 0.3)
LIGHT = LinearInequality.at_least(NAMES, {"Ti": 2.0, "Nb": 1.0}, 0.4)


CONDITIONS = [
    {"type": "eq", "fun": lambda y: y.sum() - 1.0},
    {"type": "ineq", "fun": lambda y: 0.3 - y[2] - 0.5 * y[3]},
    {"type": "ineq", "fun": lambda y: 2.0 * y[4] + y[1] - 0.4},
]


@pytest.fixture(scope="module")
def designs():
    return Faces.of(Polytope.of(NAMES, [*WHOLE, DEAR, LIGHT]), Cardinality.between(2, 3, 0.05))


def test_every_sample_meets_everything(designs):
    x = np.asarray(designs.sample(20_000, jax.random.key(0)))
    assert np.abs(x.sum(axis=1) - 1.0).max() < 1e-14 and (x >= 0.0).all() and (x <= 0.7).all()
    held = (x > 0.0).sum(axis=1)
    assert held.min() >= 2 and held.max() <= 3 and x[x > 0.0].min() >= 0.05
    assert (x[:, 2] + 0.5 * x[:, 3]).max() <= 0.3 + 1e-12 and (2.0 * x[:, 4] + x[:, 1]).min() >= 0.4 - 1e-12
    assert float(designs.slack(jnp.asarray(x)).min()) >= -1e-12
    drawn = {tuple(row) for row in (x > 0.0).tolist()}
    assert drawn == {tuple(row) for row in np.asarray(designs.supports).tolist()}


def test_supports_are_all_that_rejection_finds(designs):
    """10^6 random designs on supports of three, thresholds and conditions checked by hand."""
    rng, found = np.random.default_rng(0), set()
    for support in ((0, 1, 4), (1, 2, 4), (0, 2, 3), (2, 3, 4), (0, 3, 4)):
        x = np.zeros((200_000, 5))
        x[:, support] = rng.dirichlet(np.ones(3), 200_000)
        good = (x[:, support] >= 0.05).all(axis=1) & (x <= 0.7).all(axis=1)
        good &= (x[:, 2] + 0.5 * x[:, 3] <= 0.3) & (2.0 * x[:, 4] + x[:, 1] >= 0.4)
        there = (np.asarray(designs.supports) == np.isin(np.arange(5), support)).all(axis=1).any()
        assert there == bool(good.any())
        found |= {support} if good.any() else set()
    assert len(found) >= 3


def test_samples_are_uniform_on_their_support(designs):
    """Marginals of 3000 designs against 10^5 by rejection; level .001, three marginals."""
    x = np.asarray(designs.sample(60_000, jax.random.key(1)))
    support = np.isin(np.arange(5), (0, 1, 4))
    ours = x[((x > 0.0) == support).all(axis=1)][:3000]
    rng = np.random.default_rng(1)
    y = rng.dirichlet(np.ones(3), 400_000)
    good = (y >= 0.05).all(axis=1) & (y <= 0.7).all(axis=1) & (2.0 * y[:, 2] + y[:, 1] >= 0.4)
    for column, of in enumerate((0, 1, 4)):
        reference = np.sort(y[good][:, column])
        share = lambda v, reference=reference: np.searchsorted(reference, v) / len(reference)  # noqa: E731
        assert kstest(ours[:, of], share).pvalue > 0.001 / 3


def test_where_both_apply_it_is_the_special_case():
    bounded = Polytope.simplex(NAMES, {"Nb": 0.1}, dict.fromkeys(NAMES, 0.6))
    few = Cardinality.between(1, 3, 0.02)
    special, general = SparseDesigns.of(bounded, few), Faces.of(bounded, few)
    rows = lambda supports: {tuple(row) for row in np.asarray(supports).tolist()}  # noqa: E731
    assert rows(special.supports) == rows(general.supports)
    x = jnp.asarray(np.random.default_rng(2).normal(0.2, 0.4, (200, 5)))
    np.testing.assert_allclose(special.project(x), general.project(x), atol=1e-9)


def test_projections_are_the_nearest_and_stay(designs):
    """Against a quadratic program on every support, solved by another algorithm."""
    rng = np.random.default_rng(3)
    for x in rng.normal(0.2, 0.4, (6, 5)):
        found = np.asarray(designs.project(jnp.asarray(x)[None])[0])
        distances = []
        for support in np.asarray(designs.supports):
            box = [(0.05, 0.7) if there else (0.0, 0.0) for there in support]
            end = minimize(
                lambda y, x=x: ((y - x) ** 2).sum(), support / support.sum(), method="SLSQP", bounds=box,
                jac=lambda y, x=x: 2.0 * (y - x), constraints=CONDITIONS, options={"ftol": 1e-14, "maxiter": 300},
            )  # fmt: skip
            distances.append(np.linalg.norm(end.x - x))
        assert np.linalg.norm(found - x) == pytest.approx(min(distances), abs=1e-7)
        np.testing.assert_allclose(designs.project(jnp.asarray(found)[None])[0], found, atol=1e-14)


@pytest.mark.slow
def test_the_best_design_is_that_of_the_best_support(designs):
    weights = jnp.asarray(np.random.default_rng(4).normal(size=(3, 5)))
    value = lambda x: jnp.sum(jnp.sin(5.0 * weights @ x))  # noqa: E731
    x, found = maximise(value, designs, jax.random.key(0))
    many = designs.sample(100_000, jax.random.key(5))
    assert float(found) >= float(jax.vmap(value)(many).max())
    assert float(designs.slack(x[None])[0]) >= -1e-12


def test_what_nothing_meets_is_refused():
    whole = Polytope.of(NAMES, [*WHOLE, DEAR, LIGHT])
    with pytest.raises(ConstraintError, match="allow more elements"):
        Faces.of(whole, Cardinality.between(1, 1, 0.05))
    names = tuple(f"X{i}" for i in range(15))
    with pytest.raises(ConstraintError, match="over 1000"):
        Faces.of(Polytope.simplex(names), Cardinality.between(1, 5))
    with pytest.raises(ConstraintError, match="Faces"):
        SparseDesigns.of(whole, Cardinality.between(1, 3))
