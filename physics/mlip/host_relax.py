"""Batched FIRE around any potential that answers on the host: MACE in torch, or an ASE calculator."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import jax
import numpy as np

from physics.mlip import fire
from physics.mlip.chgnet import GPA_PER_EV_A3
from physics.mlip.compiling import compiled
from physics.mlip.fleet import MAX_VOLUME_RATIO
from physics.mlip.potential import Outcome, Prediction, Refusal, Relaxation, RelaxationSettings

if TYPE_CHECKING:
    from ase import Atoms

Predict = Callable[[Sequence["Atoms"]], list[Prediction | Refusal]]
_step = compiled(fire.step)


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
        moves = np.array([place < len(now) and place not in ended for place in range(len(pace.time_step))])
        forces = _forces(now, {place: last[place] for place in running if place not in ended}, velocities, settings)
        velocities, pace, taken = jax.device_get(_step(velocities, pace, forces, owner, moves))
        _displace(now, taken, moves)
    return [ended[place] for place in range(len(now))]


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
        cells[place] = _force_on_cell(now[place], answer, settings)
    return fire.Velocities(atoms, cells)


def _force_on_cell(atoms: "Atoms", answer: Prediction, settings: RelaxationSettings) -> np.ndarray:
    stress = (answer.stress_gpa + answer.stress_gpa.T) / 2
    return -stress * (atoms.get_volume() / (len(atoms) * GPA_PER_EV_A3)) * settings.moves_cell


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
    rows = np.concatenate([answer.forces_ev_per_a, _force_on_cell(atoms, answer, settings)])
    largest = np.linalg.norm(rows, axis=1).max()
    ratio = atoms.get_volume() / start.get_volume()
    if not np.isfinite(largest + answer.energy_ev_per_atom) or not 1 / MAX_VOLUME_RATIO < ratio < MAX_VOLUME_RATIO:
        return Relaxation(atoms, answer, steps, Outcome.EXPLODED)
    if largest <= settings.fmax_ev_per_a:
        return Relaxation(atoms, answer, steps, Outcome.CONVERGED)
    return Relaxation(atoms, answer, steps, Outcome.NOT_CONVERGED) if steps == settings.max_steps else None


def _displace(now: Sequence["Atoms"], taken: fire.Velocities, moves: np.ndarray) -> None:
    """Displace atoms, then strain cells with all that is in them, as `fleet.deform` does."""
    starts = np.cumsum([0, *(len(one) for one in now)])
    for place in np.flatnonzero(moves).tolist():
        atoms = now[place]
        atoms.positions += taken.atoms[starts[place] : starts[place + 1]]
        strain = taken.cells[place].astype(float) / len(atoms)
        change = np.eye(3) + strain + strain @ strain / 2
        atoms.set_cell(atoms.cell.array @ change, scale_atoms=False)
        atoms.positions = atoms.positions @ change
