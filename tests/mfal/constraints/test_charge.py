import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from mfal.constraints.base import distance, feasible
from mfal.constraints.charge import ChargeBalance, MixedValence
from mfal.constraints.oxidation import OxidationStates
from mfal.errors import ConstraintError
from mfal.space.formula import Formula

STATES = OxidationStates(
    "by hand", {"Fe": (2, 3), "O": (-2,), "Na": (1,), "Cl": (-1, 1, 3, 5, 7), "Mo": (4, 6), "S": (-2,)}
)


def _fractions(elements, *formulas):
    return jnp.asarray(np.stack([Formula.parse(text).fractions(elements) for text in formulas]))


def test_slack_is_the_distance_to_neutrality():
    balance = ChargeBalance.of(["Na", "Cl"], {"Na": 1, "Cl": -1})
    x = _fractions(["Na", "Cl"], "NaCl", "NaCl2", "Na3Cl")
    np.testing.assert_allclose(balance.slack(x), [0.0, -1 / 3 / np.sqrt(2), -1 / 2 / np.sqrt(2)], atol=1e-15)
    np.testing.assert_allclose(distance(balance, x), jnp.linalg.norm(balance.project(x) - x, axis=1), atol=1e-15)


def test_an_average_state_makes_magnetite_neutral():
    balance = ChargeBalance.of(["Fe", "O"], {"Fe": 8 / 3, "O": -2})
    np.testing.assert_allclose(balance.project(jnp.array([[0.2, 0.8]])), _fractions(["Fe", "O"], "Fe3O4"), atol=1e-15)


@pytest.mark.parametrize(
    ("states", "complaint"),
    [({"Na": 1}, "missing="), ({"Na": 1, "Cl": 1}, "one sign"), ({"Na": float("nan"), "Cl": -1}, "finite")],
)
def test_balances_without_a_neutral_composition_are_refused(states, complaint):
    with pytest.raises(ConstraintError, match=complaint):
        ChargeBalance.of(["Na", "Cl"], states)


@pytest.mark.parametrize(
    ("elements", "yes", "no"),
    [
        (["Fe", "O"], ["FeO", "Fe3O4", "Fe2O3"], ["Fe2O", "FeO2", "Fe", "O"]),
        (["Na", "Cl"], ["NaCl"], ["NaCl2", "Na2Cl", "Cl2"]),
        (["Na", "Cl", "O"], ["NaClO4", "NaClO", "NaCl"], ["NaCl2O", "NaO"]),
        (["Mo", "S"], ["MoS2", "MoS3", "Mo2S5"], ["MoS", "MoS4"]),
    ],
)
def test_intervals_of_mixed_valence(elements, yes, no):
    condition = MixedValence.of(elements, STATES)
    assert feasible(condition, _fractions(elements, *yes), 1e-12).all()
    assert not feasible(condition, _fractions(elements, *no), 1e-12).any()


def _by_slsqp(condition, y):
    """Solve one quadratic programme a sign pattern with SciPy, and take the nearest."""
    ones, best = np.ones(len(y)), None
    for least, greatest in zip(np.asarray(condition.least), np.asarray(condition.greatest), strict=True):
        found = minimize(
            lambda x: 0.5 * ((x - y) ** 2).sum(),
            ones / len(y),
            jac=lambda x: x - y,
            bounds=[(0.0, None)] * len(y),
            constraints=[
                {"type": "eq", "fun": lambda x: x.sum() - 1.0, "jac": lambda x: ones},
                {"type": "ineq", "fun": lambda x, q=least: -q @ x, "jac": lambda x, q=least: -q},
                {"type": "ineq", "fun": lambda x, q=greatest: q @ x, "jac": lambda x, q=greatest: q},
            ],
            method="SLSQP",
            options={"ftol": 1e-15, "maxiter": 500},
        )
        best = found if best is None or found.fun < best.fun else best
    return best.x


def test_projections_are_those_of_a_quadratic_programme():
    elements = ["Na", "Fe", "Cl", "O"]
    condition = MixedValence.of(elements, STATES)
    ys = np.random.default_rng(3).normal(size=(100, 4)) * np.array([[0.3], [1.0]]).repeat(50, axis=0) + 0.25
    found = condition.project(jnp.asarray(ys))
    for x, y in zip(np.asarray(found), ys, strict=True):
        np.testing.assert_allclose(x, _by_slsqp(condition, y), atol=1e-7)
    assert feasible(condition, found, 1e-14).all()
    np.testing.assert_allclose(condition.project(found), found, atol=1e-14)


def test_gradients_are_those_of_finite_differences():
    condition = MixedValence.of(["Na", "Fe", "Cl", "O"], STATES)
    random = np.random.default_rng(4)

    @jax.jit
    def read(y, weight):
        return condition.project(y[None])[0] @ weight + condition.slack(y[None])[0]

    for y in random.normal(size=(10, 4)) * 0.5 + 0.25:
        weight, direction = random.normal(size=4), random.normal(size=4)

        step = 1e-6
        ends = read(jnp.asarray(y + step * direction), weight) - read(jnp.asarray(y - step * direction), weight)
        slope = jax.grad(read)(jnp.asarray(y), weight) @ direction
        assert slope == pytest.approx(float(ends) / (2 * step), abs=1e-7)


def test_states_of_one_sign_or_none_are_refused():
    with pytest.raises(ConstraintError, match="declare an alloy"):
        MixedValence.of(["Na", "Fe"], STATES)
    with pytest.raises(ConstraintError, match="has no state"):
        MixedValence.of(["Na", "Br"], STATES)
