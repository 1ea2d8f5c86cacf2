"""Errors of the rates against the noise, coverage of the intervals, and the distance to the Cramer-Rao bound.

Ten patterns of 64 x 64 pixels and 20 frames from an independent scheme on a finer grid (`truth`), 0, 1, 5 and 10 % of
the contrast as noise, the camera known, the start known or inferred; by the solver and by the network with its polish.
``python -m benchmarks.inverse.accuracy BACKEND NOISE FIRST LAST`` prints errors, deviations and seconds of patterns,
and of the network the errors that it had before the polish.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass
from importlib import import_module

import jax
import numpy as np

from benchmarks.inverse.truth import Truth, morphology
from pinn.amounts import Measured
from pinn.phase_field.fit import BACKENDS, fit
from pinn.phase_field.laplace import information
from pinn.phase_field.models import AllenCahn, Camera
from pinn.phase_field.pose import pose
from pinn.phase_field.problem import Unknowns
from pinn.phase_field.quantities import NORMAL_95

NOISES = (0.0, 0.01, 0.05, 0.1)
SEEDS, REPEATS = 10, 10  # patterns, and draws of the noise for each in the coverage
CAMERA = Camera(gain=1.0, offset=0.0, blur_px=0.0)
FORCE = 1e6  # J/m^3; any number: it scales M, kappa and W


def measure_accuracy(smoke: bool) -> dict[str, object]:
    """Return the figures of the solver and, but for the short form, of the network."""
    truths = [morphology(seed) for seed in range(1 if smoke else SEEDS)]
    noises = (0.05,) if smoke else NOISES
    figures = errors(truths, noises, inferred=False) | errors(truths, noises, inferred=True)
    if not smoke:
        # A pattern takes the network minutes of a processor, and one of an accelerator.
        few = truths[:1] if jax.default_backend() == "cpu" else truths
        figures |= errors(few, noises, True, "pinn")
    figures["coverage95"], figures["coverage95_intervals"] = coverage(truths, 1 if smoke else REPEATS)
    driven = [morphology(seed, drive_over_well=0.05) for seed in range(1 if smoke else SEEDS)]
    return figures | separated(driven)


def errors(
    truths: list[Truth], noises: tuple[float, ...], inferred: bool, backend: str = "solver"
) -> dict[str, object]:
    """Return root mean square errors of M kappa and M W in per cent over the patterns, and wall times.

    Args:
        truths: patterns.
        noises: standard deviations over the contrast.
        inferred: whether the start is inferred; the JSON names without ending are those with the start inferred, which
            asks for less.
        backend: of `fit`.
    """
    ending = "" if inferred else "_known_start"
    figures: dict[str, object] = {}
    walls = []
    for noise in noises:
        fits = [fitted(truth, noise, 1000 + seed, inferred, backend) for seed, truth in enumerate(truths)]
        walls.extend(one.seconds for one in fits)
        per_cent = round(100 * noise)
        figures |= _error_figures(f"{per_cent}pct_{backend}{ending}", [one.off for one in fits])
        if backend == "pinn":
            figures |= _error_figures(f"{per_cent}pct_network_alone", [one.alone for one in fits])
    name = f"wall_s_{backend}_{'unknown' if inferred else 'known'}"
    # The median leaves out fits that had to be compiled first; the largest does not.
    return figures | {name: round(float(np.median(walls)), 2), f"{name}_with_compilation": round(max(walls), 2)}


def _error_figures(name: str, off: list[list[float]]) -> dict[str, object]:
    rms = 100 * np.sqrt(np.mean(np.square(off), axis=0))
    return {f"{rate}_error_{name}": round(float(value), 4) for rate, value in zip(("mk", "mw"), rms, strict=True)}


@dataclass(frozen=True)
class Fitted:
    """Errors of ln a and ln b, their standard deviations, the errors before the polish, seconds to the maximum."""

    off: list[float]
    sd: list[float]
    alone: list[float]
    seconds: float


def fitted(truth: Truth, noise: float, seed: int, inferred: bool, backend: str = "solver") -> Fitted:
    """Return what a back end finds in images of a pattern; only the network tells what it had before the polish."""
    series = truth.series(noise, seed)
    started = time.perf_counter()
    problem = pose(series, AllenCahn(), CAMERA, None if inferred else truth.frames[0])
    rounds: list[Unknowns] = []

    def listen(unknowns: Unknowns) -> bool:
        rounds.append(unknowns)
        return True

    told = {"listen": listen} if backend == "pinn" else {}
    maximum = import_module(BACKENDS[backend]).maximise(problem, jax.random.key(seed), **told)
    seconds = time.perf_counter() - started
    duration = truth.times[-1] - truth.times[0]
    rates = np.log([truth.gradient * duration, truth.well * duration])

    def off(unknowns: Unknowns) -> list[float]:
        return (np.asarray(problem.vector(unknowns))[:2] - rates).tolist()

    covariance = np.linalg.inv(information(problem, maximum.unknowns, jax.random.key(seed)).scalars)
    alone = off(rounds[-1]) if rounds else []
    return Fitted(off(maximum.unknowns), np.sqrt(np.diag(covariance)).tolist(), alone, seconds)


def coverage(truths: list[Truth], repeats: int) -> tuple[float, int]:
    """Return the share of 95 % intervals of both rates that hold the truth at 1, 5 and 10 % noise, and their number."""
    inside = []
    for noise in NOISES[1:]:
        for number, truth in enumerate(truths):
            for repeat in range(repeats):
                one = fitted(truth, noise, 7919 * (number + 1) + repeat, inferred=False)
                inside.extend(np.abs(one.off) < NORMAL_95 * np.asarray(one.sd))
    return round(float(np.mean(inside)), 4), len(inside)


def separated(truths: list[Truth]) -> dict[str, object]:
    """Return the errors of M, kappa and W with a known driving force over their Cramer-Rao bound, at 5 % noise."""
    model = AllenCahn(driving_force=Measured(FORCE, 0.0, "J/m^3"))
    ratios, wanted = [], {}
    for seed, truth in enumerate(truths):
        series = truth.series(0.05, 5000 + seed)
        physical = type(series)(series.frames, series.times, 1.0, "um", "s")
        mobility = truth.drive / FORCE
        wanted = {"M": mobility, "kappa": truth.gradient * 1e-12 / mobility, "W": truth.well / mobility}
        estimate = fit(physical, model, CAMERA, truth.frames[0])
        found = {quantity.symbol: quantity for quantity in estimate.separate}
        ratios.append([(found[name].value - value) / found[name].sd for name, value in wanted.items()])
    rms = np.sqrt(np.mean(np.square(ratios), axis=0))
    figures = {f"over_cramer_rao_{name}": round(float(value), 3) for name, value in zip(wanted, rms, strict=True)}
    return {"over_cramer_rao": round(float(np.sqrt(np.mean(rms**2))), 3), **figures}


if __name__ == "__main__":
    name, share, first, last = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    for pattern in range(first, last):
        found = fitted(morphology(pattern), share, 1000 + pattern, inferred=True, backend=name)
        print(json.dumps({"pattern": pattern, **asdict(found)}), flush=True)
