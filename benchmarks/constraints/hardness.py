"""Hardness of Ni-Co-Cr and Al-Co-Cr-Fe-Ni alloys: a box normalised by hand beside the simplex.

Ni-Co-Cr: the hidden surface is solid-solution strengthening anchored to measured hardness
(`physics.experiment.solid_solution`), measured with 3 HV of noise (a mean of five indents, 7 HV each). `nicocr_` looks
at all compositions, `nicocr_bounded_` at 5 at.% or more of each element and at most 40 % Cr, beyond which Ni-Co-Cr does
not stay fcc. Al-Co-Cr-Fe-Ni: `alcocrfeni_emulated_` on an emulator of the measured alloys within the bounds of
high-entropy alloys, `alcocrfeni_replay_` on the measured compositions themselves, filtered by those bounds or not.

Figures: `_invalid_` is the share of recipes that do not sum to one within .1 %; `_off_bounds_` that of alloys which,
once normalised, break an element bound; `_regret_` the mean distance in HV between the best alloy there is and the one
that would be named, over the curve and the seeds; `_regret_ratio` the simplex's over the box's, below one where the
simplex is better, with the paired bootstrap interval over seeds; `_worst_step_` the largest ratio of any step of the
curve. `box` is told its own recipes, `corrected` the normalised ones. As long as no alloy within bounds was made, the
regret is that of the worst alloy. `_last_` is the end of the curve; a few campaigns that missed the optimum make most
of its mean.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.constraints import measured_alloys
from benchmarks.constraints.design_spaces import WEIGHING, DesignSpace, Problem, Run, campaigns
from benchmarks.decisions.curves import ratio_interval
from benchmarks.decisions.tasks import DataMissingError
from mfal.acquisition.optimise import maximise
from mfal.types import Array, Float
from physics.experiment.solid_solution import Elements, hardness

NICOCR = ("Ni", "Co", "Cr")
NOISE_HV = 3.0
# Known beforehand of such alloys.
TYPICAL_HV, SPREAD_HV = 200.0, 20.0
BOUNDED = np.array([0.05, 0.05, 0.05]), np.array([0.9, 0.9, 0.4])
SEEDS = 100
# Regret below this is none that anybody could measure.
RESOLVED_HV = 1e-3
# Random alloys first, and alloys in all.
TERNARY, QUINARY, REPLAY = (5, 30), (8, 32), (3, 12)


def measure_hardness(smoke: bool) -> dict[str, object]:
    """Return the figures; without the measured table those of Al-Co-Cr-Fe-Ni are absent and why is said."""
    keys = jax.random.split(jax.random.key(0), 6 if smoke else SEEDS)
    figures: dict[str, object] = {"nicocr_seeds": len(keys)}
    figures |= _spaces("nicocr", nicocr(np.zeros(3), np.ones(3)), *TERNARY, keys)
    figures |= _spaces("nicocr_bounded", nicocr(*BOUNDED), *TERNARY, keys)
    try:
        alloys = measured_alloys.measured_alloys()
    except DataMissingError as missing:
        return figures | {"alcocrfeni": str(missing)}
    return figures | _replayed(alloys, keys) | _emulated(alloys, keys)


def nicocr(lower: np.ndarray, upper: np.ndarray) -> Problem:
    """Return the search for the hardest Ni-Co-Cr alloy between element bounds."""
    truth = Hidden(Elements.of(NICOCR))
    return Problem(truth, NOISE_HV, jnp.asarray(lower), jnp.asarray(upper), TYPICAL_HV, SPREAD_HV)


class Hidden(eqx.Module):
    """Hardness by solid-solution strengthening: a module, so that all problems share what is compiled.

    Attributes:
        elements: of the alloys.
    """

    elements: Elements

    def __call__(self, alloy: Float[Array, " d"]) -> Float[Array, ""]:
        """Return HV."""
        return hardness(alloy, self.elements)


def regrets(run: Run, problem: Problem) -> np.ndarray:
    """Return the regret of the named alloy after each measurement behind the random ones, (campaigns, steps)."""
    space = DesignSpace.simplex(np.asarray(problem.lower), np.asarray(problem.upper))
    best, worst = map(float, _ends(space, problem))
    named = np.where(np.isnan(run.announced), worst, run.announced)
    # The optimum is found by ascents too, from other starts.
    return np.maximum(best - named, 0.0)


@eqx.filter_jit
def _ends(space: DesignSpace, problem: Problem) -> tuple[Array, Array]:
    """Return the greatest and the least value of the property within the bounds."""
    key = jax.random.key(0)
    least = maximise(lambda x: -problem.truth(x), space.recipes, key)[1]
    return maximise(problem.truth, space.recipes, key)[1], -least


def _spaces(name: str, problem: Problem, initial: int, measurements: int, keys: jax.Array) -> dict[str, object]:
    """Return the figures of all arms on one problem."""
    lower, upper = np.asarray(problem.lower), np.asarray(problem.upper)
    spaces = {
        "simplex": DesignSpace.simplex(lower, upper),
        "box": DesignSpace.box(lower, upper, corrected=False),
        "corrected": DesignSpace.box(lower, upper, corrected=True),
    }
    runs = {arm: campaigns(space, problem, initial, measurements, keys) for arm, space in spaces.items()}
    regret = {arm: regrets(run, problem) for arm, run in runs.items()}
    figures: dict[str, object] = {}
    for arm, run in runs.items():
        figures |= {f"{name}_{key}_{arm}": value for key, value in _counted(run, problem).items()}
        figures[f"{name}_regret_{arm}"] = round(float(regret[arm].mean()), 3)
        figures[f"{name}_last_regret_{arm}"] = round(float(regret[arm][:, -1].mean()), 3)
        figures[f"{name}_last_median_regret_{arm}"] = round(float(np.median(regret[arm][:, -1])), 3)
    figures |= _ratios(f"{name}_regret_ratio", regret["simplex"], regret["box"])
    return figures | _ratios(f"{name}_regret_ratio_corrected", regret["simplex"], regret["corrected"])


def _counted(run: Run, problem: Problem) -> dict[str, object]:
    off = np.abs(np.asarray(run.recipes).sum(axis=2) - 1.0)
    kept = np.asarray(jax.vmap(problem.wanted)(run.alloys))
    return {
        "recipes": off.size,
        "invalid": float((off > WEIGHING).mean()),
        "worst_sum": float(off.max()),
        "off_bounds": float(1.0 - kept.mean()),
    }


def _ratios(name: str, ours: np.ndarray, theirs: np.ndarray) -> dict[str, object]:
    """Return the ratio of mean regrets over the curve, and the largest one of its steps, with their intervals."""
    # A smoke run has so few campaigns that all drawn of a step may have found the optimum: no ratio has a zero below.
    ours, theirs = np.maximum(ours, RESOLVED_HV), np.maximum(theirs, RESOLVED_HV)
    whole = ratio_interval(ours.mean(axis=1), theirs.mean(axis=1))
    steps = [ratio_interval(ours[:, step], theirs[:, step], draws=2000) for step in range(ours.shape[1])]
    worst = max(steps, key=lambda step: step.ratio)
    return {
        **whole.figures(name),
        f"{name}_worst_step": round(worst.ratio, 3),
        f"{name}_worst_step_high": round(worst.high, 3),
    }


def _replayed(alloys: measured_alloys.MeasuredAlloys, keys: jax.Array) -> dict[str, object]:
    """Return the figures of the measured compositions, filtered by the bounds and not."""
    values = alloys.typical_hv[alloys.wanted]
    figures: dict[str, object] = {
        "alcocrfeni_compositions": len(alloys.fractions),
        "alcocrfeni_records": len(alloys.record),
        "alcocrfeni_compositions_within_bounds": int(alloys.wanted.sum()),
    }
    regret = {}
    for arm, filtered in (("filtered", True), ("unfiltered", False)):
        run = measured_alloys.replay(alloys, filtered, *REPLAY, keys)
        asked, named = np.asarray(run.asked)[:, REPLAY[0] :], np.asarray(run.announced)
        regret[arm] = values.max() - np.where(np.isnan(named), values.min(), named)
        figures[f"alcocrfeni_replay_off_bounds_{arm}"] = float((~alloys.wanted[asked]).mean())
        figures[f"alcocrfeni_replay_regret_{arm}"] = round(float(regret[arm].mean()), 2)
    return figures | _ratios("alcocrfeni_replay_regret_ratio", regret["filtered"], regret["unfiltered"])


def _emulated(alloys: measured_alloys.MeasuredAlloys, keys: jax.Array) -> dict[str, object]:
    """Return the figures of the emulator."""
    process = measured_alloys.emulator(alloys)
    noise = float(np.exp(process.log_noise))
    size = len(measured_alloys.ELEMENTS)
    bounds = jnp.full(size, measured_alloys.LEAST), jnp.full(size, measured_alloys.MOST)
    known = measured_alloys.TYPICAL_HV, measured_alloys.SPREAD_HV
    problem = Problem(measured_alloys.Emulated.by(process, alloys), noise, *bounds, *known)
    quality = {
        "alcocrfeni_emulator_noise_hv": round(noise, 1),
        "alcocrfeni_emulator_left_out_mae_hv": round(measured_alloys.left_out_error(alloys, process), 1),
    }
    return quality | _spaces("alcocrfeni_emulated", problem, *QUINARY, keys)
