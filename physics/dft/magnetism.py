"""Where a spin-polarised calculation starts, and whether its moment is believed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from physics.dft.errors import SettingsError
from physics.prototypes import initial_moments

if TYPE_CHECKING:
    from ase import Atoms

# Moments of free ions with Hund's rule, cut: the second try starts high, because a moment that is too small at the
# start dies more easily than one that is too large shrinks.
HIGH_MOMENTS = {"Cr": 3.0, "Mn": 4.5, "Fe": 3.5, "Co": 2.6, "Ni": 1.6}
COLLAPSED_MUB = 0.1  # per atom that started with a moment
TOLERANCE_MUB = 0.5  # per cell, between the moment found and an expected one


@dataclass(frozen=True)
class Start:
    """Moments that a calculation starts from.

    Attributes:
        name: for people.
        moments_mub: shape (atoms,); None where the calculation is not spin-polarised.
    """

    name: str
    moments_mub: np.ndarray | None


def starts(atoms: "Atoms", spin: str, stated_mub: Sequence[float] | None = None) -> tuple[Start, ...]:
    """Return the starts to try in turn, the second only where the moment of the first is not believed.

    Args:
        atoms: structure.
        spin: as in `physics.dft.settings.DFTSettings`.
        stated_mub: moments of the first start, shape (atoms,).

    Raises:
        SettingsError: the stated moments are not one an atom, or the calculation is not to be polarised.
    """
    if stated_mub is not None and (len(stated_mub) != len(atoms) or spin == "off"):
        raise SettingsError(f"moments_mub={list(stated_mub)}: give one an atom ({len(atoms)}) and no spin='off'")
    if spin == "off":
        return (Start("none", None),)
    usual = initial_moments(atoms) if stated_mub is None else np.array(stated_mub, float)
    if usual is None and spin == "auto":
        return (Start("none", None),)
    high = np.array([HIGH_MOMENTS.get(symbol, 0.0) for symbol in atoms.symbols])
    first = Start("usual" if stated_mub is None else "stated", np.ones(len(atoms)) if usual is None else usual)
    return first, Start("high spin, ferromagnetic", high if high.any() else np.full(len(atoms), 2.0))


def doubt(found: Mapping[str, Any], start: Start, expected_mub: float | None, tolerance_mub: float) -> str | None:
    """Return why a calculation's moment is not believed; None where it is.

    Args:
        found: answer with ``moment_mub`` and ``absolute_moment_mub``, of the whole cell.
        start: what it started from.
        expected_mub: moment of the cell, sign ignored; None where nothing is expected.
        tolerance_mub: allowed difference from that.
    """
    if start.moments_mub is None:
        return None
    moment = found["moment_mub"]
    if expected_mub is not None:
        gap = abs(abs(moment) - abs(expected_mub))
        text = f"moment {moment:.2f} from start {start.name!r} is not the expected {expected_mub:.2f} Bohr magnetons"
        return text if gap > tolerance_mub else None
    return "collapsed" if collapsed(found, start) else None


def collapsed(found: Mapping[str, Any], start: Start) -> bool:
    """Return whether a calculation that started magnetic ended without moments on the atoms."""
    if start.moments_mub is None:
        return False
    carriers = int(np.count_nonzero(start.moments_mub))
    return carriers > 0 and found["absolute_moment_mub"] < COLLAPSED_MUB * carriers
