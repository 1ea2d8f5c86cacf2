"""Which compositions the table ``[constraints]`` refuses, and why."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from mfal.campaign.constraints import ConstraintsSection, FractionSection, RatioSection
from mfal.constraints.linear import LinearEquality, LinearInequality
from mfal.constraints.oxidation import Alloy, Charge, charge_verdict, oxidation_states
from mfal.constraints.polytope import refuse_conflict
from mfal.errors import ConstraintError
from mfal.space.formula import Formula

# Fractions of written formulas are exact up to rounding.
TOLERANCE = 1e-9


class Rule(NamedTuple):
    """A condition with the text that people read."""

    text: str
    constraint: LinearInequality | LinearEquality


def refusals(section: ConstraintsSection, formulas: Sequence[str]) -> dict[str, str]:
    """Return the formulas that are refused, each with all its reasons.

    Raises:
        ConstraintError: a formula cannot be read, a declared element is none, or an element has no oxidation state.
    """
    if not section.on_compositions:
        return {}
    read = {text: Formula.parse(text) for text in formulas}
    found: dict[str, list[str]] = {text: [] for text in read}
    for check in (_elements, _counts, _linear, _charge):
        for text, reason in check(section, read):
            found[text].append(reason)
    return {text: "; ".join(reasons) for text, reasons in found.items() if reasons}


def answers(section: ConstraintsSection, formulas: Sequence[str]) -> dict[str, str]:
    """Return why each formula is refused, also because it cannot be read; an empty text where it is admitted."""
    try:
        return dict.fromkeys(formulas, "") | refusals(section, formulas)
    except ConstraintError as error:
        if len(formulas) == 1:
            return {formulas[0]: str(error)}
    # Which one it is about is found out one by one.
    return {formula: answers(section, [formula])[formula] for formula in formulas}


Refusals = list[tuple[str, str]]
Check = Callable[[ConstraintsSection, Mapping[str, Formula]], Refusals]


def rules(section: ConstraintsSection, elements: Sequence[str]) -> list[Rule]:
    """Return the linear conditions on the fractions of some elements, those that are named among them."""
    bounds = [rule for fraction in section.fraction for rule in _bounds(fraction, elements)]
    return [*bounds, *(_ratio(ratio, elements) for ratio in section.ratio)]


def _elements(section: ConstraintsSection, read: Mapping[str, Formula]) -> Refusals:
    if section.elements is None:
        return []
    foreign = {text: sorted(set(formula.amounts) - set(section.elements)) for text, formula in read.items()}
    allowed = f"are not among elements = {section.elements}"
    return [(text, f"{symbols} {allowed}") for text, symbols in foreign.items() if symbols]


def _counts(section: ConstraintsSection, read: Mapping[str, Formula]) -> Refusals:
    least, most = section.least_elements or 0, section.most_elements or np.inf
    return [
        (text, f"{len(formula.amounts)} elements, where {least} to {most:g} are asked")
        for text, formula in read.items()
        if not least <= len(formula.amounts) <= most
    ]


def _linear(section: ConstraintsSection, read: Mapping[str, Formula]) -> Refusals:
    named = sorted(_named(section))
    if not named:
        return []
    anything = section.elements or [*named, "another element"]
    conditions = [constraint for _, constraint in rules(section, anything)]
    refuse_conflict(anything, [LinearEquality.group(anything, anything), *conditions])
    elements = sorted({symbol for formula in read.values() for symbol in formula.amounts} | set(named))
    fractions, texts = jnp.array([formula.fractions(elements) for formula in read.values()]), list(read)
    found = []
    for text, constraint in rules(section, elements):
        short = np.asarray(constraint.slack(fractions))
        found += [(texts[row], f"{text} is missed by {-short[row]:.3g}") for row in np.flatnonzero(short < -TOLERANCE)]
    return found


def _named(section: ConstraintsSection) -> set[str]:
    groups = [fraction.of for fraction in section.fraction] + [r.of + r.to for r in section.ratio]
    return {symbol for group in groups for symbol in group}


def _bounds(fraction: FractionSection, elements: Sequence[str]) -> list[Rule]:
    weights, name, found = dict.fromkeys(fraction.of, 1.0), " + ".join(fraction.of), []
    if fraction.at_least is not None:
        bound = LinearInequality.at_least(elements, weights, fraction.at_least)
        found.append(Rule(f"{name} >= {fraction.at_least:g}", bound))
    if fraction.at_most is not None:
        bound = LinearInequality.at_most(elements, weights, fraction.at_most)
        found.append(Rule(f"{name} <= {fraction.at_most:g}", bound))
    return found


def _ratio(ratio: RatioSection, elements: Sequence[str]) -> Rule:
    """Return b x(of) - a x(to) = 0, which also holds where neither group occurs."""
    first, second = ratio.amounts
    weights = dict.fromkeys(ratio.of, float(second)) | dict.fromkeys(ratio.to, -float(first))
    text = f"({' + '.join(ratio.of)}) : ({' + '.join(ratio.to)}) = {first} : {second}"
    return Rule(text, LinearEquality.of(elements, weights, 0.0))


def _charge(section: ConstraintsSection, read: Mapping[str, Formula]) -> Refusals:
    if section.charge is None:
        return []
    elements = sorted({symbol for formula in read.values() for symbol in formula.amounts})
    given = section.oxidation_states
    charge: Charge = Alloy() if section.charge == "alloy" else oxidation_states(elements, given=given)
    return [(text, reason) for text, formula in read.items() if (reason := _unbalanced(formula, charge))]


def _unbalanced(formula: Formula, charge: Charge) -> str:
    try:
        verdict = charge_verdict(formula, charge)
    except ConstraintError as error:
        return str(error)
    return "" if verdict.admits else "; ".join(verdict.reasons)
