import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfal.constraints.base import feasible
from mfal.constraints.charge import MixedValence
from mfal.constraints.charge_head import BalancedHead, balanced
from mfal.constraints.oxidation import OxidationStates
from mfal.errors import ConstraintError

ELEMENTS = ["Na", "Fe", "Cl", "O"]
STATES = OxidationStates("by hand", {"Fe": (2, 3), "O": (-2,), "Na": (1,), "Cl": (-1, 1, 3, 5, 7)})
PARAMETERS = st.lists(st.floats(-40.0, 40.0), min_size=5, max_size=5)


@settings(deadline=None, max_examples=200)
@given(PARAMETERS, st.lists(st.sampled_from([-3.0, -1.5, 0.0, 1.0, 4.0]), min_size=3, max_size=3))
def test_whatever_the_parameters_fractions_are_neutral(z, charge):
    states = jnp.array([[8 / 3, -2.0, *charge]])
    x = balanced(states, jnp.array([z]))
    assert float(x.min()) >= 0.0
    assert abs(float(x.sum()) - 1.0) < 1e-15 * 4
    assert abs(float(jnp.sum(states * x))) < 1e-15 * 4


def test_every_neutral_composition_is_reached():
    states = jnp.array([[2.0, 3.0, -1.0, -2.0, 0.0]])
    x = jnp.array([[0.1, 0.2, 0.2, 0.3, 0.2]])
    assert float(jnp.sum(states * x)) == pytest.approx(0.0, abs=1e-15)
    # Logarithms are the parameters, up to the zero that the charged components have together.
    z = jnp.log(x).at[0, 4].set(jnp.log(0.2 / 0.8))
    np.testing.assert_allclose(balanced(states, z), x, atol=1e-15)


def test_mean_states_stay_within_the_elements_own():
    head = BalancedHead.of(ELEMENTS, STATES, {"Na", "Fe"})
    random = np.random.default_rng(0)
    z, valence = jnp.asarray(random.normal(size=(500, 4)) * 3), jnp.asarray(random.normal(size=(500, 4)) * 3)
    x = eqx.filter_jit(head)(z, valence)
    assert feasible(MixedValence.of(ELEMENTS, STATES), x, 1e-15).all()
    assert float(jnp.abs(jnp.sum(head.charge(valence) * x, axis=1)).max()) < 1e-15
    assert head.charge(valence)[:, 1].min() > 2.0


def test_gradients_are_those_of_finite_differences():
    head = BalancedHead.of(ELEMENTS, STATES, {"Na", "Fe"})
    random = np.random.default_rng(1)
    z, valence, weight, along = (jnp.asarray(random.normal(size=(1, 4))) for _ in range(4))
    slopes = jax.grad(lambda z, valence: jnp.sum(weight * head(z, valence)), argnums=(0, 1))(z, valence)
    for k, slope in enumerate(slopes):
        step = 1e-6 * along
        up = head(z + step * (k == 0), valence + step * (k == 1))
        down = head(z - step * (k == 0), valence - step * (k == 1))
        assert float(jnp.sum(slope * along)) == pytest.approx(float(jnp.sum(weight * (up - down))) / 2e-6, abs=1e-8)


def test_elements_without_a_state_of_their_sign_are_refused():
    with pytest.raises(ConstraintError, match="symbol='Fe'"):
        BalancedHead.of(ELEMENTS, STATES, {"Na"})
    with pytest.raises(ConstraintError, match="one sign"):
        BalancedHead.of(["Na", "Fe"], STATES, {"Na", "Fe"})
