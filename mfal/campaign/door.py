"""What may go to an oracle: every query is checked once more, with what cheaper fidelities have found meanwhile.

The pool holds only compositions that ``[constraints]`` admits. A structure, and how stable it is, are known later: an
impossible structure, or a candidate that is surely too far above the hull, is refused here, before money is spent.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mfal.campaign.constraints import ConstraintsSection, StabilitySection, StructureSection
from mfal.campaign.feasibility import refusals
from mfal.constraints.crystal import Crystal
from mfal.constraints.stability import HullEnergy, stability_verdict
from mfal.constraints.structure import Limits, structure_verdict
from mfal.constraints.symmetry import SymmetryStatement
from mfal.constraints.verdict import Outcome, Verdict
from mfal.errors import ConstraintError
from mfal.oracle import Observation, Query
from mfal.space.pool import Pool


def refused_queries(section: ConstraintsSection, pool: Pool, queries: Sequence[Query]) -> list[Observation]:
    """Return the queries that must not be answered, as failures that cost nothing."""
    formulas = {query.key: pool.formula(query.candidate) for query in queries}
    by_formula = refusals(section, list(dict.fromkeys(formulas.values()))) if queries else {}
    reasons = {query.key: by_formula.get(formulas[query.key], "") or _found(section, query) for query in queries}
    return [
        Observation(query.candidate, query.fidelity, None, None, 0.0, f"[constraints] {reasons[query.key]}")
        for query in queries
        if reasons[query.key]
    ]


def limits_of(section: StructureSection) -> Limits:
    """Return what still counts as sensible."""
    tolerance = section.symmetry_tolerance_a
    return Limits(section.closest, section.density_g_cm3, **({} if tolerance is None else {"tolerance_a": tolerance}))


def _found(section: ConstraintsSection, query: Query) -> str:
    """Return what speaks against a candidate in what is known of it; an empty text where nothing does."""
    for fidelity, details in query.known.items():
        for reason in (_structure(section.structure, details), _stability(section.stability, fidelity, details)):
            if reason:
                return f"{fidelity}: {reason}"
    return ""


def _structure(section: StructureSection | None, details: Mapping[str, Any]) -> str:
    if section is None or "structure" not in details:
        return ""
    states = section.symmetry_tolerance_a is not None and "space_group" in details
    statement = SymmetryStatement(int(details["space_group"])) if states else None
    try:
        return _refusal(structure_verdict(Crystal.of_record(details["structure"]), statement, limits_of(section)))
    except ConstraintError as error:
        return str(error)


def _stability(section: StabilitySection | None, fidelity: str, details: Mapping[str, Any]) -> str:
    above = details.get("energy_above_hull_ev_per_atom")
    if section is None or fidelity not in section.error_ev_per_atom or above is None:
        return ""
    energy = HullEnergy(float(above), section.error_ev_per_atom[fidelity], fidelity)
    return _refusal(stability_verdict(energy, section.tolerance_ev_per_atom, section.confidence))


def _refusal(verdict: Verdict) -> str:
    return "; ".join(verdict.reasons) if verdict.outcome is Outcome.REFUSES else ""
