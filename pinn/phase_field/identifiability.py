"""What a series can tell of mobility, gradient energy, well height and driving force, and what it leaves open.

(M, kappa, W, dG) -> (s M, kappa/s, W/s, dG/s) leaves every image as it is, so the Fisher information has the null
direction (-1, 1, 1, 1) in their logarithms unless a number from another experiment fixes one of them.
"""

import numpy as np

from pinn.estimate import Spectrum
from pinn.phase_field.problem import Problem, Unknowns

SYMMETRY = "M -> s M, kappa -> kappa/s, W -> W/s{drive} leaves every image as it is"


def rate_information(problem: Problem, scalars: np.ndarray) -> np.ndarray:
    """Return the information about the rates with the camera integrated out, in the order of the free scalars."""
    rates = problem.free_rates
    among, across, rest = scalars[:rates, :rates], scalars[:rates, rates:], scalars[rates:, rates:]
    return among - across @ np.linalg.pinv(rest, hermitian=True) @ across.T


def spectrum(problem: Problem, unknowns: Unknowns, scalars: np.ndarray, known_force: bool) -> Spectrum:
    """Return the Fisher spectrum of the physical parameters at unknowns.

    Args:
        problem: the data.
        unknowns: where the information was computed: the start before a fit, the maximum after it.
        scalars: information of the free scalars, shape (p, p).
        known_force: whether dG is known from elsewhere.
    """
    driven = "drive" in problem.free
    parameters = ("M", "kappa", "W", "dG")[: 3 + (driven and not known_force)]
    # d(ln a, ln b, c) / d(ln M, ln kappa, ln W, ln dG)
    drive = float(unknowns.drive)
    slopes = np.array([[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0], [drive, 0.0, 0.0, drive]])
    slopes = slopes[: 2 + driven, : len(parameters)]
    matrix = slopes.T @ rate_information(problem, scalars) @ slopes
    eigenvalues, vectors = np.linalg.eigh(matrix)
    order = np.argsort(eigenvalues)[::-1]
    return Spectrum(parameters, np.maximum(eigenvalues[order], 0.0), vectors[:, order].T)


def ridge(problem: Problem, given: tuple[str, ...], known_scale: bool, missing_units: bool) -> str:
    """Return what the data leave open and what would close it, or nothing.

    Args:
        problem: the data.
        given: symbols of the combinations that the data do give.
        known_scale: whether a number from another experiment sets the scale.
        missing_units: whether pixel size or frame time are missing.
    """
    unknown = [symbol for symbol in ("M kappa", "M W") if symbol not in given]
    if unknown:
        return (
            f"the images do not give {' and '.join(unknown)}: nothing moves enough, or the interface is hidden; "
            "take a longer series of a curved interface, magnified until it is wider than the point-spread function"
        )
    if not known_scale:
        drive = ", dG -> dG/s" if "drive" in problem.free else ""
        remedy = "an interface energy from another experiment closes it"
        if problem.kind == "allen-cahn":
            remedy = "a known driving force, or an interface energy from another experiment, closes it"
        return f"{SYMMETRY.format(drive=drive)}: none of M, kappa, W and sigma is determined by itself; {remedy}"
    if missing_units:
        return "the scale is known but not the pixel size and frame time in units of length and time; give both"
    return "the known driving force does not show in the images, or against its sign; M, kappa, W and sigma stay open"
