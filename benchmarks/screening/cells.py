"""Crystals to screen: perovskites, and a mixture of prototypes with exchanged elements, strains and vacancies."""

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers, chemical_symbols, covalent_radii
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


A_SITE = ("Na", "K", "Rb", "Cs", "Ca", "Sr", "Ba", "Y", "La", "Pb", "Bi")
B_SITE = ("Ti", "Zr", "Hf", "V", "Nb", "Ta", "Cr", "Mn", "Fe", "Co", "Ni", "Al", "Ga", "Ge", "Sn")
X_SITE = ("O", "F", "N", "S", "Cl")
SUPERCELLS = ((1, 1, 1), (1, 1, 2), (1, 1, 3), (1, 2, 2))


def perovskites(count, seed):
    """Return perovskites of 5 to 20 atoms, 14 on average, of random elements on each site, strained and rattled."""
    rng = np.random.default_rng(seed)
    return [_perovskite(rng) for _ in range(count)]


def mixture(count, seed):
    """Return crystals of 4 to 60 atoms, as many small as large ones on a logarithmic scale."""
    rng, found = np.random.default_rng(seed), []
    while len(found) < count:
        atoms = varied(rng, 60)
        found += [atoms] if 4 <= len(atoms) <= 60 else []
    return found


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
    closest, nearest = _nearest(atoms, 5.0)
    if not closest < 5.0 / (2 * max(covalent_radii)) or np.isinf(nearest).any():  # then what is further off may count
        closest, nearest = _nearest(atoms, 10.0)
    # hydrogen at its radius in a close-packed prototype would have thousands of angles at each atom
    factor = max(rng.uniform(0.85, 1.2) / closest, 1.5 / nearest.min())
    factor = min(factor, 4.9 / nearest.max())  # CHGNet refuses isolated atoms
    atoms.set_cell(atoms.cell * factor, scale_atoms=True)
    return atoms


def _nearest(atoms, cutoff_a):
    """Return the least distance over sum of covalent radii, and the distance from each atom to the next one."""
    first, second, distances = neighbor_list("ijd", atoms, cutoff_a)
    radii = covalent_radii[atoms.numbers]
    nearest = np.full(len(atoms), np.inf)
    np.minimum.at(nearest, first, distances)
    return (distances / (radii[first] + radii[second])).min(initial=np.inf), nearest


def _perovskite(rng):
    shape = SUPERCELLS[rng.choice(4, p=[0.1, 0.3, 0.3, 0.3])]
    atoms = PROTOTYPES["perovskite"].repeat(shape)
    oxygen = atomic_numbers[str(rng.choice(X_SITE))]
    sites = {"Sr": A_SITE, "Ti": B_SITE}
    symbols = [str(rng.choice(sites[one])) if one in sites else chemical_symbols[oxygen] for one in atoms.symbols]
    atoms.symbols = symbols
    b_site = [number for number in atoms.numbers if chemical_symbols[number] in B_SITE]
    lattice_constant = 1.78 * (covalent_radii[b_site].mean() + covalent_radii[oxygen])
    strain = np.eye(3) + rng.normal(0, 0.02, (3, 3))
    atoms.set_cell(atoms.cell @ strain * (lattice_constant / 3.9), scale_atoms=True)
    atoms.rattle(0.05, rng=rng)
    return atoms
