"""Elastic constants from the stress of slightly strained crystals, many materials at once.

Voigt order xx, yy, zz, yz, xz, xy with shear strains doubled. Stresses are positive where the crystal is stretched, so
``stress = stiffness @ strain`` and a stiffness is positive.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from physics.mlip.potential import Outcome, Potential, Prediction, Refusal, Relaxation, RelaxationSettings
from physics.prototypes import as_spglib
from physics.thermodynamics.deformation import strained, unfit

if TYPE_CHECKING:
    from ase import Atoms

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
# A smooth potential is linear here to 0.3 %. CHGNet is rough: at strains of 0.0025, 0.005, 0.01 and 0.02 C11 of NaCl is
# 28, 41, 46 and 47 GPa. Hence not smaller, and two, which show it.
STRAINS = (0.005, 0.01)
# Forces of a strained start below the limit would count as relaxed: C66 of hcp copper is 69 instead of 52 GPa by ASE's
# effective medium theory with 0.005 eV/A and a strain of 0.0025.
RELAXATION = RelaxationSettings(fmax_ev_per_a=0.001, max_steps=500, moves_cell=False)
MAX_RESIDUAL_STRAIN = 0.01
SYMMETRY_A = 0.01


@dataclass(frozen=True)
class Averages:
    """Moduli of a polycrystal without texture: bounds of Voigt and Reuss, and Hill's mean of the two, GPa."""

    bulk_voigt_gpa: float
    bulk_reuss_gpa: float
    bulk_hill_gpa: float
    shear_voigt_gpa: float
    shear_reuss_gpa: float
    shear_hill_gpa: float


@dataclass(frozen=True)
class Elasticity:
    """Elastic constants of one material.

    Attributes:
        stiffness_gpa: shape (6, 6), with the symmetry of the crystal, in the axes of the structure.
        raw_gpa: shape (6, 6), as measured: row stress, column strain.
        asymmetry: how far the raw one is from the other, relative, Frobenius norm.
        roughness: how far the stiffness from one size of strain alone is from the raw one, relative, the worst; None
            where there was one size. Below 0.001 for a smooth potential.
        residual_stress_gpa: shape (3, 3), of the crystal without strain.
        stable: whether every strain costs energy (Born).
        averages: None where the crystal is not stable: Reuss's are meaningless then.
    """

    stiffness_gpa: np.ndarray
    raw_gpa: np.ndarray
    asymmetry: float
    roughness: float | None
    residual_stress_gpa: np.ndarray
    stable: bool
    averages: Averages | None


def elastic_tensors(
    potential: Potential,
    structures: Sequence["Atoms"],
    strains: Sequence[float] = STRAINS,
    relaxation: RelaxationSettings | None = RELAXATION,
) -> list[Elasticity | Refusal]:
    """Measure the elastic constants of every structure, with one call of the potential for all.

    Each of the six strains is applied both ways and the difference of the stresses taken, so what stress the start
    has cancels, and so does the first correction to a linear law. With several sizes, least squares.

    Args:
        potential: gives the stresses.
        structures: relaxed, cell and positions; refused where the stress left would strain the crystal by more than
            `MAX_RESIDUAL_STRAIN`.
        strains: sizes; Voigt components, so a shear turns an angle by one of these.
        relaxation: of the atoms in the strained cells; None clamps their fractional coordinates.

    Raises:
        ValueError: a strain is not positive, or the cell would move.
    """
    if not strains or min(strains) <= 0 or max(strains) >= 0.5:
        raise ValueError(f"{strains=}: give sizes above 0 and below 0.5")
    if relaxation is not None and relaxation.moves_cell:
        raise ValueError(f"{relaxation=}: set moves_cell=False, or the strain would relax away")
    applied = _applied(strains)
    refusals = [unfit(atoms) for atoms in structures]
    fit = [number for number, refusal in enumerate(refusals) if refusal is None]
    cells = [strained(structures[number], _matrix(voigt)) for number in fit for voigt in applied]
    answers = potential.predict(cells) if relaxation is None else potential.relax(cells, relaxation)
    results: list[Elasticity | Refusal] = [refusal or Refusal("not answered") for refusal in refusals]
    for row, number in enumerate(fit):
        own = answers[row * len(applied) : (row + 1) * len(applied)]
        results[number] = _measured(structures[number], strains, own)
    return results


def symmetrised(stiffness_gpa: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """Return the mean of a stiffness and its transpose over rotations.

    Args:
        stiffness_gpa: shape (6, 6).
        rotations: shape (operations, 3, 3), Cartesian, a group.
    """
    index = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])
    full = ((stiffness_gpa + stiffness_gpa.T) / 2)[index[:, :, None, None], index]
    pairs = np.einsum("gia,gjb->gijab", rotations, rotations).reshape(len(rotations), 9, 9)
    turned = (pairs @ full.reshape(9, 9) @ pairs.transpose(0, 2, 1)).mean(axis=0)
    places = [3 * i + j for i, j in VOIGT]
    return turned[np.ix_(places, places)]


