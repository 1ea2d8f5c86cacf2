"""Our CHGNet: single points from ASE's structures to answers, on the device alone, and relaxations an hour."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.screening.tasks import SETS, Counts, suffix
from benchmarks.timing import seconds_of, timed
from physics.mlip.chgnet_potential import ChgnetPotential
from physics.mlip.packing import Stack, pack
from physics.mlip.potential import Outcome, Prediction, Refusal, Relaxation, RelaxationSettings
from physics.mlip.reading import read_structures
from physics.mlip.single_points import STACKS, predict_stack
from physics.mlip.sizes import measure

if TYPE_CHECKING:
    from ase import Atoms

SETTINGS = RelaxationSettings(fmax_ev_per_a=0.05, max_steps=500, moves_cell=True)
# Compiles what a relaxation needs, as long as no structure outgrows the room that is made for it.
ONE_STEP = RelaxationSettings(fmax_ev_per_a=0.05, max_steps=1, moves_cell=True)
REPEATS = 3


@dataclass(frozen=True)
class Relaxed:
    """Relaxations of one set.

    Attributes:
        results: in the order of the structures.
        seconds: of all, compilation left out.
        compiling: seconds that were spent on compilation meanwhile, for structures that outgrew their room.
    """

    results: list[Relaxation | Refusal]
    seconds: float
    compiling: float

    @property
    def ends(self) -> list[Relaxation]:
        """Return those that were not refused."""
        return [result for result in self.results if isinstance(result, Relaxation)]

    @property
    def seconds_each(self) -> float:
        """Return the time of one."""
        return self.seconds / max(len(self.ends), 1)

    @property
    def mean_steps(self) -> float:
        """Return the evaluations of forces of one."""
        return float(np.mean([end.steps for end in self.ends] or [0]))


def measure_single_points(
    potential: ChgnetPotential, counts: Counts
) -> tuple[dict[str, Any], dict[str, list[Prediction | Refusal]]]:
    """Return the time of a single point of both sets, and the answers."""
    figures, answers = {}, {}
    for name, count in zip(SETS, counts.points, strict=True):
        structures = counts.draw(name, count)
        first, answers[name] = timed(lambda atoms=structures: potential.predict(atoms))
        again = seconds_of(lambda atoms=structures: potential.predict(atoms), REPEATS)
        refused = sum(isinstance(answer, Refusal) for answer in answers[name])
        figures |= single_point_figures(name, count - refused, first, again, _device_seconds(potential, structures))
    config: Any = jax.config
    if config.jax_compilation_cache_dir:  # what was compiled in another run took no time in this one
        figures = {name: value for name, value in figures.items() if not name.startswith("compile_s")}
    return figures, answers


def single_point_figures(name: str, count: int, first: float, again: float, device: float) -> dict[str, Any]:
    """Name the times of a set; those of the perovskites have no suffix."""
    end = suffix(name)
    return {
        f"ms_per_single_point{end}": 1e3 * again / count,
        f"ms_per_single_point_device{end}": 1e3 * device / count,
        f"single_points{end}": count,
        f"compile_s{end}": first - again,
    }


def measure_relaxations(potential: ChgnetPotential, counts: Counts) -> dict[str, Relaxed]:
    """Relax both sets."""
    return {
        name: relax_timed(potential, counts.draw(name, count)) for name, count in zip(SETS, counts.relaxed, strict=True)
    }


def relax_timed(potential: ChgnetPotential, structures: "Sequence[Atoms]") -> Relaxed:
    """Relax structures after a run of one step, which compiles."""
    potential.relax(structures, ONE_STEP)
    with compilation() as intervals:
        seconds, results = timed(lambda: potential.relax(structures, SETTINGS))
    spent = covered(intervals)
    return Relaxed(results, seconds - spent, spent)


@contextmanager
def compilation() -> Iterator[list[tuple[float, float]]]:
    """Collect beginning and end of each compilation by XLA."""
    intervals: list[tuple[float, float]] = []

    def add(event: str, duration_secs: float, **_: Any) -> None:
        now = time.perf_counter()
        intervals.extend([(now - duration_secs, now)] if event == "/jax/core/compile/backend_compile_duration" else [])

    jax.monitoring.register_event_duration_secs_listener(add)
    try:
        yield intervals
    finally:
        jax.monitoring.unregister_event_duration_listener(add)


def covered(intervals: Sequence[tuple[float, float]]) -> float:
    """Return the time that intervals cover; several devices compile at once."""
    total, until = 0.0, -np.inf
    for begin, end in sorted(intervals):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total


def relaxation_figures(name: str, relaxed: Relaxed) -> dict[str, Any]:
    """Name the figures of a set; those of the perovskites have no suffix."""
    end, outcomes = suffix(name), Counter(result.outcome for result in relaxed.ends)
    steps = sum(result.steps for result in relaxed.ends)
    return {
        f"relaxations_per_hour{end}": round(3600 / relaxed.seconds_each),
        f"relax_outcomes{end}": {outcome.value: outcomes[outcome] for outcome in Outcome if outcomes[outcome]},
        f"relax_mean_steps{end}": round(relaxed.mean_steps, 1),
        f"ms_per_structure_step{end}": 1e3 * relaxed.seconds / max(steps, 1),
        f"relax_compiling_s{end}": round(relaxed.compiling, 2),
    }


def packed(potential: ChgnetPotential, structures: "Sequence[Atoms]") -> list[Stack]:
    """Return structures as a prediction packs them for this device."""
    weights = potential.weights
    good, _, _ = read_structures(structures)
    budget, depth = STACKS.get(jax.default_backend(), STACKS["gpu"])
    sizes = measure(good, weights.atom_cutoff_a, weights.bond_cutoff_a)
    return list(pack(good, sizes, weights.atom_cutoff_a, budget, depth, []))


def _device_seconds(potential: ChgnetPotential, structures: "Sequence[Atoms]") -> float:
    """Return the time until the stacks that one device holds already are answered."""
    stacks = packed(potential, structures)
    ready = [(jax.device_put(stack.crystals), jnp.int32(len(stack.members)), stack.capacities) for stack in stacks]

    def answer() -> None:
        jax.block_until_ready([predict_stack(potential.weights, *stack) for stack in ready])

    answer()
    return seconds_of(answer, REPEATS)
