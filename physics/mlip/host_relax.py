"""Batched FIRE around any potential that answers on the host: MACE in torch, or an ASE calculator."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from physics.mlip import fire
from physics.mlip.cell_coordinates import forces_on_coordinates
from physics.mlip.chgnet import GPA_PER_EV_A3
from physics.mlip.compiling import compiled
from physics.mlip.fleet import MAX_VOLUME_RATIO, atom_counts
from physics.mlip.potential import Outcome, Prediction, Refusal, Relaxation, RelaxationSettings

if TYPE_CHECKING:
    from ase import Atoms

Predict = Callable[[Sequence["Atoms"]], list[Prediction | Refusal]]


def relax_on_host(
    predict: Predict, structures: Sequence["Atoms"], settings: RelaxationSettings, watch: Callable[[int], None]
) -> list[Relaxation | Refusal]:
    """Relax structures together; each evaluation asks for all that have not ended.

    Args:
        predict: answers many structures at once.
        structures: starts, not modified.
        settings: when a relaxation ends.
        watch: is told how many have ended.
    """
    now = [_copy(atoms) for atoms in structures]
    last: dict[int, Prediction] = {}
    ended: dict[int, Relaxation | Refusal] = {}
    velocities, pace, owner = _at_rest(structures)
    strain = np.zeros((len(pace.time_step), 3, 3), np.float32)
    for steps in range(1, settings.max_steps + 1):
        running = [place for place in range(len(now)) if place not in ended]
        if not running:
            break
        answers = dict(zip(running, predict([now[place] for place in running]), strict=True))
        for place, answer in answers.items():
            end = _end(structures[place], now[place], answer, last.get(place), steps, settings)
            if end is not None:
                ended[place] = end
            if isinstance(answer, Prediction):
                last[place] = answer
        watch(len(ended))
        moves = np.array([place < len(now) and place not in ended for place in range(len(strain))])
        forces = _forces(now, {place: last[place] for place in running if place not in ended}, velocities, settings)
        velocities, pace, taken = jax.device_get(_step(velocities, pace, forces, strain, owner, moves))
        strain = strain + taken.cells / np.maximum(np.bincount(owner, minlength=len(strain) + 1)[:-1, None, None], 1)
        for place in np.flatnonzero(moves).tolist():
            rows = taken.atoms[owner == place]
            _displace(now[place], structures[place].cell.array, rows, strain[place], settings.moves_cell)
    return [ended[place] for place in range(len(now))]


def _step_of(
    velocities: fire.Velocities,
    pace: fire.Pace,
    forces: fire.Velocities,
    strain: Float[Any, "structures 3 3"],
    owner: Int[Any, " atoms"],
    moves: Bool[Any, " structures"],
) -> tuple[fire.Velocities, fire.Pace, fire.Velocities]:
    """Take a step; `forces` holds those on positions and ``-volume x stress``."""
    counts = atom_counts(owner, moves.shape[0])
    return fire.step(
        velocities, pace, forces_on_coordinates(forces.atoms, forces.cells, strain, owner, counts), owner, moves
    )


_step = compiled(_step_of)


def _copy(atoms: "Atoms") -> "Atoms":
    copied = atoms.copy()
    copied.calc = None
    return copied


def _at_rest(structures: Sequence["Atoms"]) -> tuple[fire.Velocities, fire.Pace, np.ndarray]:
    """Pad to powers of two, so that few shapes are compiled."""
    counts = [len(atoms) for atoms in structures]
    rows, slots = (1 << max(size, 15).bit_length() for size in (sum(counts), len(counts)))
    owner = np.full(rows, slots, np.int32)
    owner[: sum(counts)] = np.repeat(np.arange(len(counts)), counts)
    velocities = fire.Velocities(np.zeros((rows, 3), np.float32), np.zeros((slots, 3, 3), np.float32))
    time_step, mixing = (np.full(slots, value, np.float32) for value in (fire.FIRST_TIME_STEP, fire.MIXING))
    return velocities, fire.Pace(time_step, mixing, np.zeros(slots, np.int32)), owner


def _forces(
    now: Sequence["Atoms"], answers: dict[int, Prediction], like: fire.Velocities, settings: RelaxationSettings
) -> fire.Velocities:
    atoms, cells = np.zeros_like(like.atoms), np.zeros_like(like.cells)
    starts = np.cumsum([0, *(len(one) for one in now)])
    for place, answer in answers.items():
        atoms[starts[place] : starts[place + 1]] = answer.forces_ev_per_a
        cells[place] = _virial(now[place], answer, settings)
    return fire.Velocities(atoms, cells)


def _virial(atoms: "Atoms", answer: Prediction, settings: RelaxationSettings) -> np.ndarray:
    stress = (answer.stress_gpa + answer.stress_gpa.T) / 2
    return -stress * (atoms.get_volume() / GPA_PER_EV_A3) * settings.moves_cell


def _end(
    start: "Atoms",
    atoms: "Atoms",
    answer: Prediction | Refusal,
    before: Prediction | None,
    steps: int,
    settings: RelaxationSettings,
) -> Relaxation | Refusal | None:
    """Tell whether a structure has ended with this answer, and how."""
    if isinstance(answer, Refusal):  # at the start it is the structure's fault, later the potential's
        return answer if before is None else Relaxation(atoms, before, steps, Outcome.EXPLODED)
    rows = np.concatenate([answer.forces_ev_per_a, _virial(atoms, answer, settings) / len(atoms)])
    largest = np.linalg.norm(rows, axis=1).max()
    ratio = atoms.get_volume() / start.get_volume()
    if not np.isfinite(largest + answer.energy_ev_per_atom) or not 1 / MAX_VOLUME_RATIO < ratio < MAX_VOLUME_RATIO:
        return Relaxation(atoms, answer, steps, Outcome.EXPLODED)
    if largest <= settings.fmax_ev_per_a:
        return Relaxation(atoms, answer, steps, Outcome.CONVERGED)
    return Relaxation(atoms, answer, steps, Outcome.NOT_CONVERGED) if steps == settings.max_steps else None


def _displace(atoms: "Atoms", first_cell: np.ndarray, taken: np.ndarray, strain: np.ndarray, moves_cell: bool) -> None:
    """Move atoms and cell as `cell_coordinates.moved` does, in double precision."""
    from scipy.linalg import expm

    fractional = atoms.positions @ np.linalg.inv(atoms.cell.array) + taken @ np.linalg.inv(first_cell)
    if moves_cell:
        atoms.set_cell(first_cell @ expm(strain.astype(float)).T, scale_atoms=False)
    atoms.positions = fractional @ atoms.cell.array
