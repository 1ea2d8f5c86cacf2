"""What is known of single elements, and statistics of it over a composition that have derivatives."""

import warnings
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from mfal.errors import GenerationError, MissingExtraError
from mfal.types import Array, Float

NAMES = (
    "electronegativity", "atomic radius", "group", "row", "Mendeleev number", "electron affinity", "ionisation energy",
    "s electrons", "p electrons", "d electrons", "lowest state", "highest state",
)  # fmt: skip


def element_properties(elements: Sequence[str]) -> Float[np.ndarray, "d p"]:
    """Return the properties `NAMES` of each element; electrons are those of the valence shell.

    Raises:
        GenerationError: an element has no tabulated value, such as the electronegativity of helium.
        MissingExtraError: pymatgen is not installed.
    """
    try:
        from pymatgen.core import Element
    except ImportError as error:
        raise MissingExtraError("pymatgen", "mlip") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymatgen warns of what is refused below
        rows = np.array([_row(Element(symbol)) for symbol in elements], dtype=float).reshape(-1, len(NAMES))
    for symbol, row in zip(elements, rows, strict=True):
        missing = [name for name, value in zip(NAMES, row, strict=True) if not np.isfinite(value)]
        if missing:
            raise GenerationError(f"{symbol=} has no {', '.join(missing)}: leave the element out")
    return rows


def statistics(x: Float[Array, "n d"], properties: Float[Array, "d p"]) -> Float[Array, "n s"]:
    """Return mean, mean absolute deviation and third central moment of each property, and the sum of squares of x."""
    mean = x @ properties
    centred = properties - mean[:, None, :]
    deviation = jnp.einsum("ij,ijk->ik", x, jnp.abs(centred))
    skew = jnp.einsum("ij,ijk->ik", x, centred**3)
    return jnp.concatenate([mean, deviation, skew, jnp.sum(x**2, axis=1, keepdims=True)], axis=1)


def _row(element) -> list[float]:
    electrons = _valence_electrons(element.full_electronic_structure, element.row)
    states = element.common_oxidation_states or (0,)
    numbers = (element.X, element.atomic_radius, element.group, element.row, element.mendeleev_no)
    energies = (element.electron_affinity, element.ionization_energy)
    return [*(float("nan") if value is None else float(value) for value in (*numbers, *energies)),
            *electrons, float(min(states)), float(max(states))]  # fmt: skip


def _valence_electrons(shells, row: int) -> list[float]:
    """Return electrons in the outermost s and p shells and in the d shell below, which counts until it is full."""
    count = {(level, kind): number for level, kind, number in shells}
    p, d = count.get((row, "p"), 0), count.get((row - 1, "d"), 0)
    return [float(count.get((row, "s"), 0)), float(p), float(d if p == 0 else 0)]
