"""The space-time field as unknown ends where the solver does, and the network where its residuals say."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physics.phase_field.evolve import evolve, schedule
from physics.phase_field.grid import Grid
from pinn.phase_field import field, network, solver
from pinn.phase_field.models import AllenCahn, CahnHilliard, Camera
from pinn.phase_field.pose import pose
from pinn.series import ImageSeries

TIMES = np.asarray([0.0, 0.15, 0.4, 0.7, 1.0])
KEY = jax.random.key(0)


def _problem(model, noise=0.02, initial_known=False):
    """Return a posed problem of 16 x 16 pixels, with frames at uneven times, and its rates."""
    draw = np.random.default_rng(3)
    place = np.arange(16) / 16
    waves = np.sin(2 * np.pi * place)[:, None] * np.cos(2 * np.pi * place)[None, :] + 0.4 * np.sin(4 * np.pi * place)
    start = jnp.asarray(0.5 + 0.3 * waves)
    grid = Grid((16, 16))
    gradient, well = (6.0, 4.0) if isinstance(model, AllenCahn) else (40.0, 20.0)
    blank = pose(_series(np.stack([start] * 4) + 0.01 * draw.standard_normal((4, 16, 16)), TIMES[:4]), model, Camera())
    truth = replace(blank.start, log_gradient=jnp.log(gradient), log_well=jnp.log(well), drive=jnp.asarray(0.0))
    frames = evolve(start, blank.equation(truth), grid, schedule(TIMES, 0.01))
    noisy = np.asarray(frames) + noise * draw.standard_normal(frames.shape)
    camera = Camera(gain=1.0, offset=0.0, blur_px=0.0)
    return pose(_series(noisy, TIMES), model, camera, np.asarray(start) if initial_known else None), np.log(
        [gradient, well]
    )


def _series(frames, times):
    return ImageSeries(np.asarray(frames), times)


@pytest.mark.parametrize("initial_known", [False, True])
def test_the_field_ends_where_the_solver_does(initial_known):
    problem, _ = _problem(AllenCahn(), initial_known=initial_known)
    ours, reference = field.maximise(problem, KEY), solver.maximise(problem, KEY)
    assert ours.converged and reference.converged
    # The rates are uncertain by some per cent each: a thousandth is far less.
    np.testing.assert_allclose(problem.vector(ours.unknowns), problem.vector(reference.unknowns), atol=1e-3)
    np.testing.assert_allclose(ours.unknowns.initial, reference.unknowns.initial, atol=1e-3)


@pytest.mark.parametrize("model", [AllenCahn(), CahnHilliard()])
def test_residuals_vanish_on_a_solution(model):
    """A quadratic field in place of a network: derivatives are known by hand."""
    problem, _ = _problem(model)

    def parabola(weights, point):
        time, x, y = point
        c = 0.5 + 0.1 * time + 0.01 * x**2 - 0.02 * y**2
        return jnp.stack([c, 0.3 * x**2 + 0.1 * time])

    scene = network.Scene(problem, parabola)
    unknowns = jnp.concatenate([jnp.log(jnp.asarray([2.0, 3.0])), jnp.zeros(1)])
    point = jnp.asarray([0.3, 2.0, 1.0])
    c = 0.5 + 0.03 + 0.04 - 0.02
    slope, curvature = 2.0 * c * (1.0 - c) * (1.0 - 2.0 * c), 0.02 - 0.04
    begin = problem.start
    if problem.kind == "allen-cahn":
        expected = [(0.1 - 2.0 * curvature + 3.0 * slope)]
    else:
        scale = jnp.exp(2.0 * begin.log_well - begin.log_gradient)
        mu = 0.3 * 4.0 + 0.03
        expected = [0.1 - 3.0 * 0.6, (mu - slope + 2.0 / 3.0 * curvature) * scale]
    found = [equation(unknowns, point) for equation in scene.equations()]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.slow
def test_the_network_finds_rates_and_the_polish_ends_where_the_solver_does():
    problem, _ = _problem(AllenCahn())
    found = network.maximise(problem, KEY)
    reference = solver.maximise(problem, KEY)
    assert found.converged
    np.testing.assert_allclose(problem.vector(found.unknowns), problem.vector(reference.unknowns), atol=1e-3)
