"""Equilibrium volume and bulk modulus from energies at several volumes, many materials at once.

The third-order equation of Birch (Phys. Rev. 71, 809, 1947) is a cubic polynomial in ``x = V ** (-2 / 3)``,
``E = a + b x + c x^2 + d x^3``, so it is fitted by linear least squares: no start values, no iterations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from physics.mlip.potential import Potential, Prediction, Refusal
from physics.thermodynamics.deformation import GPA_PER_EV_PER_A3, strained, unfit

if TYPE_CHECKING:
    from ase import Atoms

MIN_VOLUMES = 5  # four coefficients, and one to see a misfit
STRAINS = tuple(np.linspace(-0.03, 0.03, 9).tolist())


@dataclass(frozen=True)
class Fits:
    """Equations of state of many materials; every array has shape (materials,), NaN where there is a failure.

    Attributes:
        volume_a3_per_atom: at zero pressure.
        energy_ev_per_atom: at that volume.
        bulk_modulus_gpa: at that volume.
        pressure_derivative: of the bulk modulus, at that volume.
        residual_ev_per_atom: root mean square over the volumes.
        failures: why there is no equation of state; None where there is one.
    """

    volume_a3_per_atom: np.ndarray
    energy_ev_per_atom: np.ndarray
    bulk_modulus_gpa: np.ndarray
    pressure_derivative: np.ndarray
    residual_ev_per_atom: np.ndarray
    failures: tuple[str | None, ...]


@dataclass(frozen=True)
class EquationOfState:
    """The equation of state of one material; attributes as of `Fits`."""

    volume_a3_per_atom: float
    energy_ev_per_atom: float
    bulk_modulus_gpa: float
    pressure_derivative: float
    residual_ev_per_atom: float


def equations_of_state(
    potential: Potential, structures: Sequence["Atoms"], strains: Sequence[float] = STRAINS
) -> list[EquationOfState | Refusal]:
    """Scan every structure over volumes at fixed shape and fit, with one call of the potential for all.

    Fractional coordinates stay as they are. Where symmetry does not fix them and the shape of the cell, the bulk
    modulus comes out too large.

    Args:
        potential: gives the energies.
        structures: crystals near their minimum.
        strains: linear, of each scan: 0.01 lengthens every cell vector by 1 %.

    Raises:
        ValueError: there are too few strains for a fit.
    """
    if len(set(strains)) < MIN_VOLUMES or min(strains) <= -1:
        raise ValueError(f"{strains=}: give at least {MIN_VOLUMES} different ones above -1")
    refusals = [unfit(atoms) for atoms in structures]
    fit = [number for number, refusal in enumerate(refusals) if refusal is None]
    scans = [strained(structures[number], strain * np.eye(3)) for number in fit for strain in strains]
    answers = potential.predict(scans)
    volumes = np.array([atoms.get_volume() / len(atoms) for atoms in scans]).reshape(len(fit), len(strains))
    energies = np.array([_energy(answer) for answer in answers]).reshape(volumes.shape)
    results: list[EquationOfState | Refusal] = [refusal or Refusal("not answered") for refusal in refusals]
    fits = fit_birch_murnaghan(volumes, energies)
    for row, number in enumerate(fit):
        own = answers[row * len(strains) : (row + 1) * len(strains)]
        results[number] = _refused_scan(own, strains) or _one(fits, row)
    return results


def fit_birch_murnaghan(volumes_a3_per_atom: np.ndarray, energies_ev_per_atom: np.ndarray) -> Fits:
    """Fit the third-order Birch-Murnaghan equation to each row.

    With ``E_xx`` the second derivative at the minimum ``x0``: ``V0 = x0^(-3/2)``, ``B = 4/9 E_xx x0^(7/2)`` and
    ``B' = 4 + 4 d x0 / E_xx``, from the chain rule.

    Args:
        volumes_a3_per_atom: shape (materials, volumes).
        energies_ev_per_atom: same shape; points that are not finite are left out.

    Raises:
        ValueError: the shapes differ or a volume is not positive.
    """
    volumes, energies = np.asarray(volumes_a3_per_atom, float), np.asarray(energies_ev_per_atom, float)
    if volumes.ndim != 2 or volumes.shape != energies.shape:
        raise ValueError(f"{volumes.shape=} and {energies.shape=}: give one row a material, both alike")
    if not (volumes > 0).all():
        raise ValueError(f"{volumes.min()=}: give positive volumes")
    known = np.isfinite(energies)
    few = np.array([len(set(row[taken])) < MIN_VOLUMES for row, taken in zip(volumes, known, strict=True)], bool)
    u, centre, width = _scaled(volumes ** (-2 / 3), known, few)
    coefficients, shift, residual = _cubic(u, energies, known)
    u0, curvature, flat = _minimum(coefficients)
    reasons = tuple(_reason(*flags) for flags in zip(few, flat, np.abs(u0) > 1, strict=True))
    blank = np.where([reason is None for reason in reasons], 1.0, np.nan)
    a, b, c, d = coefficients
    x0, e_xx, e_xxx = blank * (centre + width * u0), curvature / width**2, 6 * d / width**3
    return Fits(
        volume_a3_per_atom=x0**-1.5,
        energy_ev_per_atom=blank * (shift + a + u0 * (b + u0 * (c + u0 * d))),
        bulk_modulus_gpa=4 / 9 * e_xx * x0**3.5 * GPA_PER_EV_PER_A3,
        pressure_derivative=4 + 2 / 3 * x0 * e_xxx / e_xx,
        residual_ev_per_atom=blank * residual,
        failures=reasons,
    )


def _scaled(x: np.ndarray, known: np.ndarray, few: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return x shifted and scaled to -1..1, or the matrix of powers would be nearly singular, its centre and width."""
    counted = known | few[:, None]  # rows that cannot be fitted get harmless numbers and are blanked at the end
    low, high = x.min(axis=1, initial=np.inf, where=counted), x.max(axis=1, initial=0.0, where=counted)
    centre, width = (low + high) / 2, np.where(few, 1.0, (high - low) / 2)
    return (x - centre[:, None]) / width[:, None], centre, width


