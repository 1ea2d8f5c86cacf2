"""Stiffness of grains from displacements that another scheme made on a finer grid."""

import dataclasses
from functools import cache

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.inverse.plate_data import fluctuation, make_plate, measured
from physics.elasticity.polycrystal import random_rotations
from physics.elasticity.tensor import planar_rotation, to_voigt
from pinn.errors import DataRefusedError
from pinn.stiffness.data import EdgeForce, Load
from pinn.stiffness.equilibrium import Equilibrium
from pinn.stiffness.fit import fit_stiffness
from pinn.stiffness.model import GrainModel, no_rotations
from pinn.stiffness.pixel_noise import pixel_noise

GRAINS, CELLS = 5, 20


@cache
def _problem():
    generator = np.random.default_rng(0)
    rotations = np.asarray(planar_rotation(jnp.asarray(generator.uniform(0, np.pi / 2, GRAINS))))
    model = GrainModel("cubic", rotations, np.arange(GRAINS))
    # C11 + C12, C11 - C12 and 2 C66 in GPa, each grain its own.
    truth = np.tile(0.5 * np.log([150.0, 60.0, 90.0]), GRAINS) + 0.15 * generator.normal(size=3 * GRAINS)
    stiffness = np.asarray(model.grain_stiffness(jnp.asarray(truth), 2))
    plate = make_plate(CELLS, stiffness, generator)
    return model, truth, plate


@cache
def _fitted(noise, forces, backend="solver"):
    model, _, plate = _problem()
    return fit_stiffness(measured(plate, noise, 0.01, np.random.default_rng(1), forces), model, backend)


def _true_ratios():
    model, truth, plate = _problem()
    voigt = np.asarray(to_voigt(model.phase_stiffness(jnp.asarray(truth))))
    fractions = np.bincount(plate.grain_map.ravel()) / plate.grain_map.size
    mean = np.trace(np.tensordot(fractions, plate.stiffness, 1)) / 3
    return np.array([voigt[:, row, column] for _, row, column in model.crystal.constants]).T.ravel() / mean, mean


def test_ratios_and_scale_come_back_at_five_percent_of_noise():
    estimate = _fitted(0.05, True)
    ratios, mean = _true_ratios()
    assert estimate.trusted, estimate.checks
    errors = np.array([ratio.value for ratio in estimate.ratios]) / ratios - 1
    assert np.sqrt(np.mean(errors**2)) < 0.05
    assert estimate.scale.value == pytest.approx(mean, rel=0.035)
    assert estimate.scale.unit == "GPa" and 0.005 < estimate.scale.sd / estimate.scale.value < 0.015
    assert estimate.ridge == ""
    first = estimate.absolute[0]
    assert first.value == pytest.approx(estimate.ratios[0].value * estimate.scale.value)


def test_without_a_force_there_are_ratios_and_a_ridge_and_no_number_with_a_unit():
    estimate, loaded = _fitted(0.05, False), _fitted(0.05, True)
    assert estimate.scale is None and estimate.absolute == ()
    assert all(ratio.unit == "1" for ratio in estimate.ratios)
    assert "one factor" in estimate.ridge and "force" in estimate.ridge
    assert estimate.spectrum[0] == 0.0 and np.sum(estimate.spectrum == 0.0) == 1
    fractions = np.bincount(_problem()[2].grain_map.ravel()) / CELLS**2
    mean = np.trace(np.tensordot(fractions, estimate.grain_stiffness, 1)) / 3
    assert mean == pytest.approx(1.0)
    # Two forces also say a little of ratios, so they are the same within their errors only.
    for ratio, other in zip(estimate.ratios, loaded.ratios, strict=True):
        assert ratio.value == pytest.approx(other.value, abs=2 * ratio.sd)


