"""Twenty grains of a plate, each with constants of its own: error of the stiffness and time, over seeds and noise."""

import time
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from benchmarks.inverse.apart import clock_options, run_apart
from benchmarks.inverse.pareto import Course, rms, time_ratio
from benchmarks.inverse.peers import need_deepxde
from benchmarks.inverse.plate_data import Plate, make_plate, measured
from physics.elasticity.tensor import planar_rotation, to_voigt
from pinn.stiffness.estimate import StiffnessEstimate
from pinn.stiffness.fit import Backend, fit_stiffness
from pinn.stiffness.model import GrainModel

GRAINS, CELLS, SEEDS = 20, 64, 10
NOISES = (0.0, 0.01, 0.05, 0.1)
LOAD_ERROR = 0.01
# Of the training by DeepXDE: noise, plates and processor time.
PEER_NOISE, PEER_SEEDS, CAP_S = 0.05, 2, 900.0
# C11 + C12, C11 - C12 and 2 C66 in GPa, and the spread of their logarithms from grain to grain.
MEAN_GPA, SPREAD = (150.0, 60.0, 90.0), 0.3


@dataclass(frozen=True)
class Case:
    """A plate, what is known of its grains, and the truth.

    Attributes:
        plate: with displacements and forces.
        model: cubic grains of known orientation, each a phase.
        ratios: true constants over the mean stiffness, in the order of the estimate's.
        mean_gpa: true mean stiffness.
    """

    plate: Plate
    model: GrainModel
    ratios: np.ndarray
    mean_gpa: float


def case(seed: int, grains: int = GRAINS, cells: int = CELLS) -> Case:
    """Return the plate of a seed."""
    generator = np.random.default_rng(seed)
    angles = jnp.asarray(generator.uniform(0.0, np.pi / 2, grains))
    model = GrainModel("cubic", np.asarray(planar_rotation(angles)), np.arange(grains))
    truth = jnp.asarray(0.5 * (np.tile(np.log(MEAN_GPA), grains) + SPREAD * generator.normal(size=3 * grains)))
    stiffness = np.asarray(model.grain_stiffness(truth, 2))
    plate = make_plate(cells, stiffness, generator)
    fractions = np.bincount(plate.grain_map.ravel(), minlength=grains) / plate.grain_map.size
    mean = float(np.trace(np.tensordot(fractions, stiffness, 1)) / 3)
    return Case(plate, model, constants(model, np.asarray(truth)) / mean, mean)


def small_case(seed: int) -> Case:
    """Return the plate of the short form."""
    return case(seed, 8, 24)


def constants(model: GrainModel, parameters: Float[np.ndarray, " p"]) -> Float[np.ndarray, " q"]:
    """Return the constants of all phases, phase by phase."""
    voigt = np.asarray(to_voigt(model.phase_stiffness(jnp.asarray(parameters))))
    return np.stack([voigt[:, row, column] for _, row, column in model.crystal.constants], axis=1).ravel()


def measure_plate(smoke: bool) -> dict[str, Any]:
    """Return errors of ratios and scale, coverage of the intervals, times, and the ratios to DeepXDE.

    Errors are root mean squares over seeds, grains and constants, as fractions of the truth.

    Raises:
        UnavailableError: DeepXDE is not installed.
    """
    need_deepxde()
    seeds = range(2 if smoke else SEEDS)
    cases = [small_case(seed) if smoke else case(seed) for seed in seeds]
    figures: dict[str, Any] = {"plate_seeds": len(cases), "plate_load_error": LOAD_ERROR}
    outcomes = {
        noise: [run(one, noise, seed, "solver") for seed, one in zip(seeds, cases, strict=True)]
        for noise in ((PEER_NOISE,) if smoke else NOISES)
    }
    for noise, found in outcomes.items():
        figures |= stiffness_figures(noise, found)
    networks = [run(cases[seed], PEER_NOISE, seed, "pinn") for seed in range(1 if smoke else PEER_SEEDS)]
    figures |= {f"{name}_pinn": value for name, value in stiffness_figures(PEER_NOISE, networks).items()}
    peers = [_deepxde(seed, smoke) for seed in range(1 if smoke else PEER_SEEDS)]
    return figures | _peer_figures(peers, outcomes[PEER_NOISE])


