"""Relaxation of many structures: fleets on the device whose places are taken by others as structures end.

While one fleet advances, the host takes the ended structures out of another, fills the places and sends it off again.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from physics.mlip.fleet import (
    EXPLODED,
    LOST_ATOMS,
    NOT_CONVERGED,
    RUNNING,
    SKIN_A,
    Limits,
    Voyage,
    advance,
)
from physics.mlip.loads import (
    Load,
    as_running,
    as_structures,
    begin,
    candidates_of,
    divide,
    divided,
    enlarged,
    fitted,
    fleet_of,
    join,
    needs_of,
    room_of,
)
from physics.mlip.neighbours import UNREACHABLE
from physics.mlip.packing import Shape, padded_box, round_up, settled, size_classes
from physics.mlip.potential import Outcome, RelaxationSettings
from physics.mlip.reading import Structures, reach
from physics.mlip.single_points import Answers
from physics.mlip.sizes import Sizes, measure
from physics.mlip.weights import ChgnetWeights

# Bonds of a fleet, steps between two looks at it, fleets on a device.
FLEETS = {"cpu": (3_000, 5, 2), "gpu": (400_000, 5, 2)}
# When nothing waits any more: a fleet emptier than this goes on in the next one, a last one shrinks its shape.
MERGED, SMALLER = 0.4, 5
# Crystals lose or gain bonds and angles on their way: after so many looks at each fleet, a full one shows which sizes
# are needed, and a shape is fitted to them if every fleet's load still waits so many times: compiling takes its time.
SETTLED, WORTH_IT = 10, 6
OUTCOMES = {EXPLODED: Outcome.EXPLODED, LOST_ATOMS: Outcome.LOST_ATOMS, NOT_CONVERGED: Outcome.NOT_CONVERGED}


@dataclass(frozen=True)
class Ended:
    """Structures that have ended.

    Attributes:
        places: of each, in the sequence that was to be relaxed.
        structures: where they ended.
        steps: forces evaluated.
        outcomes: how.
        answers: there.
    """

    places: np.ndarray
    structures: Structures
    steps: np.ndarray
    outcomes: tuple[Outcome, ...]
    answers: Answers


def relax(
    weights: ChgnetWeights,
    structures: Structures,
    sizes: Sizes,
    settings: RelaxationSettings,
    known: list[Shape],
    bond_budget: int | None = None,
) -> Iterator[Ended]:
    """Relax crystals; yield them as they end.

    Args:
        weights: parameters, float32.
        structures: checked.
        sizes: of them.
        settings: when a relaxation ends.
        known: shapes that programs exist for; new ones are added.
        bond_budget: undirected bonds of a fleet; None for what suits the device.
    """
    budget, turns, per_device = FLEETS.get(jax.default_backend(), FLEETS["gpu"])
    limits = Limits(
        jnp.float32(settings.fmax_ev_per_a), jnp.int32(settings.max_steps), jnp.asarray(settings.moves_cell)
    )
    for group in size_classes(sizes, bond_budget or budget):
        if not len(group):
            continue
        convoy = _Convoy(weights, limits, turns, structures, sizes, group, per_device, bond_budget or budget, known)
        yield from convoy.run()


class _Convoy:
    """Fleets of one shape and the queue of structures that wait for a place."""

    def __init__(
        self,
        weights: ChgnetWeights,
        limits: Limits,
        turns: int,
        structures: Structures,
        sizes: Sizes,
        group: np.ndarray,
        per_device: int,
        budget: int,
        known: list[Shape],
    ) -> None:
        devices = jax.local_devices()
        fleets = max(1, min(per_device * len(devices), len(group)))
        self._devices = [devices[number % len(devices)] for number in range(fleets)]
        self._weights = {device: jax.device_put(weights, device) for device in self._devices}
        # A GPU's program that loops until a condition is met keeps the thread that starts it: each has its own.
        self._crews = {device: ThreadPoolExecutor(1) for device in self._weights}
        self._limits, self._turns, self._cutoffs_a = limits, turns, (weights.atom_cutoff_a, weights.bond_cutoff_a)
        # mixed, so that a fleet's load stays what the shape was made for
        self._waiting = np.random.default_rng(0).permutation(group)
        self._returned: list[Load] = []
        self._structures, self._sizes, self._needs = structures, sizes, needs_of(sizes, structures.counts)
        self._budget, self._known = budget, known
        self._use(self._first_shape())

    def run(self) -> Iterator[Ended]:
        """Keep all fleets under way until nothing is left."""
        try:
            yield from self._ends()
        finally:
            for crew in self._crews.values():
                crew.shutdown(cancel_futures=True)

    def _ends(self) -> Iterator[Ended]:
        at_sea: deque[tuple[int, Load, Future[Voyage]]] = deque()
        looks = 0
        for number in range(len(self._devices)):
            self._send(number, None, at_sea)
        while at_sea:
            number, load, voyage = at_sea.popleft()
            kept, ended = self._unload(load, voyage.result())
            looks += 1
            if kept is not None and looks == SETTLED * len(self._devices):
                self._refit(kept)
            self._send(number, kept, at_sea)
            if ended is not None:
                yield ended

    def _use(self, shape: Shape) -> None:
        """Take a shape for all voyages from now on."""
        self._shape, self._candidates = shape, candidates_of(shape, self._cutoffs_a[0])

    def _first_shape(self) -> Shape:
        """Measure the shape on a fair share of the queue."""
        bonds = np.cumsum(self._sizes.bonds[self._waiting])
        share = min(self._budget, bonds[-1] / len(self._devices))
        sample = self._waiting[: max(1, int(np.searchsorted(bonds, share, side="right")))]
        reached = reach(self._structures.cells * 0.9, self._cutoffs_a[0] + SKIN_A)
        most = padded_box(reached[self._waiting].max(0))
        shape = fitted(self._needs[sample], float(self._sizes.bonds[sample].sum()), self._largest(), most)
        return settled(shape, self._known)

    def _largest(self) -> np.ndarray:
        """Return the most that any structure of the queue needs."""
        return self._needs[self._waiting].max(0)

    def _refit(self, load: Load) -> None:
        """Fit the shape to what a full fleet needs by now, if it wastes room and much still waits."""
        ahead = self._sizes.bonds[self._waiting].sum() / (self._budget * len(self._devices))
        if ahead > WORTH_IT:
            shape = fitted(load.needs, self._budget, self._largest(), self._shape.images)
            self._use(settled(shape, self._known))

    def _send(self, number: int, load: Load | None, at_sea: deque[tuple[int, Load, Future[Voyage]]]) -> None:
        """Fill the places of a fleet and let it advance; not if there is nothing to do, or room in another."""
        load = self._filled(load)
        if load is None:
            return
        is_last = not len(self._waiting) and not self._returned
        fill = float((load.needs.sum(0) / room_of(self._shape)).max())
        if is_last and at_sea and fill < MERGED:
            self._returned.append(load)
            return
        smaller = SMALLER if is_last and fill < 1 / SMALLER else 1
        shape = divided(self._shape, smaller)
        candidates = divide(self._candidates, smaller)
        crew = self._crews[self._devices[number]]
        at_sea.append((number, load, crew.submit(self._advanced, load, shape, candidates, number)))

    def _advanced(self, load: Load, shape: Shape, candidates: int, number: int) -> Voyage:
        """Let a fleet advance on its device; return it to the host."""
        device = self._devices[number]
        fleet = jax.device_put(fleet_of(load, shape), device)
        return jax.device_get(
            advance(
                self._weights[device], fleet, self._limits, jnp.int32(self._turns),
                candidates=candidates, capacities=shape.capacities,
            )
        )  # fmt: skip

    def _filled(self, load: Load | None) -> Load | None:
        """Add what waits, first what was taken out before, as long as there is room."""
        if load is not None and (load.needs.sum(0) > room_of(self._shape, full=1)).any():
            self._returned.append(load)  # another shape was taken meanwhile
            load = None
        load = self._taken_back(load)
        if self._returned:
            return load
        held = 0 if load is None else len(load)
        needs = self._needs[self._waiting]
        number = int(self._fits(needs if load is None else np.concatenate([load.needs, needs]))[held:].sum())
        if load is None and len(self._waiting):
            number = max(1, number)  # larger than the shape, which is then enlarged
        if not number:
            return load
        chosen, self._waiting = self._waiting[:number], self._waiting[number:]
        fresh = begin(self._structures.take(chosen), chosen, self._needs[chosen])
        return fresh if load is None else join(load, fresh)

    def _taken_back(self, load: Load | None) -> Load | None:
        """Add what was taken out before, as long as there is room."""
        while self._returned:
            back = self._returned.pop()
            needs = back.needs if load is None else np.concatenate([load.needs, back.needs])
            fits = self._fits(needs)[-len(back) :]
            fits[0] |= load is None  # larger than the shape, which is then enlarged
            if fits.any():
                load = back.take(fits) if load is None else join(load, back.take(fits))
            if not fits.all():
                self._returned.append(back.take(~fits))
                break
        return load

    def _fits(self, needs: np.ndarray) -> np.ndarray:
        """Tell which structures find room, in their order."""
        return np.all(np.cumsum(needs, axis=0) <= room_of(self._shape), axis=1)

    def _unload(self, load: Load, voyage: Voyage) -> tuple[Load | None, Ended | None]:
        """Take out what has ended; where a step did not fit, make room."""
        atoms, count = int(load.counts.sum()), len(load)
        fleet = voyage.fleet
        load = replace(
            load,
            atoms=jax.tree.map(lambda leaf: leaf[:atoms], fleet.atoms),
            structures=jax.tree.map(lambda leaf: leaf[:count], fleet.structures),
        )
        runs = np.asarray(load.structures.outcome) == RUNNING
        if voyage.overflow:
            return self._lightened(as_running(load, runs)), None
        bonds, short, angles = (np.asarray(size)[:count] for size in (voyage.bonds, voyage.short, voyage.angles))
        needs = np.column_stack([bonds, short, bonds - short, angles, load.needs[:, 4:]])
        kept = replace(load, needs=needs).take(runs) if runs.any() else None
        return kept, None if runs.all() else _ended(load.take(~runs), voyage, ~runs, np.repeat(~runs, load.counts))

    def _lightened(self, load: Load) -> Load:
        """Measure again; put off what does not fit any more, or enlarge the shape where that would not help."""
        structures = as_structures(load)
        sizes = measure(structures, *self._cutoffs_a)
        load = replace(load, needs=needs_of(sizes, load.counts))
        reached = reach(structures.cells * 0.9, self._cutoffs_a[0] + SKIN_A).max(0)
        there = np.where(self._shape.images < UNREACHABLE, self._shape.images, 0).max(0)
        if (reached > there).any():
            self._shape = replace(self._shape, images=padded_box(np.maximum(reached, there)))
            return load
        fits = self._fits(load.needs)
        if fits.all():  # so it was the list with its skin that did not
            self._candidates = round_up(int(1.2 * self._candidates), 1.1)
            return load
        if not fits[0]:
            self._shape = enlarged(self._shape, 1.3 * load.needs[0])
            self._candidates = max(self._candidates, candidates_of(self._shape, self._cutoffs_a[0]))
            fits[0] = True
        if not fits.all():
            self._returned.append(load.take(~fits))
        return load.take(fits)


def _ended(load: Load, voyage: Voyage, mask: np.ndarray, rows: np.ndarray) -> Ended:
    found, count, atoms = voyage.answer, len(mask), len(rows)
    by_structure = (found.energies_ev_per_atom, found.stresses_gpa, found.embeddings)
    energies, stresses, embeddings = (np.asarray(part)[:count][mask] for part in by_structure)
    forces, moments = (np.asarray(part)[:atoms][rows] for part in (found.forces_ev_per_a, found.magnetic_moments_mu_b))
    outcomes = tuple(OUTCOMES.get(int(code), Outcome.CONVERGED) for code in load.structures.outcome)
    steps = np.asarray(load.structures.steps)
    return Ended(
        load.places, as_structures(load), steps, outcomes, Answers(energies, forces, stresses, moments, embeddings)
    )
