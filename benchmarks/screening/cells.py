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


CUBIC = {
    "perovskite": PROTOTYPES["perovskite"],
    "cesiumchloride": Atoms("CsCl", scaled_positions=[[0, 0, 0], [0.5] * 3], cell=[4.1] * 3, pbc=True),
    "cu3au": Atoms(
        "AuCu3", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]], cell=[3.7] * 3, pbc=True
    ),
}
# Compounds in prototypes that they are known in, with about their lattice constants, angstrom.
KNOWN = (
    *(("rocksalt", name, a) for name, a in {
        "LiF": 4.03, "NaF": 4.62, "NaCl": 5.64, "KCl": 6.29, "KBr": 6.60, "MgO": 4.21, "CaO": 4.81, "SrO": 5.16,
        "BaO": 5.54, "MnO": 4.44, "NiO": 4.18, "TiC": 4.33, "TiN": 4.24, "ZrN": 4.58, "VN": 4.13, "PbTe": 6.46,
        "CaS": 5.69, "LaN": 5.30,
    }.items()),
    *(("zincblende", name, a) for name, a in {
        "GaAs": 5.65, "GaP": 5.45, "AlAs": 5.66, "InP": 5.87, "InSb": 6.48, "ZnS": 5.41, "ZnSe": 5.67, "CdTe": 6.48,
        "SiC": 4.36, "BN": 3.62, "CuCl": 5.42,
    }.items()),
    *(("fluorite", name, a) for name, a in {
        "CaF2": 5.46, "SrF2": 5.80, "BaF2": 6.20, "CeO2": 5.41, "ZrO2": 5.09, "Mg2Si": 6.35, "CoSi2": 5.36,
    }.items()),
    *(("perovskite", name, a) for name, a in {
        "SrTiO3": 3.91, "BaTiO3": 4.00, "KTaO3": 3.99, "LaAlO3": 3.79, "BaZrO3": 4.19, "SrVO3": 3.84, "KMgF3": 3.99,
        "CsPbCl3": 5.61, "LaCrO3": 3.88, "NaNbO3": 3.95,
    }.items()),
    *(("cesiumchloride", name, a) for name, a in {
        "CsCl": 4.12, "CsBr": 4.30, "NiAl": 2.89, "FeAl": 2.91, "CoAl": 2.86, "NiTi": 3.02, "CuZn": 2.95, "AgMg": 3.31,
    }.items()),
    *(("cu3au", name, a) for name, a in {
        "AuCu3": 3.75, "AlNi3": 3.57, "ScAl3": 4.10, "PtFe3": 3.73, "TiPt3": 3.90,
    }.items()),
    *(("fcc", name, a) for name, a in {"Al": 4.05, "Cu": 3.61, "Ag": 4.09, "Pt": 3.92, "Ni": 3.52, "Pb": 4.95}.items()),
    *(("bcc", name, a) for name, a in {"Fe": 2.87, "W": 3.17, "Mo": 3.15, "V": 3.03, "Na": 4.29, "Nb": 3.30}.items()),
    *(("diamond", name, a) for name, a in {"C": 3.57, "Si": 5.43, "Ge": 5.66}.items()),
    *(("hcp", name, a, c) for name, a, c in (
        ("Mg", 3.21, 5.21), ("Ti", 2.95, 4.69), ("Zn", 2.66, 4.95), ("Co", 2.51, 4.07), ("Ru", 2.71, 4.28),
    )),
)  # fmt: skip

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


def compounds(count, seed):
    """Return known compounds near equilibrium, 1 to 24 atoms: cells off by up to 5 %, atoms by 0.05 angstrom."""
    rng = np.random.default_rng(seed)
    return [_compound(rng, *KNOWN[i % len(KNOWN)]) for i in range(count)]


def _compound(rng, prototype, formula, lattice_a, axis_a=None):
    if prototype in ("perovskite", "cesiumchloride", "cu3au"):
        atoms = CUBIC[prototype].copy()
        atoms.symbols = formula
        atoms.set_cell([lattice_a] * 3, scale_atoms=True)
    else:
        atoms = bulk(formula, prototype, lattice_a, c=axis_a)
    fitting = [repeats for repeats in SUPERCELLS if len(atoms) * np.prod(repeats) <= 24]
    atoms = atoms.repeat(fitting[rng.integers(len(fitting))])
    strain = rng.uniform(-0.05, 0.05, (3, 3))
    atoms.set_cell(atoms.cell @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
    atoms.rattle(0.05, rng=rng)
    return atoms


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