def run(one: Case, noise: float, seed: int, backend: Backend) -> "Outcome":
    """Return what one fit makes of a plate."""
    fields = measured(one.plate, noise, LOAD_ERROR, np.random.default_rng([seed, round(1000 * noise)]))
    clock = time.perf_counter if clock_options() else time.process_time
    began = clock()
    estimate = fit_stiffness(fields, one.model, backend)
    return _outcome(one, estimate, clock() - began)


def _deepxde(seed: int, smoke: bool) -> Course:
    """Return the course of one training in its own process, on one thread as ours."""
    cap_s = 20.0 if smoke else CAP_S
    small = ["--smoke"] if smoke else []
    seconds, errors = np.array(run_apart("benchmarks.inverse.plate_deepxde", seed, cap_s, *clock_options(), *small)).T
    return Course(seconds, errors[:, None])


def _peer_figures(peers: list[Course], outcomes: list["Outcome"]) -> dict[str, Any]:
    ours = [
        Course(np.array([one.seconds]), np.sqrt(np.mean(one.errors**2))[None, None]) for one in outcomes[: len(peers)]
    ]
    return {
        "plate_course_deepxde": [course.thinned() for course in peers],
        "plate_course_solver": [course.thinned() for course in ours],
        "plate_error_deepxde": round(_at_end(peers), 5),
        "ratio_deepxde_plate_time": time_ratio(peers, ours),
        # In favour of the peer, which has all of its time where ours needs seconds.
        "ratio_deepxde_plate_error": _at_end(peers) / _at_end(ours),
    }


@dataclass(frozen=True)
class Outcome:
    """How far one fit is from the truth, in fractions and in its own standard deviations, and how long it took."""

    errors: np.ndarray
    deviations: np.ndarray
    scale_error: float
    scale_deviation: float
    trusted: bool
    wall_s: float
    seconds: float


def _at_end(courses: list[Course]) -> float:
    return float(rms([course.errors[-1] for course in courses])[0])


def _outcome(one: Case, estimate: StiffnessEstimate, seconds: float) -> Outcome:
    values = np.array([ratio.value for ratio in estimate.ratios])
    sds = np.array([ratio.sd for ratio in estimate.ratios])
    assert estimate.scale is not None
    scale_error = estimate.scale.value / one.mean_gpa - 1
    return Outcome(
        values / one.ratios - 1,
        (values - one.ratios) / sds,
        scale_error,
        scale_error * estimate.scale.value / estimate.scale.sd,
        estimate.trusted,
        estimate.seconds,
        seconds,
    )


def stiffness_figures(noise: float, outcomes: list[Outcome]) -> dict[str, Any]:
    """Return the figures of one noise."""
    name = f"{round(100 * noise)}pct"
    errors = np.array([outcome.errors for outcome in outcomes])
    deviations = np.array([outcome.deviations for outcome in outcomes])
    scales = np.array([outcome.scale_error for outcome in outcomes])
    in_sds = np.array([outcome.scale_deviation for outcome in outcomes])
    return {
        f"stiffness_ratio_error_{name}": round(float(np.sqrt(np.mean(errors**2))), 5),
        f"stiffness_ratio_error_worst_seed_{name}": round(float(np.max(np.sqrt(np.mean(errors**2, axis=1)))), 5),
        f"stiffness_scale_error_{name}": round(float(np.sqrt(np.mean(scales**2))), 5),
        f"stiffness_coverage95_{name}": round(float(np.mean(np.abs(deviations) < 1.96)), 4),
        f"stiffness_scale_deviation_{name}": round(float(np.sqrt(np.mean(in_sds**2))), 3),
        f"stiffness_trusted_{name}": sum(outcome.trusted for outcome in outcomes),
        f"wall_s_plate_{name}": round(float(np.median([outcome.wall_s for outcome in outcomes])), 2),
        f"seconds_plate_{name}": round(float(np.median([outcome.seconds for outcome in outcomes])), 2),
    }
