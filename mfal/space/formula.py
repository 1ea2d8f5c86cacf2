"""Chemical formulas: from text to amounts of elements, to fractions in a fixed order, and back to text."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Float

from mfal.errors import ConstraintError, MissingExtraError

# One word a line: a spelling check takes some symbols for misspelt words.
ELEMENTS = tuple(
    re.findall(
        "[A-Z][a-z]?",
        "HHeLiBeBCNOFNeNaMgAlSiPSClAr"
        "KCaScTiVCrMnFeCoNiCuZnGaGeAsSeBrKrRbSrYZrNbMoTcRuRhPdAgCdInSnSbTeIXe"
        "CsBaLaCePrNdPmSmEuGdTbDyHoErTmYbLuHfTaWReOsIrPtAuHgTlPbBiPoAtRn"
        "FrRaAcThPaUNpPuAmCmBkCfEsFmMdNoLrRfDbSgBhHsMtDsRgCnNhFlMcLvTsOg",
    )
)
# Sites that may be left out of a formula: they have no mass, no charge and no fraction.
VACANCIES = ("Vac", "Va", "□")

_KNOWN = frozenset(ELEMENTS)
_TOKEN = re.compile(r"(?P<open>[(\[{])|(?:(?P<close>[)\]}])|(?P<symbol>Vac|[A-Z][a-z]?|□))(?P<number>\d+\.?\d*|\.\d+)?")
_PAIRS = {")": "(", "]": "[", "}": "{"}
# Fractions nearer than this to those of an integer formula are written as that formula.
_READABLE = 1e-6


@dataclass(frozen=True)
class Formula:
    """Amounts of elements.

    Attributes:
        amounts: atoms of each element, positive and finite; vacancies and zeros are dropped.
    """

    amounts: Mapping[str, float]

    def __post_init__(self) -> None:
        for symbol, amount in self.amounts.items():
            _check_symbol(symbol)
            if not math.isfinite(amount) or amount < 0.0:
                raise ConstraintError(f"{symbol=} has {amount=}: give a finite amount that is not negative")
        kept = {symbol: float(n) for symbol, n in self.amounts.items() if n > 0.0 and symbol not in VACANCIES}
        if not kept:
            raise ConstraintError(f"{dict(self.amounts)=} holds no atom: name an element with a positive amount")
        object.__setattr__(self, "amounts", kept)

    @staticmethod
    def parse(text: str) -> "Formula":
        """Read a formula such as ``Ba(Ti0.9Zr0.1)O3`` or ``CuSO4·5H2O``.

        Raises:
            ConstraintError: the text is no formula, names an unknown element, or holds no atom.
        """
        total: dict[str, float] = {}
        for part in re.split(r"[·*]", "".join(text.split())):
            number = re.match(r"\d+\.?\d*|\.\d+", part)
            start, factor = (number.end(), float(number.group())) if number else (0, 1.0)
            _add(total, _amounts(part[start:], text), factor)
        return Formula(total)

    @property
    def atoms(self) -> float:
        """Atoms in one formula unit."""
        return sum(self.amounts.values())

    @property
    def mass(self) -> float:
        """Molar mass in g/mol."""
        try:
            from pymatgen.core import Element
        except ImportError as error:
            raise MissingExtraError("pymatgen", "mlip") from error
        return sum(n * float(Element(symbol).atomic_mass) for symbol, n in self.amounts.items())

    def fractions(self, elements: Sequence[str]) -> Float[np.ndarray, " elements"]:
        """Return the atomic fractions in the order of `elements`.

        Raises:
            ConstraintError: an element is not in `elements`, or occurs there twice.
        """
        _check_elements(elements)
        missing = sorted(set(self.amounts) - set(elements))
        if missing:
            raise ConstraintError(f"{missing=} of {self} are not among {list(elements)=}: add them or drop the formula")
        return np.array([self.amounts.get(symbol, 0.0) for symbol in elements]) / self.atoms

    def __str__(self) -> str:
        return "".join(f"{symbol}{_written(amount)}" for symbol, amount in self.amounts.items())


def formula_of(elements: Sequence[str], fractions: Float[np.ndarray, " d"], atoms: int = 40) -> Formula:
    """Return the smallest integer formula with these fractions, or the fractions themselves where there is none.

    Args:
        elements: one symbol for each fraction.
        fractions: they need not sum to one.
        atoms: the most that the integer formula may have.
    """
    _check_elements(elements)
    if len(elements) != len(fractions):
        raise ConstraintError(f"{len(elements)=} does not match {len(fractions)=}: give one fraction an element")
    formula = Formula({symbol: float(x) for symbol, x in zip(elements, fractions, strict=True)})
    shares = np.array(list(formula.amounts.values())) / formula.atoms
    size = np.arange(1, atoms + 1)[:, None]
    near = np.abs(np.round(size * shares) / size - shares).max(axis=1) < _READABLE
    counts = np.round(size[np.argmax(near)] * shares) if near.any() else np.round(shares, 6)
    return Formula(dict(zip(formula.amounts, counts.tolist(), strict=True)))


def integer_counts(formula: Formula, most: int = 10_000) -> dict[str, int]:
    """Return the atoms of each element as integers, after multiplying up amounts such as the 0.5 of Ni0.5Fe2.5O4.

    Raises:
        ConstraintError: no multiple of up to `most` atoms is integer.
    """
    exact = {symbol: Fraction(n).limit_denominator(1000) for symbol, n in formula.amounts.items()}
    multiple = math.lcm(*(n.denominator for n in exact.values()))
    unfit = [symbol for symbol, n in exact.items() if abs(float(n) - formula.amounts[symbol]) > 1e-9]
    if unfit or multiple * formula.atoms > most:
        raise ConstraintError(f"{formula} has no integer multiple of at most {most} atoms: round the amounts first")
    return {symbol: int(n * multiple) for symbol, n in exact.items()}


def _amounts(part: str, text: str) -> dict[str, float]:
    """Return the amounts of a formula without a dot; a stack holds the brackets that are open."""
    groups: list[dict[str, float]] = [{}]
    opened: list[str] = []
    position = 0
    while position < len(part):
        token = _TOKEN.match(part, position)
        if token is None:
            raise ConstraintError(f"formula {text!r} has {part[position]!r}: use symbols, brackets and plain amounts")
        position = token.end()
        if token["open"]:
            opened.append(token["open"])
            groups.append({})
        else:
            group = _closed(groups, opened, token["close"], text) if token["close"] else _known(token["symbol"], text)
            _add(groups[-1], group, float(token["number"] or 1.0))
    if opened:
        raise ConstraintError(f"formula {text!r} leaves {opened[-1]!r} open: close it")
    return groups[0]


def _closed(groups: list[dict[str, float]], opened: list[str], bracket: str, text: str) -> dict[str, float]:
    if not opened or opened.pop() != _PAIRS[bracket]:
        raise ConstraintError(f"formula {text!r} closes {bracket!r} which is not open: balance the brackets")
    return groups.pop()


def _known(symbol: str, text: str) -> dict[str, float]:
    if symbol not in _KNOWN and symbol not in VACANCIES:
        raise ConstraintError(f"formula {text!r} has an unknown element {symbol!r}: use symbols such as 'Fe'")
    return {symbol: 1.0}


def _add(total: dict[str, float], more: Mapping[str, float], factor: float) -> None:
    for symbol, amount in more.items():
        total[symbol] = total.get(symbol, 0.0) + factor * amount


def _check_symbol(symbol: str) -> None:
    if symbol not in _KNOWN and symbol not in VACANCIES:
        raise ConstraintError(f"{symbol=} is no element: use symbols such as 'Fe'")


def _check_elements(elements: Sequence[str]) -> None:
    for symbol in elements:
        if symbol not in _KNOWN:
            raise ConstraintError(f"{symbol=} is no element: use symbols such as 'Fe'")
    repeated = sorted({symbol for symbol in elements if list(elements).count(symbol) > 1})
    if repeated:
        raise ConstraintError(f"{repeated=} occur more than once: name each element once")


def _written(amount: float) -> str:
    return "" if amount == 1.0 else f"{amount:.6g}"