def _minimum(coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where each cubic has its minimum, the second derivative there, and which have none."""
    _, b, c, d = coefficients
    discriminant = c**2 - 3 * b * d
    root = np.sqrt(np.maximum(discriminant, 0.0))
    # The root of the slope with positive curvature, in the form that loses no digits where d is small, or c negative.
    concave = c < 0
    u0 = np.where(concave, root - c, -b) / _never_zero(np.where(concave, 3 * d, c + root))
    return u0, 2 * _never_zero(root), (discriminant <= 0) | (concave & (np.abs(u0) > 1))


def _never_zero(numbers: np.ndarray) -> np.ndarray:
    return np.where(numbers == 0, np.finfo(float).tiny, numbers)


def _cubic(u: np.ndarray, energies: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return coefficients (4, materials), the energy that was subtracted, and root mean squares."""
    shift = np.where(known.any(axis=1), energies.min(axis=1, initial=np.inf, where=known), 0.0)
    wanted = np.where(known, energies - shift[:, None], 0.0)  # small numbers: digits are not lost to the offset
    matrix = np.where(known[..., None], u[..., None] ** np.arange(4), 0.0)
    coefficients = (np.linalg.pinv(matrix) @ wanted[..., None])[..., 0]
    misfit = (matrix @ coefficients[..., None])[..., 0] - wanted
    residual = np.sqrt((misfit**2).sum(axis=1) / np.maximum(known.sum(axis=1), 1))
    return coefficients.T, shift, residual


def _reason(few: bool, flat: bool, outside: bool) -> str | None:
    if few:
        return f"fewer than {MIN_VOLUMES} volumes with an energy; scan more"
    if flat:
        return "the energy has no minimum over the volume; the structure is unstable or the energies are rough"
    if outside:
        return "the minimum lies outside the volumes scanned; relax the structure first or scan further"
    return None


def _energy(answer: Prediction | Refusal) -> float:
    return answer.energy_ev_per_atom if isinstance(answer, Prediction) else float("nan")


def _refused_scan(answers: Sequence[Prediction | Refusal], strains: Sequence[float]) -> Refusal | None:
    """Refuse a scan with a gap: the volumes that are left could be on one side of the minimum."""
    for answer, strain in zip(answers, strains, strict=True):
        if isinstance(answer, Refusal):
            return Refusal(f"at linear strain {strain:+.4f}: {answer.reason}")
        if not np.isfinite(answer.energy_ev_per_atom):
            return Refusal(f"at linear strain {strain:+.4f}: the energy is not finite; use another potential")
    return None


def _one(fits: Fits, row: int) -> EquationOfState | Refusal:
    failure = fits.failures[row]
    if failure is not None:
        return Refusal(failure)
    return EquationOfState(
        float(fits.volume_a3_per_atom[row]),
        float(fits.energy_ev_per_atom[row]),
        float(fits.bulk_modulus_gpa[row]),
        float(fits.pressure_derivative[row]),
        float(fits.residual_ev_per_atom[row]),
    )