def point_group(atoms: "Atoms", tolerance_a: float = SYMMETRY_A) -> np.ndarray:
    """Return the Cartesian rotations of a crystal's point group, shape (operations, 3, 3)."""
    import spglib

    found = spglib.get_symmetry(as_spglib(atoms), tolerance_a)
    if found is None:
        return np.eye(3)[None]
    columns = atoms.cell.array.T
    turned = columns @ np.unique(found["rotations"], axis=0) @ np.linalg.inv(columns)
    left, _, right = np.linalg.svd(turned)  # the nearest rotations: the cell has its symmetry to the tolerance only
    return left @ right


def averages(stiffness_gpa: np.ndarray) -> Averages:
    """Return the moduli of a polycrystal (Hill, Proc. Phys. Soc. A 65, 349, 1952) of a stable crystal."""
    from pymatgen.analysis.elasticity import ElasticTensor

    tensor = ElasticTensor.from_voigt(stiffness_gpa)
    found = (tensor.k_voigt, tensor.k_reuss, tensor.k_vrh, tensor.g_voigt, tensor.g_reuss, tensor.g_vrh)
    return Averages(*(float(value) for value in found))


def _applied(strains: Sequence[float]) -> np.ndarray:
    """Return the strains to apply, shape (1 + 12 x sizes, 6): none, then each component both ways."""
    sizes = [sign * size for size in strains for sign in (1, -1)]
    return np.concatenate([np.zeros((1, 6)), *(size * np.eye(6) for size in sizes)])


def _matrix(voigt: np.ndarray) -> np.ndarray:
    xx, yy, zz, yz, xz, xy = voigt * [1, 1, 1, 0.5, 0.5, 0.5]
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def _measured(
    atoms: "Atoms", strains: Sequence[float], answers: Sequence[Prediction | Relaxation | Refusal]
) -> Elasticity | Refusal:
    stresses = [_stress(answer) for answer in answers]
    for stress, voigt in zip(stresses, _applied(strains), strict=True):
        if isinstance(stress, Refusal):
            return Refusal(f"at strain {np.round(voigt, 6).tolist()}: {stress.reason}")
    rows = np.array([[stress[i, j] for i, j in VOIGT] for stress in stresses if not isinstance(stress, Refusal)])
    raw, roughness = _fitted(np.asarray(strains), rows[1:])
    residual, bulk = float(np.abs(rows[0]).max()), float(abs(raw[:3, :3].mean()))
    if residual > MAX_RESIDUAL_STRAIN * bulk:
        return Refusal(
            f"the start is under stress, {residual:.3f} GPa at a bulk modulus of {bulk:.0f} GPa; relax its cell and "
            "positions first, with the same potential"
        )
    start = answers[0].atoms if isinstance(answers[0], Relaxation) else atoms
    return _described(raw, roughness, np.asarray(stresses[0]), point_group(start))


def _fitted(strains: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, float | None]:
    """Return the least-squares stiffness and its roughness; rows in the order of `_applied`, without the first."""
    forth_and_back = rows.reshape(len(strains), 2, 6, 6)
    odd = (forth_and_back[:, 0] - forth_and_back[:, 1]).transpose(0, 2, 1) / 2
    raw = (strains[:, None, None] * odd).sum(axis=0) / (strains**2).sum()
    if len(strains) == 1:
        return raw, None
    alone = odd / strains[:, None, None]
    return raw, float(np.linalg.norm(alone - raw, axis=(1, 2)).max() / np.linalg.norm(raw))


def _described(raw: np.ndarray, roughness: float | None, residual: np.ndarray, rotations: np.ndarray) -> Elasticity:
    stiffness = symmetrised(raw, rotations)
    asymmetry = float(np.linalg.norm(raw - stiffness) / np.linalg.norm(stiffness))
    stable = bool(np.linalg.eigvalsh(stiffness).min() > 0)
    found = averages(stiffness) if stable else None
    return Elasticity(stiffness, raw, asymmetry, roughness, residual, stable, found)


def _stress(answer: Prediction | Relaxation | Refusal) -> np.ndarray | Refusal:
    if isinstance(answer, Refusal):
        return answer
    if isinstance(answer, Relaxation):
        if answer.outcome is not Outcome.CONVERGED:
            return Refusal(f"the atoms did not relax: {answer.outcome}; relax the structure first or allow more steps")
        answer = answer.prediction
    if not np.isfinite(answer.stress_gpa).all():
        return Refusal("the stress is not finite; use another potential")
    return answer.stress_gpa