def test_displacements_that_come_with_their_own_scale_do_not_change_the_ratios():
    # Twice the displacement is the same material under twice the load: nothing absolute may leak from it.
    model, _, plate = _problem()
    fields = measured(plate, 0.05, 0.01, np.random.default_rng(1), forces=False)
    doubled = tuple(Load(2.0 * load.displacement) for load in fields.loads)
    estimate = fit_stiffness(dataclasses.replace(fields, loads=doubled, noise_sd=2.0 * fields.noise_sd), model)
    np.testing.assert_allclose(
        [ratio.value for ratio in estimate.ratios], [ratio.value for ratio in _fitted(0.05, False).ratios], rtol=1e-4
    )


def test_both_back_ends_find_the_same_maximum():
    solver, field = _fitted(0.05, True), _fitted(0.05, True, "field")
    np.testing.assert_allclose([q.value for q in field.absolute], [q.value for q in solver.absolute], rtol=1e-4)
    np.testing.assert_allclose(field.fitted, solver.fitted, atol=1e-3 * solver.noise_sd)


def test_the_gradient_is_that_of_finite_differences():
    model, truth, plate = _problem()
    problem = Equilibrium(measured(plate, 0.05, 0.01, np.random.default_rng(1)), model, 1e-5, 90.0)
    generator = np.random.default_rng(2)
    place, way = truth - 0.5 * np.log(90.0), generator.normal(size=truth.size)
    ends = [problem.profile(place + step * way).objective for step in (-1e-4, 1e-4)]
    assert problem.profile(place).gradient @ way == pytest.approx((ends[1] - ends[0]) / 2e-4, rel=1e-5)


def test_missing_points_cost_precision_and_nothing_else():
    model, _, plate = _problem()
    fields = measured(plate, 0.05, 0.01, np.random.default_rng(1))
    generator = np.random.default_rng(5)
    holes = tuple(
        Load(
            np.where(generator.uniform(size=load.displacement.shape[1:]) < 0.3, np.nan, load.displacement), load.forces
        )
        for load in fields.loads
    )
    estimate, ratios = fit_stiffness(dataclasses.replace(fields, loads=tuple(holes)), model), _true_ratios()[0]
    errors = np.array([ratio.value for ratio in estimate.ratios]) / ratios - 1
    assert np.sqrt(np.mean(errors**2)) < 0.05
    assert np.all(np.isfinite(estimate.fitted))
    assert sum(q.sd for q in estimate.ratios) > sum(q.sd for q in _fitted(0.05, True).ratios)


def test_a_shifted_grain_map_and_a_wrong_symmetry_fail_the_misfit():
    model, _, plate = _problem()
    fields = measured(plate, 0.05, 0.01, np.random.default_rng(1))
    shifted = dataclasses.replace(fields, grain_map=np.roll(fields.grain_map, 2, axis=0))
    isotropic = dataclasses.replace(model, symmetry="isotropic")
    for estimate in (fit_stiffness(shifted, model), fit_stiffness(fields, isotropic)):
        assert "misfit" in [check.name for check in estimate.checks if not check.passed]


def test_the_noise_is_found_where_it_is_not_told():
    model, _, plate = _problem()
    told = measured(plate, 0.1, 0.01, np.random.default_rng(1))
    assert pixel_noise(told) == pytest.approx(told.noise_sd, rel=0.15)
    estimate = fit_stiffness(dataclasses.replace(told, noise_sd=None), model)
    assert estimate.noise_sd == pytest.approx(told.noise_sd, rel=0.2)
    assert fluctuation(plate) > 5 * estimate.noise_sd


def test_what_a_section_cannot_tell_is_named_and_left_out():
    # Hexagonal crystals all seen along c: plane strain knows neither C13, C33 nor C44.
    _, _, plate = _problem()
    fields = measured(plate, 0.05, 0.01, np.random.default_rng(1))
    model = GrainModel("hexagonal", no_rotations(GRAINS, 3), np.zeros(GRAINS, dtype=int))
    estimate = fit_stiffness(fields, model)
    assert {ratio.symbol for ratio in estimate.ratios} == {"C11 of phase 0", "C12 of phase 0"}
    for symbol in ("C13", "C33", "C44"):
        assert symbol in estimate.ridge and all(symbol not in found.symbol for found in estimate.absolute)


