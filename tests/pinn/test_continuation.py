"""The whole recipe on the heat equation, whose diffusivity and solution are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pinn.errors import InferenceError
from pinn.training.continuation import Box, Plan, continued
from pinn.training.envelope import Free
from pinn.training.features import WaveFeatures
from pinn.training.first_order import Schedule
from pinn.training.least_squares import term
from pinn.training.network import perceptron_field
from pinn.training.residuals import first, laplacian

DIFFUSIVITY = 0.03


def _temperature(time, place):
    modes = ((1, 1.0), (2, -0.5))
    waves = [
        height * np.exp(-DIFFUSIVITY * (2.0 * np.pi * order) ** 2 * time) * np.sin(2.0 * np.pi * order * place)
        for order, height in modes
    ]
    return sum(waves)


def _fitted(noise, seed, held=0):
    draw = np.random.default_rng(seed)
    time, place = draw.uniform(size=(2, 400))
    values = _temperature(time, place) + noise * draw.standard_normal(400)
    field, weights = perceptron_field(WaveFeatures(1.0, (1.0,), 2, True), Free(), (12, 12), 1, jax.random.key(seed))

    def value(unknowns, point):
        return field(unknowns[1:], point)[0]

    def residual(unknowns, point):
        def here(point):
            return value(unknowns, point)

        return first(here, point, 0) - jnp.exp(unknowns[0]) * laplacian(here, point)

    data = term(lambda u, d: value(u, d[:2]) - d[2], jnp.asarray(np.column_stack([time, place, values])), 100.0)
    plan = Plan(Schedule(300, 1e-2, 256), (0.03, 0.1, 0.3), 12, 400, held)
    told = []

    def listen(unknowns):
        told.append(float(unknowns[0]))
        return True

    unknowns, curve = continued(
        data,
        [residual],
        Box(jnp.zeros(2), jnp.ones(2)),
        jnp.concatenate([jnp.asarray([np.log(0.2)]), weights]),
        1,
        plan,
        jax.random.key(seed),
        listen,
    )
    assert told[:held] == held * [float(np.log(0.2))]
    assert len(told) == 3 and curve.shape == (300 + 3 * 12,)
    return float(jnp.exp(unknowns[0]))


def test_the_diffusivity_is_found_without_noise():
    assert _fitted(0.0, 0) == pytest.approx(DIFFUSIVITY, rel=1e-3)


def test_the_diffusivity_is_found_within_its_uncertainty():
    # Cramer-Rao at this noise, the initial waves unknown: 1.8 %. Three of them.
    assert _fitted(0.05, 1) == pytest.approx(DIFFUSIVITY, rel=0.053)


def test_rates_stay_while_they_are_held_and_are_found_afterwards():
    assert _fitted(0.0, 0, held=1) == pytest.approx(DIFFUSIVITY, rel=1e-3)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"steps": 1, "rate": 0.0}, {"steps": 1, "batch": 0}])
def test_a_schedule_that_trains_nothing_is_refused(wrong):
    with pytest.raises(InferenceError, match="trains nothing"):
        Schedule(**wrong)
