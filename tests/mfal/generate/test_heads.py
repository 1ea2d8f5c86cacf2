import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfal.constraints.charge import ChargeBalance
from mfal.constraints.oxidation import OxidationStates
from mfal.errors import GenerationError
from mfal.generate.heads import FreeHead, NeutralHead, SimplexHead, StoichiometryHead

ELEMENTS = ("Mo", "S", "W", "Se")
METALS = np.array([True, False, True, False])
STATES = OxidationStates("by hand", {"Fe": (2, 3), "Mg": (2,), "O": (-2,), "F": (-1,)})
HEADS = {
    "simplex": SimplexHead.of(4),
    "one ratio": StoichiometryHead.of(ELEMENTS, ["Mo", "W"]),
    "ratios": StoichiometryHead.of(ELEMENTS, ["Mo", "W"], [(1, 2), (1, 3), (2, 3)]),
    "neutral": NeutralHead.of(("Fe", "Mg", "O", "F"), STATES, ["Fe", "Mg"]),
}


@pytest.mark.parametrize("name", HEADS)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), size=st.sampled_from([0.1, 3.0, 300.0]))
def test_fractions_are_compositions_whatever_the_numbers(name, seed, size):
    head = HEADS[name]
    z = size * jax.random.normal(jax.random.key(seed), (7, head.width))
    for x in (head.fractions(z), head.outputs(z)):
        assert x.shape == (7, 4)
        assert (x >= 0.0).all()
        np.testing.assert_allclose(x.sum(axis=1), 1.0, atol=4e-16 * 4)


def test_a_declared_ratio_is_exact():
    z = 30.0 * jax.random.normal(jax.random.key(1), (1000, HEADS["one ratio"].width))
    x = np.asarray(HEADS["one ratio"].fractions(z))
    np.testing.assert_allclose(x[:, METALS].sum(axis=1), 1.0 / 3.0, atol=2e-16)


def test_several_ratios_are_expected_in_training_and_one_of_them_when_deployed():
    head = HEADS["ratios"]
    z = jax.random.normal(jax.random.key(2), (500, head.width))
    shares = np.asarray(head.fractions(z))[:, METALS].sum(axis=1)
    assert set(np.round(shares, 12)) == {round(1 / 3, 12), round(1 / 4, 12), round(2 / 5, 12)}
    weights = np.exp(z[:, 2:]) / np.exp(z[:, 2:]).sum(axis=1, keepdims=True)
    expected = weights @ np.array([1 / 3, 1 / 4, 2 / 5])
    np.testing.assert_allclose(np.asarray(head.outputs(z))[:, METALS].sum(axis=1), expected, atol=1e-14)


def test_a_neutral_head_is_neutral_with_the_states_that_it_chose():
    head = HEADS["neutral"]
    z = 3.0 * jax.random.normal(jax.random.key(3), (200, head.width))
    x, states = head.fractions(z), head.balanced.charge(z[:, 4:])
    np.testing.assert_allclose(jnp.sum(x * states, axis=1), 0.0, atol=1e-14)
    # With iron between 2 and 3, MgFO-like compositions of fixed states would be off.
    fixed = ChargeBalance.of(("Fe", "Mg", "O", "F"), {"Fe": 2, "Mg": 2, "O": -2, "F": -1})
    assert (fixed.slack(x) < -1e-6).any()


def test_free_outputs_are_made_compositions_by_hand():
    z = jnp.array([[0.5, 0.7, -0.2, 0.0], [-1.0, -0.5, -2.0, -3.0], [0.0, 0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(FreeHead(4).outputs(z), z)
    expected = [[0.5 / 1.2, 0.7 / 1.2, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]
    np.testing.assert_allclose(FreeHead(4).fractions(z), expected, atol=1e-15)


@pytest.mark.parametrize("name", HEADS)
def test_gradients_are_finite_differences(name):
    head = HEADS[name]
    z = jax.random.normal(jax.random.key(4), (1, head.width))
    weights = jnp.array([0.3, -1.0, 0.7, 2.0])
    value = lambda z: jnp.sum(head.outputs(z) @ weights)  # noqa: E731
    step = 1e-6 * np.eye(head.width)[:, None, :]
    numeric = [(value(z + d) - value(z - d)) / 2e-6 for d in step]
    np.testing.assert_allclose(jax.grad(value)(z)[0], numeric, atol=1e-8)


@pytest.mark.parametrize(
    ("first", "ratios"),
    [([], [(1, 2)]), (list(ELEMENTS), [(1, 2)]), (["Fe"], [(1, 2)]), (["Mo"], []), (["Mo"], [(0, 2)])],
)
def test_no_ratio_is_refused(first, ratios):
    with pytest.raises(GenerationError):
        StoichiometryHead.of(ELEMENTS, first, ratios)
