"""Varied crystals for tests of potentials: prototypes, strained, rattled, with exchanged elements and vacancies."""

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

PROTOTYPES = {
    "sc": bulk("Po", "sc", 3.0),
    "fcc": bulk("Cu", "fcc", 4.0),
    "bcc": bulk("W", "bcc", 3.2),
    "hcp": bulk("Mg", "hcp", 3.2, 5.2),
    "diamond": bulk("C", "diamond", 5.0),
    "rocksalt": bulk("NaCl", "rocksalt", 5.6),
    "zincblende": bulk("ZnS", "zincblende", 5.4),
    "fluorite": bulk("CaF2", "fluorite", 5.5),
    "cubic": bulk("Cu", "fcc", 4.0, cubic=True),
    "perovskite": Atoms(
        "SrTiO3",
        scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
        cell=[3.9, 3.9, 3.9],
        pbc=True,
    ),
}


def varied(rng, largest, elements=range(1, 95)):
    """Return a triclinic crystal of about `largest` atoms at most, of random elements.

    The closest pair is at 0.85 to 1.2 of the sum of its covalent radii: what a screening starts from, and no further
    into the repulsion, where the published code's own float32 noise exceeds every tolerance.
    """
    atoms = PROTOTYPES[str(rng.choice(list(PROTOTYPES)))].copy()
    wanted = np.exp(rng.uniform(0, np.log(largest)))
    while len(atoms) * 2 <= wanted:
        repeats = [1, 1, 1]
        # mostly along the shortest vector, so that boxes stay compact
        axis = int(np.argmin(atoms.cell.lengths())) if rng.random() < 0.8 else int(rng.integers(3))
        repeats[axis] = min(int(rng.integers(2, 4)), int(wanted // len(atoms)))
        atoms = atoms.repeat(repeats)
    chosen = rng.choice(list(elements), size=int(rng.integers(1, 6)))
    atoms.numbers = rng.choice(chosen, size=len(atoms))
    if len(atoms) > 6 and rng.random() < 0.3:
        del atoms[int(rng.integers(len(atoms)))]
    atoms.set_cell(atoms.cell @ (np.eye(3) + rng.normal(0, 0.05, (3, 3))), scale_atoms=True)
    atoms.rattle(0.08, rng=rng)
    first, second, distances = neighbor_list("ijd", atoms, 10.0)
    radii = covalent_radii[atoms.numbers]
    closest = (distances / (radii[first] + radii[second])).min()
    nearest = np.full(len(atoms), np.inf)
    np.minimum.at(nearest, first, distances)
    # hydrogen at its radius in a close-packed prototype would have thousands of angles at each atom
    factor = max(rng.uniform(0.85, 1.2) / closest, 1.5 / nearest.min())
    factor = min(factor, 4.9 / nearest.max())  # CHGNet refuses isolated atoms
    atoms.set_cell(atoms.cell * factor, scale_atoms=True)
    return atoms
