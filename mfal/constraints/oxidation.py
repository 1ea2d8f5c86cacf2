"""Oxidation states of the elements, and whether integer ones make a formula neutral.

Charge balance says that a formula can be written down, not that the compound is stable: it passes about as many
unstable as stable perovskites. MoS3 balances with Mo6+, so a stoichiometry that is wanted is a condition of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from mfal.constraints.verdict import Outcome, Verdict
from mfal.errors import ConstraintError, MissingExtraError
from mfal.space.formula import ELEMENTS, Formula, integer_counts

Source = Literal["common", "icsd", "smact"]

# What no alloy contains: a declaration that names one of these is a mistake.
_NEVER_IN_ALLOYS = frozenset({"O", "S", "Se", "F", "Cl", "Br", "I", "H"})


@dataclass(frozen=True)
class Alloy:
    """A declaration that a composition is an alloy, and so exempt from charge balance."""

    def check(self, elements: Sequence[str]) -> None:
        """Refuse elements that make the declaration a mistake.

        Raises:
            ConstraintError: an element is hydrogen, a chalcogen or a halogen.
        """
        wrong = sorted(_NEVER_IN_ALLOYS & set(elements))
        if wrong:
            raise ConstraintError(f"{wrong=} are declared an alloy: give oxidation states instead of the exemption")


@dataclass(frozen=True)
class OxidationStates:
    """The states that each element may have.

    In one formula an element is either a cation or an anion, and may mix its states of that sign (Fe3O4). Otherwise a
    table with Cl from -1 to +7 would pass NaCl2. N in NH4NO3 is both, and not described; electronegativities are not
    compared.

    Attributes:
        source: where the states come from, for messages.
        states: integers other than zero, ascending, by symbol.
    """

    source: str
    states: Mapping[str, tuple[int, ...]]

    def __post_init__(self) -> None:
        for symbol, states in self.states.items():
            if symbol not in ELEMENTS:
                raise ConstraintError(f"{symbol=} is no element: use symbols such as 'Fe'")
            if not states or 0 in states or any(state != int(state) for state in states):
                raise ConstraintError(f"{symbol=} has {states=} ({self.source}): give integers other than zero")
        ordered = {symbol: tuple(sorted({int(state) for state in states})) for symbol, states in self.states.items()}
        object.__setattr__(self, "states", ordered)

    def of(self, symbol: str) -> tuple[int, ...]:
        """Return the states of an element.

        Raises:
            ConstraintError: none is known.
        """
        if symbol not in self.states:
            raise ConstraintError(f"{symbol=} has no state among those from {self.source}: give its states")
        return self.states[symbol]


Charge = OxidationStates | Alloy


def oxidation_states(
    elements: Sequence[str], source: Source = "common", given: Mapping[str, Sequence[int]] | None = None
) -> OxidationStates:
    """Look up the states of some elements.

    Args:
        elements: whose states are wanted.
        source: `common` or `icsd` states of pymatgen, or those of smact; the first of these misses Cu+.
        given: states that replace the tabulated ones.

    Raises:
        ConstraintError: an element is unknown, or has no states in the table (He) and none given.
        MissingExtraError: the package behind the table is not installed.
    """
    own = dict(given or {})
    states = {symbol: tuple(own[symbol] if symbol in own else _tabulated(symbol, source)) for symbol in elements}
    return OxidationStates(source, states)


def neutral_assignment(formula: Formula, states: OxidationStates) -> Mapping[str, tuple[int, ...]] | None:
    """Return one state for every atom, with as little mixed valence as neutrality leaves; None if there is none.

    Raises:
        ConstraintError: the amounts have no integer multiple, or an element has no states.
    """
    reached: dict[int, tuple[float, dict[str, tuple[int, ...]]]] = {0: (0.0, {})}
    for symbol, number in integer_counts(formula, most=400).items():
        reached = _extended(reached, symbol, _sums(states.of(symbol), number))
    return reached[0][1] if 0 in reached else None


def charge_verdict(formula: Formula, charge: Charge) -> Verdict:
    """Say whether a formula is neutral, or exempt because it is declared an alloy."""
    if isinstance(charge, Alloy):
        charge.check(list(formula.amounts))
        return Verdict(Outcome.ADMITS, (f"{formula} is declared an alloy: no charge balance is asked for",))
    found = neutral_assignment(formula, charge)
    if found is None:
        known = {symbol: charge.of(symbol) for symbol in formula.amounts}
        return Verdict.of([f"{formula} is not neutral with any of the states {known} ({charge.source})"])
    return Verdict(Outcome.ADMITS, (f"{formula} is neutral: {_worded(found)}",))


def _tabulated(symbol: str, source: Source) -> tuple[int, ...]:
    if symbol not in ELEMENTS:
        raise ConstraintError(f"{symbol=} is no element: use symbols such as 'Fe'")
    states = _smact(symbol) if source == "smact" else _pymatgen(symbol, source)
    if not states:
        raise ConstraintError(f"{symbol=} has no {source} oxidation state: give its states, or leave it out")
    return states


def _pymatgen(symbol: str, source: Source) -> tuple[int, ...]:
    try:
        from pymatgen.core import Element
    except ImportError as error:
        raise MissingExtraError("pymatgen", "mlip") from error
    element = Element(symbol)
    states = element.common_oxidation_states if source == "common" else element.icsd_oxidation_states
    return tuple(int(state) for state in states if state)


def _smact(symbol: str) -> tuple[int, ...]:
    try:
        import smact  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingExtraError("smact", "chemistry") from error
    return tuple(int(state) for state in smact.Element(symbol).oxidation_states or () if state)


@lru_cache(maxsize=4096)
def _sums(states: tuple[int, ...], number: int) -> dict[int, tuple[float, tuple[int, ...]]]:
    """Return the sums of `number` states of one sign, each with the least spread that gives it."""
    best: dict[int, tuple[float, tuple[int, ...]]] = {}
    for signed in ([s for s in states if s > 0], [s for s in states if s < 0]):
        squares: dict[int, tuple[float, tuple[int, ...]]] = {0: (0.0, ())} if signed else {}
        for _ in range(number):
            squares = _one_more(squares, signed)
        best |= {total: (size - total**2 / number, chosen) for total, (size, chosen) in squares.items()}
    return best


def _one_more(
    squares: dict[int, tuple[float, tuple[int, ...]]], states: Sequence[int]
) -> dict[int, tuple[float, tuple[int, ...]]]:
    """Add one atom; at a given sum, the least sum of squares is the least spread."""
    grown: dict[int, tuple[float, tuple[int, ...]]] = {}
    for total, (size, chosen) in squares.items():
        for state in states:
            step = (size + state**2, (*chosen, state))
            if total + state not in grown or step < grown[total + state]:
                grown[total + state] = step
    return grown


def _extended(
    reached: dict[int, tuple[float, dict[str, tuple[int, ...]]]],
    symbol: str,
    sums: Mapping[int, tuple[float, tuple[int, ...]]],
) -> dict[int, tuple[float, dict[str, tuple[int, ...]]]]:
    grown: dict[int, tuple[float, dict[str, tuple[int, ...]]]] = {}
    for total, (spread, chosen) in reached.items():
        for charge, (more, states) in sums.items():
            if total + charge not in grown or spread + more < grown[total + charge][0]:
                grown[total + charge] = (spread + more, {**chosen, symbol: tuple(sorted(states))})
    return grown


def _worded(assignment: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(
        " ".join(f"{states.count(state)} {symbol}{state:+d}" for state in sorted(set(states)))
        for symbol, states in assignment.items()
    )
