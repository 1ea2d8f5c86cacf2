"""Units that convert exactly; every other unit is refused rather than guessed."""

from fractions import Fraction

# Each unit in terms of the first of its row. A mole of what, a hardness in GPa: such units are left out on purpose.
_ROWS = (
    {"eV/atom": Fraction(1), "meV/atom": Fraction(1, 1000)},
    {"eV": Fraction(1), "meV": Fraction(1, 1000)},
    {
        "GPa": Fraction(1), "MPa": Fraction(1, 1000), "kPa": Fraction(1, 10**6), "Pa": Fraction(1, 10**9),
        "N/mm^2": Fraction(1, 1000), "kbar": Fraction(1, 10),
    },
)  # fmt: skip


def accepted_units(unit: str) -> list[str]:
    """Return the units that convert exactly to `unit`, itself first."""
    row = next((row for row in _ROWS if unit in row), {})
    return [unit, *(other for other in row if other != unit)]


def factor(unit: str, to: str) -> Fraction | None:
    """Return what an amount in `unit` is multiplied by to be one in `to`; None where that is not exact."""
    if unit == to:
        return Fraction(1)
    row = next((row for row in _ROWS if unit in row and to in row), None)
    return None if row is None else row[unit] / row[to]
