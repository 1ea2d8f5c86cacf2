"""Conservation of atoms from a recipe to its product, and of energy and momentum in a closed system.

A recipe's atoms are split into product, volatile by-products and what is left over. The split has the least sum of
absolute remainders, each relative to the product (a linear programme): unlike least squares it blames the one element
that is off, not all a little. Of two elements alone, either may be blamed: it is the one in excess.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mfal.constraints.verdict import Verdict
from mfal.errors import ConstraintError
from mfal.space.formula import Formula

# A shortage weighs more than the excess that says the same, and elements that gases may carry hardly weigh.
_SHORTAGE, _CARRIED = 1.1, 0.01


@dataclass(frozen=True)
class Precursor:
    """What is weighed in.

    Attributes:
        formula: such as ``BaCO3``.
        mass_g: as weighed, positive.
        purity: mass share of the formula, above 0 and up to 1; the rest counts as inert.
    """

    formula: str
    mass_g: float
    purity: float = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.mass_g) and self.mass_g > 0.0):
            raise ConstraintError(f"{self.formula} has {self.mass_g=}: give a positive mass in gram")
        if not 0.0 < self.purity <= 1.0:
            raise ConstraintError(f"{self.formula} has {self.purity=}: give a share above 0 and up to 1")


@dataclass(frozen=True)
class Recipe:
    """Precursors that are to become a product.

    Attributes:
        precursors: what is weighed in.
        product: formula.
        volatile: formulas that may leave, such as ``CO2``.
        atmosphere: formulas that may leave or enter, such as ``O2``.
    """

    precursors: tuple[Precursor, ...]
    product: str
    volatile: tuple[str, ...] = ()
    atmosphere: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.precursors:
            raise ConstraintError(f"the recipe of {self.product} has no precursor: name one")


@dataclass(frozen=True)
class Balance:
    """Where the atoms of a recipe go.

    Attributes:
        product_mol: formula units of the product.
        product_g: their mass.
        released_mol: of every by-product, negative where it was taken up.
        off: excess of each element, as a share of what product and by-products hold of it; infinite if they hold none.
    """

    product_mol: float
    product_g: float
    released_mol: dict[str, float]
    off: dict[str, float]


def balance(recipe: Recipe) -> Balance:
    """Split the atoms of a recipe.

    Raises:
        ConstraintError: no product can come out of the precursors, or a formula is none.
    """
    product = Formula.parse(recipe.product)
    gases = [*recipe.volatile, *recipe.atmosphere]
    weighed = [(Formula.parse(p.formula), p.mass_g * p.purity) for p in recipe.precursors]
    columns = [product, *map(Formula.parse, gases)]
    elements = sorted({symbol for formula in (*columns, *(f for f, _ in weighed)) for symbol in formula.amounts})
    given = sum(
        (mass / formula.mass * _column(formula, elements) for formula, mass in weighed), np.zeros(len(elements))
    )
    matrix = np.stack([_column(formula, elements) for formula in columns], axis=1)
    amounts = _split(matrix, given, len(recipe.atmosphere))
    if amounts[0] <= 1e-9 * given.sum():
        raise ConstraintError(f"no {recipe.product} comes out of {recipe.precursors}: name what it is made of")
    off = _excess(matrix @ amounts, given)
    return Balance(
        float(amounts[0]),
        float(amounts[0]) * product.mass,
        dict(zip(gases, amounts[1:].tolist(), strict=True)),
        dict(zip(elements, off.tolist(), strict=True)),
    )


def recipe_verdict(recipe: Recipe, tolerance: float) -> Verdict:
    """Say whether a recipe's atoms are those of its product and by-products.

    Args:
        recipe: precursors, product and gases.
        tolerance: share by which an element may be off.
    """
    _check_tolerance(tolerance)
    off = balance(recipe).off
    return Verdict.of([_blame(symbol, share, recipe) for symbol, share in off.items() if not abs(share) <= tolerance])


@dataclass(frozen=True)
class Drift:
    """What a closed system should not show.

    Attributes:
        energy_ev_per_atom: change of the total energy over the trajectory, of a straight line through it.
        momentum: largest departure from the first momentum, over the mass times the root mean square velocity.
    """

    energy_ev_per_atom: float
    momentum: float


def drift(
    energy_ev: Float[np.ndarray, " t"], velocities: Float[np.ndarray, "t n 3"], masses: Float[np.ndarray, " n"]
) -> Drift:
    """Measure the drift of a trajectory.

    Args:
        energy_ev: total energy of each frame, kinetic included.
        velocities: in any unit.
        masses: in any unit.

    Raises:
        ConstraintError: fewer than three frames, numbers that are not finite, or masses that are not positive.
    """
    if len(energy_ev) < 3:
        raise ConstraintError(f"{len(energy_ev)=} frames show no drift: give at least three")
    if not (np.isfinite(energy_ev).all() and np.isfinite(velocities).all() and (masses > 0.0).all()):
        raise ConstraintError(
            "a frame is not finite or a mass not positive: the trajectory has failed, or misses masses"
        )
    time = np.linspace(-0.5, 0.5, len(energy_ev))
    slope = float(time @ (energy_ev - energy_ev.mean()) / (time @ time))
    momentum = np.einsum("tni,n->ti", velocities, masses)
    typical = masses.sum() * np.sqrt((velocities**2).sum(axis=-1).mean())
    moved = float(np.linalg.norm(momentum - momentum[0], axis=1).max())
    return Drift(slope / len(masses), moved / float(typical) if typical > 0.0 else 0.0)


def trajectory_verdict(found: Drift, energy_ev_per_atom: float, momentum: float) -> Verdict:
    """Say whether a trajectory is that of a closed system.

    Args:
        found: its drift.
        energy_ev_per_atom: most that the energy may drift.
        momentum: most that the momentum may, as a share.
    """
    _check_tolerance(energy_ev_per_atom)
    _check_tolerance(momentum)
    refusals = []
    if abs(found.energy_ev_per_atom) > energy_ev_per_atom:
        refusals.append(f"energy drifts by {found.energy_ev_per_atom:.2e} eV/atom, over {energy_ev_per_atom:.1e}")
    if found.momentum > momentum:
        refusals.append(f"momentum drifts by {found.momentum:.2e} of the typical one, over {momentum:.1e}")
    return Verdict.of(refusals)


def _column(formula: Formula, elements: Sequence[str]) -> Float[np.ndarray, " e"]:
    return np.array([formula.amounts.get(symbol, 0.0) for symbol in elements])


def _split(matrix: Float[np.ndarray, "e c"], given: Float[np.ndarray, " e"], entering: int) -> Float[np.ndarray, " c"]:
    """Return the amounts of product and gases; the last `entering` of these may be negative."""
    from scipy.optimize import linprog

    elements, columns = matrix.shape
    unit, remainder = np.eye(elements), _weights(matrix)
    free = [(0.0, None)] * (columns - entering) + [(None, None)] * entering
    found = linprog(
        np.concatenate([np.zeros(columns), remainder, _SHORTAGE * remainder]),
        A_eq=np.hstack([matrix, unit, -unit]),
        b_eq=given / given.sum(),
        bounds=free + [(0.0, None)] * (2 * elements),
    )
    if found.x is None:
        raise ConstraintError(f"the recipe's atoms cannot be split ({found.message}): check the formulas")
    return found.x[:columns] * given.sum()


def _weights(matrix: Float[np.ndarray, "e c"]) -> Float[np.ndarray, " e"]:
    """Return what an atom of each element costs as a remainder."""
    product, carried = matrix[:, 0], matrix[:, 1:].any(axis=1)
    return np.where(carried, _CARRIED, 1.0) / np.where(product > 0.0, product, 1.0)


def _excess(held: Float[np.ndarray, " e"], given: Float[np.ndarray, " e"]) -> Float[np.ndarray, " e"]:
    small = 1e-9 * given.sum()
    rest = given - held
    share = rest / np.where(held > small, held, 1.0)
    return np.where(np.abs(rest) <= small, 0.0, np.where(held > small, share, np.inf))


def _blame(symbol: str, share: float, recipe: Recipe) -> str:
    if not np.isfinite(share):
        return f"{symbol} has no place in {recipe.product}: declare what it leaves with"
    return f"{symbol} is off by {100 * share:+.2f} % of what {recipe.product} and its by-products hold"


def _check_tolerance(tolerance: float) -> None:
    if not (np.isfinite(tolerance) and tolerance >= 0.0):
        raise ConstraintError(f"{tolerance=} is no tolerance: give a finite number that is not negative")