def test_few_loads_are_told_from_three_of_different_kinds():
    model, _, plate = _problem()
    fields = measured(plate, 0.05, 0.01, np.random.default_rng(1))
    alone = fit_stiffness(dataclasses.replace(fields, loads=fields.loads[:1]), model)
    assert "1 differ in kind: its 3 mean strains need 3" in alone.effective.source
    assert "3 differ in kind: they would" in _fitted(0.05, True).effective.source


def test_grains_and_crystals_that_do_not_belong_together_are_refused():
    model, _, plate = _problem()
    fields = measured(plate, 0.05, 0.01, np.random.default_rng(1))
    fewer = GrainModel("cubic", no_rotations(GRAINS - 1, 2), np.zeros(GRAINS - 1, dtype=int))
    with pytest.raises(DataRefusedError, match="4 grains, but the grain map has 5"):
        fit_stiffness(fields, fewer)
    with pytest.raises(DataRefusedError, match="rotations: at least one"):
        GrainModel("cubic", 2 * random_rotations(GRAINS, np.random.default_rng(0)), np.arange(GRAINS))
    with pytest.raises(DataRefusedError, match="from 0 without gaps"):
        dataclasses.replace(model, phases=np.arange(GRAINS) + 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: {"grain_map": f.grain_map[:-1]}, "one more point than cells"),
        (lambda f: {"grain_map": f.grain_map * 2}, "without gaps"),
        (lambda f: {"grain_map": f.grain_map.astype(float)}, "whole numbers"),
        (lambda f: {"loads": ()}, "at least one"),
        (lambda f: {"loads": (Load(np.moveaxis(f.loads[0].displacement, 0, -1)),)}, r"moveaxis\(u, -1, 0\)"),
        (lambda f: {"loads": (Load(np.full_like(f.loads[0].displacement, np.nan)),)}, "at least 20 %"),
        (lambda f: {"loads": (Load(f.loads[0].displacement * np.inf),)}, "finite numbers"),
        (lambda f: {"loads": (Load(np.zeros_like(f.loads[0].displacement)),)}, "does not deform"),
        (lambda f: {"loads": (Load(f.loads[0].displacement * 1e3),)}, "different units"),
        (lambda f: {"loads": (dataclasses.replace(f.loads[0], forces=(EdgeForce(2, True, 0, 1.0, 1.0),)),)}, "below 2"),
        (
            lambda f: {"loads": (dataclasses.replace(f.loads[0], forces=(EdgeForce(0, True, 0, np.nan, 1.0),)),)},
            "finite, and the error above zero",
        ),
        (lambda f: {"spacing": 0.0}, "above zero"),
        (lambda f: {"calibration": 1.5}, "relative error"),
    ],
)
def test_fields_that_cannot_be_are_refused_with_the_remedy(change, message):
    fields = measured(_problem()[2], 0.05, 0.01, np.random.default_rng(1))
    with pytest.raises(DataRefusedError, match=message):
        dataclasses.replace(fields, **change(fields))


def test_cells_along_boundaries_widen_the_intervals_as_much_as_they_mislead():
    # Without noise, only the staircases of the grain map are left, and white residuals would know nothing of them.
    model, _, plate = _problem()
    estimate = fit_stiffness(measured(plate, 0.001, 0.01, np.random.default_rng(1)), model)
    ratios, _ = _true_ratios()
    values, sds = np.array([(ratio.value, ratio.sd) for ratio in estimate.ratios]).T
    assert 0.4 < np.sqrt(np.mean(((values - ratios) / sds) ** 2)) < 1.6
