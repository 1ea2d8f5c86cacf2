"""Composition descriptors: fraction-weighted statistics of elemental properties."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mfal.errors import MfalError, MissingExtraError

_PROPERTIES = ("X", "atomic_radius", "group", "row", "mendeleev_no")
_NAMES = ("electronegativity", "atomic_radius_angstrom", "group", "row", "mendeleev_number")


def composition_descriptors(formulas: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Describe compositions by the mean and the mean absolute deviation of elemental properties.

    The statistics follow Ward et al. 2016 (10.1038/npjcompumats.2016.28); both are symmetric under
    a permutation of the elements and defined on the whole simplex.

    Args:
        formulas: chemical formulas such as ``AlNi`` or ``Ni0.5Co0.3Cr0.2``.

    Returns:
        Descriptors of shape (formulas, 10) and the column names.

    Raises:
        MfalError: a formula does not parse, or an element has no tabulated property.
    """
    rows = np.array([_row(formula) for formula in formulas])
    columns = tuple(f"{statistic}_{name}" for statistic in ("mean", "deviation") for name in _NAMES)
    return rows, columns


def _row(formula: str) -> np.ndarray:
    elements, fractions = _parse(formula)
    table = np.array([[_number(element, name) for name in _PROPERTIES] for element in elements])
    mean = fractions @ table
    row = np.concatenate([mean, fractions @ np.abs(table - mean)])
    if not np.isfinite(row).all():
        raise MfalError(f"{formula=} has an element without {_NAMES}: drop the candidate")
    return row


def _number(element: Any, name: str) -> float:
    # Dummy species lack some properties, and some elements have None.
    value = getattr(element, name, None)
    return float("nan") if value is None else float(value)


def _parse(formula: str) -> tuple[list, np.ndarray]:
    try:
        from pymatgen.core import Composition
    except ImportError as error:
        raise MissingExtraError("pymatgen", "mlip") from error
    try:
        composition = Composition(formula)
        elements = composition.elements
        fractions = np.array([composition.get_atomic_fraction(element) for element in elements])
    except (ValueError, KeyError) as error:
        raise MfalError(f"{formula=} is not a chemical formula ({error}): use element symbols and amounts") from error
    if not elements:
        raise MfalError(f"{formula=} names no element: use element symbols and amounts")
    return elements, fractions
